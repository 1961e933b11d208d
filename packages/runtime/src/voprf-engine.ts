// The VOPRF as an asynchronous engine: the same three operations whether they run in worker threads
// (voprf-pool.ts) or on the caller's thread. RFC 9497, mode VOPRF; the arithmetic is crypto's.
import type {
  BlindedBatch,
  EvaluatedBatch,
  FinalizeInput,
  Voprf,
  VoprfKeyPair,
} from "@whither/crypto";
import { abortError } from "./clock.js";
import type { Random } from "./random.js";

export interface EvaluateRequest extends VoprfKeyPair {
  /** 1..512 blinded elements of 32 bytes, as received. */
  readonly blinded: readonly Uint8Array[];
}

export interface EvaluatedWork extends EvaluatedBatch {
  /** Time the arithmetic took on its thread, milliseconds: what a client's CPU budget is charged. */
  readonly cpuMs: number;
}

export interface VoprfCallOptions {
  /** Drops work that has not begun; the promise rejects at once in any case. */
  readonly signal?: AbortSignal | undefined;
}

/** Errors are those of crypto's `Voprf`, and OVERLOADED when too much work waits. */
export interface VoprfEngine extends AsyncDisposable {
  /** Server: evaluates one batch under one proof. Throws INVALID_ELEMENT, TOO_LARGE. */
  evaluate(request: EvaluateRequest, options?: VoprfCallOptions): Promise<EvaluatedWork>;
  /** Client: hides 1..512 inputs; the blinds are secret. */
  blind(inputs: readonly Uint8Array[], options?: VoprfCallOptions): Promise<BlindedBatch>;
  /** Client: checks the proof and gives the 64-byte outputs. Throws BOGUS. */
  finalize(input: FinalizeInput, options?: VoprfCallOptions): Promise<readonly Uint8Array[]>;
  close(): Promise<void>;
}

/**
 * The engine on the caller's own thread, for tests and where batches stay small: 2.8 ms an element over
 * all steps with libsodium, during which nothing else runs.
 */
export function createInlineVoprf(voprf: Voprf, random: Random): VoprfEngine {
  const randomBytes = (n: number): Uint8Array => random.bytes(n);
  // Asynchronous like the pool, errors included: a caller must not come to depend on the difference.
  const later = async <T>(
    options: VoprfCallOptions | undefined,
    operation: () => T,
  ): Promise<T> => {
    await Promise.resolve();
    if (options?.signal?.aborted === true) throw abortError(options.signal);
    return operation();
  };
  const close = (): Promise<void> => Promise.resolve();
  return {
    evaluate: (request, options) =>
      later(options, () => {
        const startMs = performance.now();
        const batch = voprf.evaluateBlinded({ ...request, randomBytes });
        return { ...batch, cpuMs: performance.now() - startMs };
      }),
    blind: (inputs, options) => later(options, () => voprf.blind(inputs, randomBytes)),
    finalize: (input, options) => later(options, () => voprf.finalize(input)),
    close,
    [Symbol.asyncDispose]: close,
  };
}
