// A mapping: "the holder of this key can be reached at that MSP", signed by both (protocol.md section 6,
// requirements 2 to 4). It names no zone, so any DP and any resolver can check it alone.

import {
  DiscoveryError,
  limits,
  roles,
  type Csi,
  type Mapping,
  type MspRecord,
  type SignedObject,
} from "@whither/protocol";
import { equalBytes } from "@whither/crypto/node";
import { decodeMapping } from "@whither/wire";
import { isAccredited, type Registry } from "../registry.js";
import { payloadSha256, type SignatureVerifier } from "../signed.js";
import { verifyCommit } from "./commit.js";
import type { VerifiedCredential } from "./credential.js";
import { decodeRecord, requireInForce, requireSignature } from "./signer-rules.js";

export interface MappingCheck {
  readonly object: SignedObject;
  /** The credential it was made for, verified before. */
  readonly credential: VerifiedCredential;
  readonly csi: Csi;
  readonly opening: Uint8Array;
  /** When the DP accepted it; its own clock while it decides, the acceptance's time afterwards. */
  readonly acceptedAt: number;
  readonly registry: Registry;
  readonly nowSeconds: number;
  readonly verifier: SignatureVerifier;
}

export interface PlacedMapping {
  readonly mapping: Mapping;
  readonly sha256: Uint8Array;
  readonly msp: MspRecord;
  /** max(payload, first proof): the time that precedence counts from. */
  readonly establishedAt: number;
}

/** A mapping's payload decoded under its bounds. Nothing in it is to be believed yet. */
export interface UnverifiedMapping {
  readonly object: SignedObject;
  readonly mapping: Mapping;
  readonly sha256: Uint8Array;
}

/** Decodes; throws BAD_MAPPING. The MSP's name and the holder's key stand in the payload itself. */
export function readMapping(object: SignedObject): UnverifiedMapping {
  const mapping = decodeRecord("BAD_MAPPING", () => decodeMapping(object.payload));
  return { object, mapping, sha256: payloadSha256(object) };
}

/**
 * Verifies a mapping with both its signatures. In this order: BAD_MAPPING (shape) · UNKNOWN_MSP (not
 * registered) · BAD_SIGNATURE or KEY_MISSING (MSP, then holder) · BAD_OPENING · BAD_CREDENTIAL (another
 * holder's) · BAD_MAPPING (credential, times) · UNKNOWN_MSP (not accredited now) ·
 * PROVER_NOT_INDEPENDENT (of the MSP) · NOT_YET_VALID or EXPIRED.
 */
export function verifyMapping(check: MappingCheck): PlacedMapping {
  return verifyReadMapping(readMapping(check.object), check);
}

/** The same for a mapping that was decoded before. */
export function verifyReadMapping(
  read: UnverifiedMapping,
  check: Omit<MappingCheck, "object">,
): PlacedMapping {
  const { mapping } = read;
  const { credential, nowSeconds } = check;
  const msp = verifyMspSide(read, check);
  requireSignature({
    type: "mapping",
    role: roles.holder,
    zone: "",
    object: read.object,
    keys: [mapping.holderPublicKey],
    atSeconds: mapping.notBefore,
    verifier: check.verifier,
  });
  checkContent(mapping, check);
  if (!isAccredited(msp, nowSeconds)) {
    throw new DiscoveryError("UNKNOWN_MSP", "the msp is not accredited now");
  }
  if (credential.prover.operator === msp.operator) {
    throw new DiscoveryError("PROVER_NOT_INDEPENDENT", "prover and msp share an operator");
  }
  requireInForce({ record: "mapping", ...mapping, nowSeconds });
  const establishedAt = Math.max(mapping.establishedAt, credential.credential.firstProvedAt);
  return { mapping, sha256: read.sha256, msp, establishedAt };
}

/** The MSP's record and signature alone: what a holder can check before it countersigns. */
export function verifyMspSide(
  read: UnverifiedMapping,
  check: { readonly registry: Registry; readonly verifier: SignatureVerifier },
): MspRecord {
  const msp = check.registry.msp(read.mapping.mspId);
  if (msp === undefined) throw new DiscoveryError("UNKNOWN_MSP", "no such msp");
  requireSignature({
    type: "mapping",
    role: roles.msp,
    zone: "",
    object: read.object,
    keys: msp.keys,
    atSeconds: read.mapping.notBefore,
    verifier: check.verifier,
  });
  return msp;
}

/** What the payload says must agree with the credential and with the time of acceptance. */
export function checkContent(
  mapping: Mapping,
  check: Pick<MappingCheck, "credential" | "csi" | "opening" | "acceptedAt">,
): void {
  const { credential, acceptedAt } = check;
  verifyCommit({ commit: mapping.csiCommit, csi: check.csi, opening: check.opening });
  if (!equalBytes(mapping.holderPublicKey, credential.credential.holderPublicKey)) {
    throw new DiscoveryError("BAD_CREDENTIAL", "the credential is another holder's");
  }
  const refuse = (text: string): never => {
    throw new DiscoveryError("BAD_MAPPING", `mapping: ${text}`);
  };
  if (!equalBytes(mapping.credentialSha256, credential.sha256)) refuse("names another credential");
  if (mapping.notAfter > credential.credential.expires) refuse("outlives its credential");
  // Both clocks may be off by the tolerance, in opposite directions.
  const apart = 2 * limits.clockSkewSeconds;
  if (mapping.notBefore + apart < credential.credential.issued) refuse("older than its credential");
  if (mapping.notBefore - apart > acceptedAt || mapping.notAfter + apart < acceptedAt) {
    refuse("not in force when it was accepted");
  }
  checkEstablished(mapping, acceptedAt);
}

/** Older wins, so nobody may write an old date: a first payload's lies within 10 min of acceptance. */
function checkEstablished(mapping: Mapping, acceptedAt: number): void {
  const age = acceptedAt - mapping.establishedAt;
  const isFirst = mapping.prevSha256.length === 0;
  if (age < -limits.establishedSkewSeconds || (isFirst && age > limits.establishedSkewSeconds)) {
    throw new DiscoveryError("BAD_MAPPING", "mapping: established_at is not the time it was made");
  }
}
