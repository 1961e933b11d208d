// The DP's part of a registration: whether a request may change a public slot, and what then stands in it
// (protocol.md section 6, requirements 3 to 5, 17, 21). Two decisions: one without looking at the slot, so
// that nobody learns about it who has not proved possession, and one with it. No storage, no clock.

import {
  DiscoveryError,
  limits,
  type Csi,
  type DpRecord,
  type Manifest,
  type SignedObject,
  type SlotBody,
  type SlotKeyLink,
  type SlotMapping,
} from "@whither/protocol";
import { equalBytes, importPublicKey } from "@whither/crypto/node";
import {
  checkNamedMappings,
  includesKey,
  isAccredited,
  slotBits,
  verifyCredential,
  verifyMapping,
  verifyStatement,
  type PlacedMapping,
  type Registry,
  type SignatureVerifier,
  type VerifiedStatement,
} from "@whither/zone";
import { checkOffer } from "./offer.js";
import type { AddedMapping, RegistrationRequest } from "./register-request.js";
import { checkLinks, joinLinks, type ReadKeyLink, type SlotLinks } from "./slot-links.js";
import { readStandingSlot, type StandingSlot } from "./standing-slot.js";

/** The zone that decides and what it believes. */
export interface DpContext {
  readonly manifest: Manifest;
  /** Registry record of this DP. */
  readonly dp: DpRecord;
  readonly registry: Registry;
  readonly nowSeconds: number;
}

/** A request whose signatures and rules hold, whatever stands in the slot. */
export interface CheckedRegistration {
  readonly csi: Csi;
  readonly statement: VerifiedStatement;
  readonly statementObject: SignedObject;
  readonly added?: AddedMapping & { readonly placed: PlacedMapping };
  /** Those of the request, verified. */
  readonly links: readonly ReadKeyLink[];
}

/**
 * First decision, without the slot. In this order: NOT_AUTHORITATIVE (zone) · the statement
 * (verifyStatement) · BAD_STATEMENT (ported to itself) · the key-links (checkLinks) · the credential
 * (verifyCredential) · the mapping (verifyMapping) · BAD_STATEMENT (another holder than the mapping's) · NOT_AVAILABLE
 * (a renewal).
 */
export function checkRegistration(
  request: RegistrationRequest,
  context: DpContext & { readonly verifier: SignatureVerifier },
): CheckedRegistration {
  const { manifest, dp, registry, nowSeconds, verifier } = context;
  const { csi, added, zone } = request;
  if (zone !== manifest.zone) throw new DiscoveryError("NOT_AUTHORITATIVE", "not a zone of ours");
  const object = request.statement;
  const statement = verifyStatement({ object, zone, nowSeconds, verifier });
  requireImportable(statement.statement.holderPublicKey);
  if (statement.statement.portedTo === csi) {
    throw new DiscoveryError("BAD_STATEMENT", "statement: ported to the identifier itself");
  }
  const own = statement.statement.holderPublicKey;
  const links = checkLinks({ links: request.links ?? [], own, csi, verifier });
  for (const { link } of links) requireImportable(link.oldPublicKey, link.newPublicKey);
  if (added === undefined) return { csi, statement, statementObject: object, links };
  const { opening } = added;
  const common = { csi, opening, registry, nowSeconds, verifier };
  const credential = verifyCredential({ ...common, object: added.credential, zoneDp: dp });
  const placed = verifyMapping({
    ...common,
    object: added.mapping,
    credential,
    acceptedAt: nowSeconds,
  });
  if (!equalBytes(placed.mapping.holderPublicKey, statement.statement.holderPublicKey)) {
    throw new DiscoveryError("BAD_STATEMENT", "statement: of another holder than the mapping");
  }
  if (placed.mapping.prevSha256.length > 0) {
    throw new DiscoveryError("NOT_AVAILABLE", "renewals are not available yet");
  }
  return { csi, statement, statementObject: object, links, added: { ...added, placed } };
}

/** The verifier has refused such keys already; a slot must not hold one even if a verifier were lax. */
function requireImportable(...publicKeys: readonly Uint8Array[]): void {
  try {
    for (const publicKey of publicKeys) importPublicKey(publicKey);
  } catch (cause) {
    throw new DiscoveryError("BAD_SIGNATURE", "holder key is not usable", { cause });
  }
}

export type RegistrationDecision =
  /** The identical statement stands already: answer as before, write nothing. */
  | { readonly kind: "unchanged"; readonly body: SlotBody; readonly acceptance?: SignedObject }
  /** The slot becomes these mappings; `fresh` is the one that still lacks its acceptance. */
  | {
      readonly kind: "place";
      readonly statement: SignedObject;
      readonly kept: readonly SlotMapping[];
      readonly fresh?: AddedMapping & { readonly sha256: Uint8Array };
      /** Of a mapping that was sent again and stands already. */
      readonly acceptance?: SignedObject;
      /** In the statement's order. */
      readonly order: readonly Uint8Array[];
      readonly bits: readonly number[];
      readonly links: readonly SlotKeyLink[];
    }
  /** The slot leaves the tree; the statement stays with the DP, so that its seq cannot be undercut. */
  | {
      readonly kind: "remove";
      readonly statement: SignedObject;
      readonly links: readonly SlotKeyLink[];
    };

/**
 * Second decision, with what stands (`undefined`: never registered; an empty body: removed). In this order:
 * unchanged · BAD_OFFER · REPLAYED · SLOT_FULL (key-links) · INCUMBENT (another holder, unexpired: no key that links join to the
 * statement's) · STALE_SEQUENCE · BAD_STATEMENT (names what is not there) · EXPIRED or UNKNOWN_MSP (keeps what no longer counts) ·
 * BAD_STATEMENT (one MSP twice, commitments). SLOT_FULL of the size is settleRegistration's.
 * Without a new mapping nothing was proved, so "no slot" and "not yours" are one and the same BAD_STATEMENT.
 */
export function decideRegistration(
  input: Pick<DpContext, "manifest" | "registry" | "nowSeconds"> & {
    readonly checked: CheckedRegistration;
    /** Plaintext of what stands: an encoded SlotBody. */
    readonly current: Uint8Array | undefined;
    readonly offerKey: Uint8Array;
    /** Whether this nonce was used by another statement before. */
    readonly isUsed: (nonceD: Uint8Array) => boolean;
  },
): RegistrationDecision {
  const { checked, manifest, nowSeconds } = input;
  const { statement, sha256 } = checked.statement;
  const current = input.current === undefined ? undefined : readStandingSlot(input.current);
  if (current !== undefined && equalBytes(current.statementSha256, sha256)) {
    return unchanged(current, checked);
  }
  const { nonceD } = statement;
  checkOffer({ key: input.offerKey, zone: manifest.zone, nonceD, nowSeconds });
  const usedHere = current !== undefined && equalBytes(current.statement.nonceD, nonceD);
  if (usedHere || input.isUsed(nonceD)) {
    throw new DiscoveryError("REPLAYED", "this offer was used before");
  }
  const own = statement.holderPublicKey;
  const links = joinLinks({ own, standing: current?.links ?? [], added: checked.links });
  const standing = standingOf(current, { checked, links, nowSeconds });
  return compose({ ...input, standing, links });
}

function unchanged(current: StandingSlot, checked: CheckedRegistration): RegistrationDecision {
  return {
    kind: "unchanged",
    body: current.body,
    ...standingAcceptance(current.mappings, checked),
  };
}

/** The acceptance of a mapping that is sent again. */
function standingAcceptance(
  standing: StandingSlot["mappings"],
  { added }: CheckedRegistration,
): { readonly acceptance?: SignedObject } {
  const entry = standing.find(
    (one) => added !== undefined && equalBytes(one.sha256, added.placed.sha256),
  );
  return entry === undefined ? {} : { acceptance: entry.slotMapping.acceptance };
}

/** What stands of this holder, by whichever of its keys; throws INCUMBENT or, to who has proved nothing, BAD_STATEMENT. */
function standingOf(
  current: StandingSlot | undefined,
  {
    checked,
    links,
    nowSeconds,
  }: {
    readonly checked: CheckedRegistration;
    readonly links: SlotLinks;
    readonly nowSeconds: number;
  },
): StandingSlot["mappings"] {
  const { statement } = checked.statement;
  const proved = checked.added !== undefined;
  const isOwn = current !== undefined && includesKey(links.keys, current.statement.holderPublicKey);
  if (isOwn) {
    if (statement.seq <= current.statement.seq) {
      throw new DiscoveryError("STALE_SEQUENCE", "statement: seq is not newer");
    }
    return current.mappings;
  }
  if (!proved)
    throw new DiscoveryError("BAD_STATEMENT", "statement: no such mapping of the holder");
  const inForce = current?.mappings.some(
    ({ mapping }) => mapping.notAfter + limits.clockSkewSeconds > nowSeconds,
  );
  if (inForce) throw new DiscoveryError("INCUMBENT", "another holder key has this identifier");
  return [];
}

function compose(input: {
  readonly checked: CheckedRegistration;
  readonly standing: StandingSlot["mappings"];
  readonly links: SlotLinks;
  readonly registry: Registry;
  readonly nowSeconds: number;
}): RegistrationDecision {
  const { checked, standing, links } = input;
  const { statementObject, added } = checked;
  const { statement } = checked.statement;
  const refuse = (text: string): never => {
    throw new DiscoveryError("BAD_STATEMENT", `statement: ${text}`);
  };
  const named = statement.items.map(({ mappingSha256 }) => {
    const kept = standing.find((entry) => equalBytes(entry.sha256, mappingSha256));
    if (kept !== undefined) return kept;
    const placed = added?.placed;
    if (placed !== undefined && equalBytes(placed.sha256, mappingSha256)) return placed;
    return refuse("no such mapping of the holder");
  });
  if (added !== undefined && !named.some((one) => equalBytes(one.sha256, added.placed.sha256))) {
    refuse("does not name the new mapping");
  }
  if (named.length === 0) return remove(input);
  const mspIds = named.map((one) => one.mapping.mspId);
  if (new Set(mspIds).size !== mspIds.length) refuse("names one msp twice");
  checkNamedMappings(statement, named, links.keys);
  const kept = named.filter((one) => "slotMapping" in one);
  for (const entry of kept) requireStillCounts(entry, input);
  const isFresh = added !== undefined && kept.length < named.length;
  return {
    kind: "place",
    statement: statementObject,
    kept: kept.map((entry) => entry.slotMapping),
    ...(isFresh ? { fresh: { ...added, sha256: added.placed.sha256 } } : {}),
    ...standingAcceptance(standing, checked),
    order: statement.items.map((item) => item.mappingSha256),
    bits: slotBits(mspIds, input.registry),
    links: links.links,
  };
}

/** A removal names nothing, so its commitments must tell which identifier it is about. */
function remove({
  checked,
  standing,
  links,
}: {
  readonly checked: CheckedRegistration;
  readonly standing: StandingSlot["mappings"];
  readonly links: SlotLinks;
}): RegistrationDecision {
  const { csiCommits } = checked.statement.statement;
  const agree = csiCommits.every((commit) =>
    standing.some(({ mapping }) => equalBytes(mapping.csiCommit, commit)),
  );
  if (csiCommits.length === 0 || !agree) {
    throw new DiscoveryError("BAD_STATEMENT", "statement: removes another identifier's mappings");
  }
  return { kind: "remove", statement: checked.statementObject, links: links.links };
}

/** What is kept was verified when it was accepted; since then it may have run out. */
function requireStillCounts(
  { mapping }: StandingSlot["mappings"][number],
  context: { readonly registry: Registry; readonly nowSeconds: number },
): void {
  if (mapping.notAfter + limits.clockSkewSeconds <= context.nowSeconds) {
    throw new DiscoveryError("EXPIRED", "statement: keeps an expired mapping");
  }
  const msp = context.registry.msp(mapping.mspId);
  if (msp === undefined || !isAccredited(msp, context.nowSeconds)) {
    throw new DiscoveryError("UNKNOWN_MSP", "statement: keeps an unaccredited msp");
  }
}
