// A statement: the holder places its mappings in a zone, in its order (protocol.md section 6,
// requirements 3 and 7). The newest seq counts; comparing seqs is the DP's (ceremony) and the monitor's.

import {
  DiscoveryError,
  isCanonicalCsi,
  parseZoneName,
  roles,
  type Mapping,
  type SignedObject,
  type Statement,
  type ZoneName,
} from "@whither/protocol";
import { compareBytes, equalBytes } from "@whither/crypto/node";
import { decodeStatement } from "@whither/wire";
import { payloadSha256, type SignatureVerifier } from "../signed.js";
import { includesKey } from "./key-link.js";
import { decodeRecord, requireInForce, requireSignature } from "./signer-rules.js";

export interface StatementCheck {
  readonly object: SignedObject;
  readonly zone: ZoneName;
  readonly nowSeconds: number;
  readonly verifier: SignatureVerifier;
}

export interface VerifiedStatement {
  readonly statement: Statement;
  readonly sha256: Uint8Array;
}

/**
 * Verifies a statement for a public slot of this zone. The holder's key stands in the payload, which is
 * therefore decoded under bounds first. In this order: BAD_STATEMENT (shape; duplicate preference,
 * mapping or tag) · BAD_SIGNATURE · BAD_STATEMENT (zone, tag, commitments, ported_to) · NOT_YET_VALID or EXPIRED.
 */
export function verifyStatement(check: StatementCheck): VerifiedStatement {
  const verified = verifyStatementSignature(check);
  requireInForce({ record: "statement", ...verified.statement, nowSeconds: check.nowSeconds });
  return verified;
}

/** The same without the times: what a statement says is true of it, in force or not. */
export function verifyStatementSignature(
  check: Omit<StatementCheck, "nowSeconds">,
): VerifiedStatement {
  const { object, zone, verifier } = check;
  const statement = decodeRecord("BAD_STATEMENT", () => decodeStatement(object.payload));
  requireSignature({
    type: "statement",
    role: roles.holder,
    zone,
    object,
    keys: [statement.holderPublicKey],
    atSeconds: statement.notBefore,
    verifier,
  });
  const refuse = (text: string): never => {
    throw new DiscoveryError("BAD_STATEMENT", `statement: ${text}`);
  };
  if (statement.zone !== zone) refuse("for another zone");
  if (statement.tag.length > 0) refuse("a public slot has no tag");
  if (hasDuplicate(statement.csiCommits)) refuse("a commitment stands twice");
  const { portedTo, items } = statement;
  if (!isDestination(portedTo)) refuse("ported_to is neither identifier nor zone");
  if (portedTo === zone) refuse("ported to the zone it stands in");
  // A mapping's credential is what ties this key to the identifier: without one a DP could sign with a key of
  // its own that anybody has moved anywhere.
  if (portedTo !== "" && items.length === 0)
    refuse("ported without a mapping to prove whose it is");
  return { statement, sha256: payloadSha256(object) };
}

/**
 * Checks that the mappings are exactly those the statement names, in its order, of its holder's keys and with
 * its commitments. Throws BAD_STATEMENT. One omitted, added, repeated or moved is seen here.
 */
export function checkNamedMappings(
  statement: Statement,
  mappings: readonly { readonly mapping: Mapping; readonly sha256: Uint8Array }[],
  /** The statement's own key, and those that verified links join to it. */
  holderKeys: readonly Uint8Array[],
): void {
  const refuse = (text: string): never => {
    throw new DiscoveryError("BAD_STATEMENT", `statement: ${text}`);
  };
  if (statement.items.length !== mappings.length) {
    refuse(`names ${statement.items.length} mappings, got ${mappings.length}`);
  }
  for (const [place, item] of statement.items.entries()) {
    const named = mappings[place];
    if (named === undefined || !equalBytes(named.sha256, item.mappingSha256)) {
      refuse("names another mapping");
    } else if (!includesKey(holderKeys, named.mapping.holderPublicKey)) {
      refuse("a mapping is another holder's");
    }
  }
  const commits = mappings.map(({ mapping }) => mapping.csiCommit);
  const agree =
    commits.every((commit) => includesBytes(statement.csiCommits, commit)) &&
    statement.csiCommits.every((commit) => includesBytes(commits, commit));
  // The commitments of a removal are those of what stood before, which only the DP can compare.
  if (mappings.length > 0 && !agree) refuse("commitments differ from the mappings'");
}

/** Whether one of the byte strings equals `wanted`. */
function includesBytes(all: readonly Uint8Array[], wanted: Uint8Array): boolean {
  return all.some((bytes) => equalBytes(bytes, wanted));
}

function hasDuplicate(all: readonly Uint8Array[]): boolean {
  const sorted = all.toSorted(compareBytes);
  return sorted.some((bytes, i) => {
    const next = sorted[i + 1];
    return next !== undefined && equalBytes(bytes, next);
  });
}

function isDestination(portedTo: string): boolean {
  if (portedTo === "" || isCanonicalCsi(portedTo)) return true;
  try {
    return parseZoneName(portedTo) !== ".";
  } catch {
    return false; // not a name either
  }
}
