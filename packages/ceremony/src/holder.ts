// The holder's part of a registration: ask an MSP for a draft, countersign what it asked for, place it in
// a zone by a statement, check the DP's receipt (protocol.md section 6). Pure; secrets stay in the Signer.

import {
  DiscoveryError,
  limits,
  roles,
  type Acceptance,
  type Csi,
  type Manifest,
  type Mapping,
  type MergePromise,
  type MspId,
  type SignedObject,
} from "@whither/protocol";
import { equalBytes, type RandomBytes, type Signer } from "@whither/crypto/node";
import {
  addSignature,
  checkContent,
  readMapping,
  verifyAcceptance,
  verifyCredential,
  verifyMspSide,
  verifyPromise,
  type Registry,
  type SignatureVerifier,
  type VerifiedCredential,
} from "@whither/zone";
import type { DraftRequest } from "./msp.js";
import type { AddedMapping } from "./register-request.js";

/** What every step of the holder needs. */
export interface HolderContext {
  readonly holder: Signer;
  readonly registry: Registry;
  readonly nowSeconds: number;
  readonly verifier: SignatureVerifier;
}

/** Waiting for the MSP's draft. */
export interface DraftPending {
  readonly kind: "draft-pending";
  readonly mspId: MspId;
  readonly request: DraftRequest;
  readonly credential: VerifiedCredential;
}

/** Holds a mapping that MSP and holder have signed; any DP may be shown it. */
export interface Countersigned extends AddedMapping {
  readonly kind: "countersigned";
  readonly record: Mapping;
  readonly mappingSha256: Uint8Array;
}

/**
 * First step: checks the holder's own credential and makes the request for a draft. Throws as
 * verifyCredential does, and BAD_CREDENTIAL when the credential is for another key.
 */
export function requestDraft(
  input: HolderContext & {
    readonly csi: Csi;
    readonly opening: Uint8Array;
    readonly credential: SignedObject;
    readonly mspId: MspId;
    readonly randomBytes: RandomBytes;
  },
): DraftPending {
  const { csi, opening, mspId, registry, nowSeconds, verifier } = input;
  const credential = verifyCredential({
    object: input.credential,
    csi,
    opening,
    registry,
    nowSeconds,
    verifier,
  });
  if (!equalBytes(credential.credential.holderPublicKey, input.holder.publicKey)) {
    throw new DiscoveryError("BAD_CREDENTIAL", "the credential is another holder's");
  }
  const nonceH = input.randomBytes(32);
  return {
    kind: "draft-pending",
    mspId,
    credential,
    request: { csi, opening, credential: input.credential, nonceH },
  };
}

/**
 * Second step: signs the MSP's draft if it says what was asked and nothing else. Throws BAD_SIGNATURE,
 * KEY_MISSING, UNKNOWN_MSP (its side), BAD_OPENING, BAD_CREDENTIAL or BAD_MAPPING.
 */
export function countersignDraft(
  input: HolderContext & { readonly pending: DraftPending; readonly draft: SignedObject },
): Countersigned {
  const { pending, draft, holder, registry, nowSeconds, verifier } = input;
  const { csi, opening, credential, nonceH } = pending.request;
  const refuse = (text: string): never => {
    throw new DiscoveryError("BAD_MAPPING", `draft: ${text}`);
  };
  const read = readMapping(draft);
  const { mapping } = read;
  if (mapping.mspId !== pending.mspId) refuse("of another msp");
  verifyMspSide(read, { registry, verifier });
  if (!equalBytes(mapping.nonceH, nonceH)) refuse("answers another request");
  if (mapping.prevSha256.length > 0) refuse("replaces a mapping");
  if (Math.abs(mapping.notBefore - nowSeconds) > 2 * limits.clockSkewSeconds) {
    refuse("does not begin now");
  }
  checkContent(mapping, {
    credential: pending.credential,
    csi,
    opening,
    acceptedAt: nowSeconds,
  });
  const place = { type: "mapping", role: roles.holder, zone: "" } as const;
  return {
    kind: "countersigned",
    mapping: addSignature(
      { payload: draft.payload, signatures: draft.signatures.filter((s) => s.role === roles.msp) },
      { ...place, signer: holder },
    ),
    credential,
    opening,
    record: mapping,
    mappingSha256: read.sha256,
  };
}

/**
 * Last step: checks the DP's receipt for what was sent. Throws BOGUS, BAD_SIGNATURE, KEY_MISSING or
 * INVALID_DATA; then the registration must be taken as not made.
 */
export function verifyReceipt(input: {
  readonly manifest: Manifest;
  readonly statementSha256: Uint8Array;
  /** Hash of the mapping that was added; absent if none was. */
  readonly mappingSha256?: Uint8Array;
  readonly acceptance: SignedObject | undefined;
  readonly promise: SignedObject;
  readonly nowSeconds: number;
  readonly verifier: SignatureVerifier;
}): { readonly acceptance?: Acceptance; readonly promise: MergePromise } {
  const { mappingSha256, acceptance: object } = input;
  const promise = verifyPromise({ ...input, object: input.promise });
  if (mappingSha256 === undefined) return { promise };
  if (object === undefined) throw new DiscoveryError("BOGUS", "receipt lacks the acceptance");
  return { promise, acceptance: verifyAcceptance({ ...input, mappingSha256, object }) };
}
