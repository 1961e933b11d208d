// Verification of a public slot's plaintext by whoever reads it: resolver, monitor, and a DP that opens
// its own (protocol.md sections 4 and 6, requirement 6). The way to the plaintext is mapping/'s.

import {
  DiscoveryError,
  isDiscoveryError,
  limits,
  type Credential,
  type Csi,
  type DpRecord,
  type ErrorCode,
  type Manifest,
  type Mapping,
  type MspId,
  type SlotBody,
  type SlotMapping,
  type Statement,
  type ZoneName,
} from "@whither/protocol";
import { decodeSlotBody } from "@whither/wire";
import type { Registry } from "../registry.js";
import type { SignatureVerifier } from "../signed.js";
import { verifyAcceptance } from "./acceptance.js";
import { verifyCredential } from "./credential.js";
import { joinKeys, verifyKeyLink } from "./key-link.js";
import { readMapping, verifyReadMapping, type UnverifiedMapping } from "./mapping.js";
import { requireInForce } from "./signer-rules.js";
import { checkNamedMappings, verifyStatementSignature } from "./statement.js";

export interface SlotCheck {
  readonly csi: Csi;
  /** The zone whose tree held the slot. */
  readonly zone: ZoneName;
  /** Its manifest, trusted by its hash. */
  readonly manifest: Manifest;
  /** Registry record of the DP that serves the zone. */
  readonly dp: DpRecord;
  readonly registry: Registry;
  /** What openPublicSlot returned. */
  readonly plaintext: Uint8Array;
  readonly nowSeconds: number;
  readonly verifier: SignatureVerifier;
}

/** One mapping of a slot, all of whose signatures hold. */
export interface VerifiedMapping {
  readonly mspId: MspId;
  /** From the holder's statement; unique in the slot, lower is better. */
  readonly preference: number;
  readonly tags: readonly string[];
  /** Level and method of the proof, 1..3. */
  readonly level: number;
  readonly method: string;
  /** Effective: max(payload, first proof). */
  readonly establishedAt: number;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly acceptedAt: number;
  readonly mimiDirectoryUrl: string;
  readonly mappingSha256: Uint8Array;
  readonly mapping: Mapping;
  readonly credential: Credential;
}

/** A mapping that is authentic in form but does not count now, and why. */
export interface DroppedMapping {
  readonly mspId: MspId;
  readonly code: ErrorCode;
}

export interface VerifiedSlot {
  readonly statement: Statement;
  readonly statementSha256: Uint8Array;
  /** The holder's: the key that signed the statement, then those that the slot's links join to it. */
  readonly holderKeys: readonly [Uint8Array, ...Uint8Array[]];
  /** In the statement's order. */
  readonly mappings: readonly VerifiedMapping[];
  readonly dropped: readonly DroppedMapping[];
  /** MSPs of every mapping the statement names, dropped ones included: what the compact bits tell. */
  readonly presentMsps: readonly MspId[];
}

/**
 * Failures that time or a later registry brings about without anybody's fault: they cost the mapping.
 * Every other failure is something the DP had to see before it signed: it makes the slot BOGUS.
 */
const droppable: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "EXPIRED",
  "NOT_YET_VALID",
  "KEY_MISSING",
  "UNKNOWN_MSP",
  "UNKNOWN_PROVER",
  "PROVER_SCOPE",
  "PROVER_NOT_INDEPENDENT",
]);

/**
 * Verifies statement, key-links, mappings, credentials, openings and acceptances of a slot: 1 + 2 per link + 4
 * per mapping signatures. Throws BOGUS, with the first broken rule as text and cause. An expired statement drops all.
 */
export function verifySlot(check: SlotCheck): VerifiedSlot {
  const { body, statement, sha256, holderKeys, read } = asBogus(() => readSlot(check));
  const expired = attempt(() =>
    requireInForce({ record: "statement", ...statement, nowSeconds: check.nowSeconds }),
  );
  const mappings: VerifiedMapping[] = [];
  const dropped: DroppedMapping[] = [];
  for (const [place, item] of statement.items.entries()) {
    const slotMapping = body.mappings[place];
    const unverified = read[place];
    if (slotMapping === undefined || unverified === undefined) continue; // readSlot counted them
    const { mspId } = unverified.mapping;
    const outcome =
      expired ?? attempt(() => verifySlotMapping({ ...check, slotMapping, unverified }));
    if (outcome instanceof DiscoveryError) dropped.push({ mspId, code: outcome.code });
    else mappings.push({ ...outcome, preference: item.preference, tags: item.tags });
  }
  return {
    statement,
    statementSha256: sha256,
    holderKeys,
    mappings,
    dropped,
    presentMsps: read.map(({ mapping }) => mapping.mspId),
  };
}

function readSlot(check: SlotCheck): {
  readonly body: SlotBody;
  readonly statement: Statement;
  readonly sha256: Uint8Array;
  readonly holderKeys: VerifiedSlot["holderKeys"];
  readonly read: readonly UnverifiedMapping[];
} {
  if (check.manifest.zone !== check.zone) throw new TypeError("the manifest is another zone's");
  const body = decodeSlotBody(check.plaintext);
  const { statement, sha256 } = verifyStatementSignature({
    object: body.statement,
    zone: check.zone,
    verifier: check.verifier,
  });
  const { csi, verifier } = check;
  // Neither time nor registry changes a link: one that fails is the DP's fault (ADR 12).
  const links = body.links.map((one) => verifyKeyLink({ ...one, csi, verifier }));
  const holderKeys = joinKeys(statement.holderPublicKey, links);
  const read = body.mappings.map(({ mapping }) => readMapping(mapping));
  checkNamedMappings(statement, read, holderKeys);
  return { body, statement, sha256, holderKeys, read };
}

function verifySlotMapping(
  check: SlotCheck & {
    readonly slotMapping: SlotMapping;
    readonly unverified: UnverifiedMapping;
  },
): Omit<VerifiedMapping, "preference" | "tags"> {
  const { csi, slotMapping, unverified, registry, nowSeconds, verifier } = check;
  const { opening } = slotMapping;
  const acceptance = alwaysBogus(() =>
    verifyAcceptance({
      object: slotMapping.acceptance,
      manifest: check.manifest,
      mappingSha256: unverified.sha256,
      nowSeconds,
      verifier,
    }),
  );
  const credential = verifyCredential({
    object: slotMapping.credential,
    csi,
    opening,
    zoneDp: check.dp,
    registry,
    nowSeconds,
    verifier,
  });
  const { acceptedAt } = acceptance;
  const placed = verifyReadMapping(unverified, {
    credential,
    csi,
    opening,
    acceptedAt,
    registry,
    nowSeconds,
    verifier,
  });
  return {
    mspId: placed.msp.id,
    level: credential.credential.level,
    method: credential.credential.method,
    establishedAt: placed.establishedAt,
    notBefore: placed.mapping.notBefore,
    notAfter: placed.mapping.notAfter,
    acceptedAt,
    mimiDirectoryUrl: placed.msp.mimiDirectoryUrl,
    mappingSha256: placed.sha256,
    mapping: placed.mapping,
    credential: credential.credential,
  };
}

/** The value, or the failure that costs one mapping; every other failure is thrown as BOGUS. */
function attempt<T>(verify: () => T): T | DiscoveryError {
  try {
    return verify();
  } catch (error) {
    if (isDiscoveryError(error) && droppable.has(error.code)) return error;
    throw bogus(error);
  }
}

function asBogus<T>(verify: () => T): T {
  try {
    return verify();
  } catch (error) {
    throw bogus(error);
  }
}

/** The DP's own signature: no registry explains why it fails. */
const alwaysBogus = asBogus;

function bogus(error: unknown): unknown {
  if (!isDiscoveryError(error) || error.code === "BOGUS") return error;
  return new DiscoveryError("BOGUS", `slot: ${error.text}`.slice(0, 64), { cause: error });
}

/**
 * Positions that the compact bit string of a slot must show, ascending: the MSP of every mapping that the
 * statement names, if registered and within the string. Used by the DP that masks and by who checks it.
 */
export function slotBits(mspIds: readonly MspId[], registry: Registry): readonly number[] {
  const bits = mspIds.map((id) => registry.msp(id)?.bit ?? limits.mspBitsPerEntry);
  const shown = new Set(bits.filter((bit) => bit < limits.mspBitsPerEntry));
  return [...shown].toSorted((a, b) => a - b);
}

/**
 * Compares unmasked compact positions with a verified slot; throws BOGUS where they differ (protocol.md
 * section 5). An MSP that this registry does not know has no position here, so a surplus one is then no proof.
 */
export function verifySlotBits(check: {
  readonly slot: VerifiedSlot;
  readonly bits: readonly number[];
  readonly registry: Registry;
}): void {
  const { slot, bits, registry } = check;
  const expected = new Set(slotBits(slot.presentMsps, registry));
  const missing = [...expected].some((bit) => !bits.includes(bit));
  const unknownMsps = slot.presentMsps.some((id) => registry.msp(id) === undefined);
  const surplus = bits.some(
    (bit) => !expected.has(bit) && !(unknownMsps && registry.mspAtBit(bit) === undefined),
  );
  if (missing || surplus) throw new DiscoveryError("BOGUS", "compact bits differ from the slot");
}
