// The operator's directory with authorities held back that were found lame, signed by an online ZSK, and
// their return (ADR on withdrawal). Nothing is added or left out: a mark is set or taken away, TTLs shrink.

import {
  DiscoveryError,
  limits,
  roles,
  type DirectoryHead,
  type KeyPeriod,
  type Node,
  type SignedObject,
  type ZoneName,
} from "@whither/protocol";
import { equalBytes, type Signer } from "@whither/crypto/node";
import { decodeNode, encodeDirectoryHead, encodeNode } from "@whither/wire";
import { signObject, type SignatureVerifier } from "../signed.js";
import type { Anchors } from "./anchors.js";
import { transferMessages, type VerifiedArtefact } from "./artefact.js";
import type { Directory, SignedNode } from "./directory.js";
import type { RootVoucher } from "./root-ksks.js";
import {
  checkPeriod,
  compareMarks,
  isSameObject,
  markOf,
  rootPlace,
  verifyTrust,
} from "./trust.js";
import { directoryDigest, DirectoryVerifier } from "./verify.js";

/** Zones that are held back, and since when, Unix seconds. */
export type WithdrawnZones = ReadonlyMap<ZoneName, number>;

export interface WithdrawalSigning {
  /** As the operator signed it, verified. */
  readonly base: VerifiedArtefact;
  /** What was published last; undefined: that is not known any more. */
  readonly served: Directory | undefined;
  readonly withdrawn: WithdrawnZones;
  /** A ZSK of the base's root keys. */
  readonly signer: Signer;
  readonly anchors: Anchors;
  readonly verifier: SignatureVerifier;
  readonly nowSeconds: number;
}

/**
 * The directory to publish, signed where that is needed and verified as a mirror would; yields after each
 * node. The base itself while nothing has to be signed, `undefined` when that, or what is served, stands
 * already. Throws KEY_MISSING, EXPIRED, NOT_YET_VALID for a key that may not sign, and as verifyTrust.
 */
export function* signWithdrawals(
  signing: WithdrawalSigning,
): Generator<undefined, VerifiedArtefact | undefined> {
  const { base, signer, nowSeconds } = signing;
  const served = sameEpoch(signing);
  const key = onlineKeyPeriod(base.directory, signer, nowSeconds);
  const keyEnd = key.notAfter;
  const { head: baseHead } = base.directory;
  const serial = nextSerial(baseHead, served?.head, nowSeconds);
  const nodes: PlacedNode[] = [];
  for (const one of base.directory.nodes()) {
    nodes.push(placeNode(one, { ...signing, served, keyEnd, serial }));
    yield;
  }
  if (served !== undefined && nodes.every(({ from }) => from === "base")) {
    const order = compareMarks(baseHead, served.head);
    if (order >= 0) return order > 0 ? base : undefined;
  }
  const signed = [...nodes.map(({ one }) => one), ...base.directory.records()];
  const head: DirectoryHead = {
    ...baseHead,
    serial,
    digest: directoryDigest(signed.map(({ object }) => object.payload)),
    // The operator's date: a server whose clock is fast would else be refused by everybody.
    notBefore: Math.max(baseHead.notBefore, key.notBefore),
    notAfter: Math.min(baseHead.notAfter, keyEnd),
  };
  if (served !== undefined && saysTheSame(served, { ...signing, head })) return undefined;
  const payload = encodeDirectoryHead(head);
  const headObject = signObject({ ...rootSigning, signer, type: "directory-head", payload });
  return yield* verified(signing, { headObject, nodes });
}

/** The zones that a directory marks as held back, each since when. */
export function withdrawnZonesOf(directory: Directory): WithdrawnZones {
  const found = new Map<ZoneName, number>();
  for (const { node } of directory.nodes()) {
    for (const { zone, withdrawnAt } of node.authorities) {
      if (withdrawnAt !== undefined) found.set(zone, withdrawnAt);
    }
  }
  return found;
}

/**
 * The node with these zones held back. One whose authorities are all to be held back holds none of them
 * back: somebody has to be asked.
 */
function holdBack(node: Node, withdrawn: WithdrawnZones): Node {
  const isHeld = node.authorities.map(({ zone }) => withdrawn.has(zone));
  if (!isHeld.includes(true) || !isHeld.includes(false)) return node;
  const authorities = node.authorities.map((authority) => {
    const withdrawnAt = withdrawn.get(authority.zone);
    return withdrawnAt === undefined ? authority : { ...authority, withdrawnAt };
  });
  // Who walks keeps a node for its TTL: a return is to be heard of soon.
  const ttlSeconds = Math.min(node.ttlSeconds, limits.withdrawnTtlSeconds);
  return { ...node, authorities, ttlSeconds };
}

const rootSigning = { role: roles.rootZsk, zone: rootPlace.zone } as const;

/**
 * Above everything published before, and with that forgotten still above it: serials follow the time, and
 * changes come seconds apart. A base numbered beyond the time keeps its lead.
 */
function nextSerial(
  base: DirectoryHead,
  served: DirectoryHead | undefined,
  nowSeconds: number,
): number {
  const sinceBase = Math.max(1, nowSeconds - base.notBefore);
  return Math.max((served?.serial ?? 0) + 1, nowSeconds, base.serial + sinceBase);
}

/** Readers begin anew with a new epoch; what was published in another one binds nobody. */
function sameEpoch({ base, served }: WithdrawalSigning): Directory | undefined {
  return served?.head.epoch === base.directory.head.epoch ? served : undefined;
}

/**
 * When the online key may sign. Throws KEY_MISSING when it is none of the directory's ZSKs, EXPIRED and
 * NOT_YET_VALID when it may not sign now.
 */
export function onlineKeyPeriod(
  { trust }: Directory,
  { publicKey }: Pick<Signer, "publicKey">,
  nowSeconds: number,
): KeyPeriod {
  const key = trust.rootKeys.zsks.find((one) => equalBytes(one.publicKey, publicKey));
  if (key === undefined) {
    throw new DiscoveryError("KEY_MISSING", "the online key is none of the root keys' ZSKs");
  }
  checkPeriod("online ZSK", key, nowSeconds);
  return key;
}

interface PlacedNode {
  readonly one: SignedNode;
  /** Where its signature comes from: the operator, an earlier signing here, or this one. */
  readonly from: "base" | "served" | "new";
}

function placeNode(
  one: SignedNode,
  to: WithdrawalSigning & { readonly keyEnd: number; readonly serial: number },
): PlacedNode {
  const { served, withdrawn, signer, keyEnd, serial } = to;
  const before = served?.node(one.node.prefix);
  const said = holdBack(one.node, withdrawn);
  if (said === one.node && isStillNewest(one, served)) {
    return { one, from: "base" };
  }
  // The operator's period: a mark gives nothing a longer life, nor a later date to a manifest that waits.
  const content = { ...said, notAfter: Math.min(said.notAfter, keyEnd) };
  const kept = before === undefined ? undefined : { ...content, serial: before.node.serial };
  if (before !== undefined && kept !== undefined && isSigned(before.object, signer)) {
    if (equalBytes(encodeNode(kept), before.object.payload)) return { one: before, from: "served" };
  }
  const payload = encodeNode({ ...content, serial });
  const object = signObject({ ...rootSigning, signer, type: "node", payload });
  return { one: { node: decodeNode(payload), object }, from: "new" };
}

/**
 * Whether readers take the operator's node: a walker refuses one older than it has seen of its prefix (ADR 14),
 * and may have seen one that was taken away meanwhile. Where nothing is known of what was published, none is taken.
 */
function isStillNewest({ node, object }: SignedNode, served: Directory | undefined): boolean {
  if (served === undefined) return false;
  const before = served.node(node.prefix);
  if (before === undefined) return served.serial < node.serial;
  return before.node.serial < node.serial || equalBytes(before.object.payload, object.payload);
}

function isSigned({ signatures }: SignedObject, { keyId }: Signer): boolean {
  return signatures.some((signature) => equalBytes(signature.keyId, keyId));
}

/** Whether what is served differs from this head in its number at most, under the same keys. */
function saysTheSame(
  served: Directory,
  { base, signer, head }: WithdrawalSigning & { readonly head: DirectoryHead },
): boolean {
  const { voucher, headObject } = served.trust;
  const { serial } = served.head;
  const sets = setsOf(voucher);
  const given = setsOf(base.directory.trust.voucher);
  return (
    sets.length === given.length &&
    sets.every((set, at) => given[at] !== undefined && isSameObject(set, given[at])) &&
    isSigned(headObject, signer) &&
    equalBytes(encodeDirectoryHead({ ...head, serial }), headObject.payload)
  );
}

function setsOf({ rootKeys, earlierRootKeys = [] }: RootVoucher): readonly SignedObject[] {
  return [rootKeys, ...earlierRootKeys];
}

/** As a mirror would take it: what was verified before by its bytes, what is new by its signature. */
function* verified(
  signing: WithdrawalSigning,
  made: { readonly headObject: SignedObject; readonly nodes: readonly PlacedNode[] },
): Generator<undefined, VerifiedArtefact> {
  const { base, anchors, verifier, nowSeconds } = signing;
  const served = sameEpoch(signing);
  const { voucher } = base.directory.trust;
  const { headObject: head, nodes } = made;
  const previous = served === undefined ? {} : { previous: markOf(served.trust) };
  const check = { anchors, verifier, nowSeconds, known: base.directory.trust, ...previous };
  const trust = verifyTrust({ ...check, ...voucher, head });
  const verification = new DirectoryVerifier({ trust, nowSeconds, verifier });
  for (const { one, from } of nodes) {
    if (from === "new") yield* verification.add({ nodes: [one.object], records: [] });
    else yield* verification.addKnown({ nodes: [one], records: [] });
  }
  yield* verification.addKnown({ nodes: [], records: base.directory.records() });
  const directory = verification.finish();
  const messages: Uint8Array[] = [];
  for (const message of transferMessages(directory.objects())) {
    messages.push(message);
    yield;
  }
  return { directory, messages };
}
