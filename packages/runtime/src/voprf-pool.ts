// The VOPRF engine on worker threads. Evaluations that arrive in one turn of the event loop share a
// message to a thread, which spares most of the cost of small ones; every request keeps its own proof.
import { DiscoveryError } from "@whither/protocol";
import { abortError } from "./clock.js";
import { buffersOf, packBytes, unpackBytes } from "./packed-bytes.js";
import type {
  EvaluatedWork,
  EvaluateRequest,
  VoprfCallOptions,
  VoprfEngine,
} from "./voprf-engine.js";
import type { EvaluateOutcome, VoprfResult, VoprfTask } from "./voprf-messages.js";
import { createWorkerPool, openFailure, workerUrl, type WorkerPool } from "./worker-pool.js";
import type { WorkerReply } from "./worker-port.js";

export interface VoprfPoolOptions {
  /** Threads at most, ≥ 1; more than the machine has cores gains nothing. */
  readonly threads: number;
  /** Messages waiting for a thread at most; 256 unless told. */
  readonly queueMax?: number;
}

/** Elements that share one message: about 30 ms of work, so that batches spread over the threads. */
const elementsPerMessage = 64;
const queueMaxDefault = 256;

type Pool = WorkerPool<VoprfTask, VoprfResult>;

export function createVoprfPool(options: VoprfPoolOptions): VoprfEngine {
  const pool: Pool = createWorkerPool({
    url: workerUrl("voprf.worker", import.meta.url),
    threads: options.threads,
    queueMax: options.queueMax ?? queueMaxDefault,
  });
  const close = (): Promise<void> => pool.close();
  return {
    evaluate: createCoalescer(pool),
    blind: async (list, { signal } = {}) => {
      const inputs = packBytes(list);
      const transfer = buffersOf(inputs);
      const result = await pool.run({ kind: "blind", inputs }, { transfer, signal });
      if (result.kind !== "blind") throw crossedReply();
      return { blinds: unpackBytes(result.blinds), blinded: unpackBytes(result.blinded) };
    },
    finalize: async (input, { signal } = {}) => {
      const inputs = packBytes(input.inputs);
      const blinds = packBytes(input.blinds);
      const blinded = packBytes(input.blinded);
      const evaluated = packBytes(input.evaluated);
      // Small views of larger memory: only their own bytes are to be copied.
      const publicKey = copyOf(input.publicKey);
      const proof = copyOf(input.proof);
      const result = await pool.run(
        { kind: "finalize", publicKey, proof, inputs, blinds, blinded, evaluated },
        { transfer: buffersOf(inputs, blinds, blinded, evaluated), signal },
      );
      if (result.kind !== "finalize") throw crossedReply();
      return unpackBytes(result.outputs);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

interface Waiting {
  readonly request: EvaluateRequest;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (work: EvaluatedWork) => void;
  readonly reject: (error: Error) => void;
}

function createCoalescer(pool: Pool): VoprfEngine["evaluate"] {
  let waiting: Waiting[] = [];
  const flush = (): void => {
    const all = waiting;
    waiting = [];
    for (const group of groupBySize(all)) void sendGroup(pool, group);
  };
  return (request: EvaluateRequest, { signal }: VoprfCallOptions = {}) =>
    new Promise<EvaluatedWork>((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(abortError(signal));
        return;
      }
      // setImmediate comes after all input of this turn was read, hence after its other requests.
      if (waiting.length === 0) setImmediate(flush);
      waiting.push({ request, signal, resolve, reject });
    });
}

/** In order, up to 64 elements a group; a larger request stands alone. */
function groupBySize(all: readonly Waiting[]): Waiting[][] {
  const groups: Waiting[][] = [];
  let room = 0;
  for (const one of all) {
    const size = one.request.blinded.length;
    const last = groups.at(-1);
    if (last !== undefined && size <= room) {
      last.push(one);
      room -= size;
    } else {
      groups.push([one]);
      room = elementsPerMessage - size;
    }
  }
  return groups;
}

async function sendGroup(pool: Pool, all: readonly Waiting[]): Promise<void> {
  const group = all.filter(({ signal, reject }) => {
    if (signal?.aborted === true) reject(abortError(signal));
    return signal?.aborted !== true;
  });
  if (group.length === 0) return;
  const abandoned = watchAbort(group);
  const tasks = group.map(({ request }) => ({
    secretKey: copyOf(request.secretKey),
    publicKey: copyOf(request.publicKey),
    blinded: packBytes(request.blinded),
  }));
  const transfer = tasks.flatMap((task) => buffersOf(task.blinded));
  try {
    const { signal } = abandoned;
    const result = await pool.run({ kind: "evaluate", tasks }, { transfer, signal });
    if (result.kind !== "evaluate") throw crossedReply();
    group.forEach((one, index) => settleOne(one, result.outcomes[index]));
  } catch (error) {
    const failure = error instanceof Error ? error : crossedReply();
    for (const one of group) one.reject(failure);
  } finally {
    abandoned.release();
    for (const task of tasks) task.secretKey.fill(0);
  }
}

/** Rejects each request when its own caller leaves; the message is dropped when all have left. */
function watchAbort(group: readonly Waiting[]): {
  readonly signal: AbortSignal;
  readonly release: () => void;
} {
  const controller = new AbortController();
  let left = group.length;
  const releases = group.map(({ signal, reject }) => {
    const onAbort = (): void => {
      if (signal !== undefined) reject(abortError(signal));
      left -= 1;
      if (left === 0) controller.abort();
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    return (): void => signal?.removeEventListener("abort", onAbort);
  });
  return {
    signal: controller.signal,
    release: () => {
      for (const release of releases) release();
    },
  };
}

function settleOne(one: Waiting, outcome: WorkerReply<EvaluateOutcome> | undefined): void {
  if (outcome?.kind === "done") {
    const { evaluated, proof, cpuMs } = outcome.response;
    one.resolve({ evaluated: unpackBytes(evaluated), proof, cpuMs });
  } else {
    one.reject(outcome === undefined ? crossedReply() : openFailure(outcome));
  }
}

function crossedReply(): DiscoveryError {
  return new DiscoveryError("INTERNAL", "a worker answered something else");
}

/** Bytes of its own. Not `slice`: a Buffer's shares memory, and the caller's key would be wiped. */
function copyOf(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}
