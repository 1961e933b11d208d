// A prover's credential: "the holder of this key proved possession of that CSI" (protocol.md section 6,
// requirements 1 and 5). What it costs to obtain one is the prover's business, not this file's.

import {
  DiscoveryError,
  csiScheme,
  isCsiWithin,
  limits,
  roles,
  type Credential,
  type Csi,
  type DpRecord,
  type ProverRecord,
  type SignedObject,
} from "@whither/protocol";
import { decodeCredential } from "@whither/wire";
import type { Registry } from "../registry.js";
import { payloadSha256, type SignatureVerifier } from "../signed.js";
import { verifyCommit } from "./commit.js";
import { decodeRecord, requireInForce, requireSignature } from "./signer-rules.js";

export interface CredentialCheck {
  readonly object: SignedObject;
  readonly csi: Csi;
  /** 32 bytes that open the credential's csi_commit. */
  readonly opening: Uint8Array;
  /** The DP whose zone it is used in; absent where no zone is involved yet (an MSP drafting). */
  readonly zoneDp?: DpRecord;
  readonly registry: Registry;
  readonly nowSeconds: number;
  readonly verifier: SignatureVerifier;
}

export interface VerifiedCredential {
  readonly credential: Credential;
  /** SHA-256 of the payload, which the mapping names. */
  readonly sha256: Uint8Array;
  readonly prover: ProverRecord;
}

/**
 * Verifies a credential for this CSI. The prover's name stands inside the payload, so the payload is
 * decoded under bounds before its signature is checked; nothing else is done with it until it is.
 * In this order: BAD_CREDENTIAL (shape) · UNKNOWN_PROVER · BAD_SIGNATURE or KEY_MISSING · BAD_OPENING ·
 * BAD_CREDENTIAL (lifetime of the scheme) · PROVER_SCOPE (prefix, level, method) ·
 * PROVER_NOT_INDEPENDENT (of the DP) · NOT_YET_VALID or EXPIRED.
 */
export function verifyCredential(check: CredentialCheck): VerifiedCredential {
  const { object, csi, registry, nowSeconds, verifier } = check;
  const credential = decodeRecord("BAD_CREDENTIAL", () => decodeCredential(object.payload));
  const prover = registry.prover(credential.proverId);
  if (prover === undefined) throw new DiscoveryError("UNKNOWN_PROVER", "no such prover");
  requireSignature({
    type: "credential",
    role: roles.prover,
    zone: "",
    object,
    keys: prover.keys,
    atSeconds: credential.issued,
    verifier,
  });
  verifyCommit({ commit: credential.csiCommit, csi, opening: check.opening });
  checkLifetime(credential, csi);
  checkScope({ credential, prover, csi });
  // Without the exception for level 3 evidence signed by the CSIP itself, which no credential carries yet.
  if (check.zoneDp?.operator === prover.operator) {
    throw new DiscoveryError("PROVER_NOT_INDEPENDENT", "prover and dp share an operator");
  }
  requireInForce({
    record: "credential",
    notBefore: credential.issued,
    notAfter: credential.expires,
    nowSeconds,
  });
  return { credential, sha256: payloadSha256(object), prover };
}

/** Numbers change hands, addresses less often: tel ≤45 d, others ≤90 d (the codec's bound). */
function checkLifetime(credential: Credential, csi: Csi): void {
  const max =
    csiScheme(csi) === "tel"
      ? limits.telCredentialLifetimeSecondsMax
      : limits.credentialLifetimeSecondsMax;
  if (credential.expires - credential.issued > max) {
    throw new DiscoveryError("BAD_CREDENTIAL", "credential: lives too long for its scheme");
  }
}

function checkScope(check: {
  readonly credential: Credential;
  readonly prover: ProverRecord;
  readonly csi: Csi;
}): void {
  const { credential, prover, csi } = check;
  if (!prover.prefixes.some((prefix) => isCsiWithin(csi, prefix))) {
    throw new DiscoveryError("PROVER_SCOPE", "identifier outside the prover's prefixes");
  }
  if (credential.level > prover.maxLevel) {
    throw new DiscoveryError("PROVER_SCOPE", "level above the prover's");
  }
  if (!prover.methods.includes(credential.method)) {
    throw new DiscoveryError("PROVER_SCOPE", "method not registered for the prover");
  }
}
