// The MSP's side of a registration: asked for a draft, it verifies the credential, looks at its accounts and
// signs, or says NOT_REACHABLE_HERE (protocol.md section 6, requirement 2). Keeps nothing.

import type { Signer } from "@whither/crypto/node";
import { answerDraft, openDraft, type DraftRequest } from "@whither/ceremony";
import type { DirectoryFollower } from "@whither/directory";
import type { Csi, MspId, SignedObject } from "@whither/protocol";
import type { Clock, Random } from "@whither/runtime";
import { nodeVerifier, type SignatureVerifier } from "@whither/zone";

/** Whom the MSP's service reaches. */
export interface Accounts {
  /** Whether the holder of the CSI has an account that can be reached. */
  isReachable(csi: Csi, options?: { readonly signal?: AbortSignal | undefined }): Promise<boolean>;
}

export interface MspOptions {
  /** Registry id, the MSP's domain. */
  readonly id: MspId;
  /** Holds a key of the MSP's registry record. */
  readonly signer: Signer;
  readonly accounts: Accounts;
  /** The signed directory, for the registry of provers and MSPs. */
  readonly directory: Pick<DirectoryFollower, "registry">;
  readonly clock: Clock;
  readonly random: Random;
  readonly verifier?: SignatureVerifier;
  /**
   * Every answer is given at a multiple of this many milliseconds after its request, 0..10,000: longer than
   * a look at the accounts takes, so that the time of an answer tells nothing. Default 50; 0 for bulk work.
   */
  readonly answerStepMs?: number;
}

/** Where drafts come from: an MSP in this process, later one across the network. */
export interface DraftSource {
  readonly id: MspId;
  /**
   * The mapping, signed by the MSP. Throws NOT_REACHABLE_HERE, alike whether the credential or the
   * accounts said no; UNKNOWN_MSP when the MSP itself is not accredited; what the directory throws.
   */
  draft(
    request: DraftRequest,
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<SignedObject>;
}

const answerStepMsDefault = 50;
const answerStepMsMax = 10_000;

export function createMsp(options: MspOptions): DraftSource {
  const { id, signer, accounts, directory, clock, random, verifier = nodeVerifier } = options;
  const { answerStepMs = answerStepMsDefault } = options;
  if (!(answerStepMs >= 0 && answerStepMs <= answerStepMsMax)) {
    throw new TypeError(`answerStepMs: expected 0..${answerStepMsMax}`);
  }
  const answer: DraftSource["draft"] = async (request, { signal } = {}) => {
    const registry = await directory.registry({ signal });
    const nowSeconds = clock.nowSeconds();
    const state = openDraft({ mspId: id, request, registry, nowSeconds, verifier });
    const reachable =
      state.kind === "asking" && (await accounts.isReachable(request.csi, { signal }));
    const randomBytes = (length: number): Uint8Array => random.bytes(length);
    return answerDraft({ state, reachable, signer, nowSeconds, randomBytes });
  };
  return {
    id,
    async draft(request, bounds = {}) {
      const startMs = clock.monotonicMs();
      try {
        return await answer(request, bounds);
      } finally {
        const tookMs = clock.monotonicMs() - startMs;
        const steps = Math.max(1, Math.ceil(tookMs / Math.max(1, answerStepMs)));
        if (answerStepMs > 0) await clock.sleep(steps * answerStepMs - tookMs, bounds);
      }
    },
  };
}
