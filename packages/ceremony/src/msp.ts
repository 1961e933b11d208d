// The MSP's part of a registration: one request, one look at its accounts, one answer (protocol.md
// section 6, requirement 2). Two steps, so that the look-up between them is the caller's. No I/O here.

import {
  DiscoveryError,
  isDiscoveryError,
  limits,
  roles,
  type Csi,
  type MspId,
  type SignedObject,
} from "@whither/protocol";
import { encodeMapping } from "@whither/wire";
import type { RandomBytes, Signer } from "@whither/crypto/node";
import {
  isAccredited,
  signObject,
  verifyCredential,
  type Registry,
  type SignatureVerifier,
  type VerifiedCredential,
} from "@whither/zone";

/** What a holder sends to the MSP: Draft of protocol.md section 6. */
export interface DraftRequest {
  readonly csi: Csi;
  /** 32 bytes that open the credential's csi_commit. */
  readonly opening: Uint8Array;
  readonly credential: SignedObject;
  /** 16, 24 or 32 bytes. */
  readonly nonceH: Uint8Array;
}

/**
 * Where the MSP stands. `asking`: the credential is good, the accounts decide. `refused`: it is not, and
 * the accounts must not be asked, lest the answer's time tell what they hold.
 */
export type DraftState =
  | {
      readonly kind: "asking";
      readonly mspId: MspId;
      readonly request: DraftRequest;
      readonly credential: VerifiedCredential;
    }
  | { readonly kind: "refused" };

const nonceLengths: readonly number[] = [16, 24, 32];

/**
 * First step: whether this request proves possession to this MSP. Throws UNKNOWN_MSP when the MSP itself
 * is not accredited now, which concerns its operator and not the asker.
 */
export function openDraft(input: {
  readonly mspId: MspId;
  readonly request: DraftRequest;
  readonly registry: Registry;
  readonly nowSeconds: number;
  readonly verifier: SignatureVerifier;
}): DraftState {
  const { mspId, request, registry, nowSeconds, verifier } = input;
  const msp = registry.msp(mspId);
  if (msp === undefined || !isAccredited(msp, nowSeconds)) {
    throw new DiscoveryError("UNKNOWN_MSP", "this msp is not accredited now");
  }
  if (!nonceLengths.includes(request.nonceH.length)) return { kind: "refused" };
  const { csi, opening, credential: object } = request;
  try {
    const credential = verifyCredential({
      object,
      csi,
      opening,
      registry,
      nowSeconds,
      verifier,
    });
    if (credential.prover.operator === msp.operator) return { kind: "refused" };
    if (credential.credential.expires <= nowSeconds) return { kind: "refused" };
    return { kind: "asking", mspId, request, credential };
  } catch (error) {
    if (isDiscoveryError(error)) return { kind: "refused" };
    throw error;
  }
}

/**
 * Second step: the draft, signed by the MSP, or NOT_REACHABLE_HERE, which reads the same whether the
 * credential or the accounts said no. `reachable` is what the accounts said; false for a refused state.
 */
export function answerDraft(input: {
  readonly state: DraftState;
  readonly reachable: boolean;
  readonly signer: Signer;
  readonly nowSeconds: number;
  readonly randomBytes: RandomBytes;
}): SignedObject {
  const { state, reachable, signer, nowSeconds, randomBytes } = input;
  if (state.kind === "refused" || !reachable) {
    throw new DiscoveryError("NOT_REACHABLE_HERE", "not reachable at this msp");
  }
  const { credential, sha256 } = state.credential;
  const payload = encodeMapping({
    csiCommit: credential.csiCommit,
    mspId: state.mspId,
    holderPublicKey: credential.holderPublicKey,
    credentialSha256: sha256,
    establishedAt: nowSeconds,
    notBefore: nowSeconds,
    notAfter: Math.min(credential.expires, nowSeconds + limits.mappingLifetimeSecondsMax),
    nonceH: state.request.nonceH,
    nonceM: randomBytes(32),
    prevSha256: new Uint8Array(),
  });
  return signObject({ type: "mapping", role: roles.msp, zone: "", payload, signer });
}
