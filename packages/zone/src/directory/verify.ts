// Full verification of a directory: every signature, every place in the tree, the digest. Incremental,
// so that a server's stream is refused at its first wrong record, and sliced by whoever drives it.

import {
  DiscoveryError,
  isWithin,
  prefixDepth,
  zoneDp,
  type Node,
  type Party,
  type RegistryRecord,
  type SignedObject,
} from "@whither/protocol";
import {
  concatBytes,
  equalBytes,
  importPublicKey,
  sha384,
  uint32Bytes,
} from "@whither/crypto/node";
import { decodeNode, decodeRegistryRecord } from "@whither/wire";
import { verifySigned, type SignatureVerifier } from "../signed.js";
import type { Anchors } from "./anchors.js";
import {
  createDirectory,
  NodeIndex,
  type Directory,
  type DirectoryObjects,
  type SignedNode,
  type SignedRecord,
} from "./directory.js";
import { compareParties } from "./record-order.js";
import { checkObjectSize } from "./object-size.js";
import {
  checkPeriod,
  verifyTrust,
  type DirectoryMark,
  type DirectoryTrust,
  type NodeTrust,
} from "./trust.js";
import { TreeOrder } from "./tree-order.js";

/**
 * Verifies a directory whole, without a pause: for files and tests. About 6,000 records a second; a
 * process that serves drives DirectoryVerifier in slices instead. Throws as verifyTrust, and BOGUS for
 * a tree, order, count or digest that differs.
 */
export function verifyDirectory(check: {
  readonly objects: DirectoryObjects;
  readonly anchors: Anchors;
  readonly nowSeconds: number;
  readonly verifier: SignatureVerifier;
  readonly previous?: DirectoryMark | undefined;
  readonly known?: DirectoryTrust | undefined;
}): Directory {
  const { objects, nowSeconds, verifier } = check;
  const { rootKeys, earlierRootKeys, head } = objects;
  const trust = verifyTrust({ ...check, rootKeys, earlierRootKeys, head });
  const verification = new DirectoryVerifier({ trust, nowSeconds, verifier });
  for (const _ of verification.add(objects)) continue;
  return verification.finish();
}

/** Takes nodes, then records, in digest order and in as many parts as they come. */
export class DirectoryVerifier<T extends NodeTrust = DirectoryTrust> {
  readonly #check: PartsCheck<T>;
  readonly #order: TreeOrder;
  readonly #digest = new DigestParts();
  readonly #index = new NodeIndex();
  readonly #records: SignedRecord[] = [];
  readonly #bits = new Set<number>();

  constructor(check: PartsCheck<T>) {
    this.#check = check;
    this.#order = new TreeOrder(check.trust.apex);
  }

  /** Yields after each record (about 0.2 ms): the driver gives the event loop its turn. */
  *add(part: Pick<DirectoryObjects, "nodes" | "records">): Generator<undefined, void> {
    for (const object of part.nodes) {
      this.#addNode(object);
      yield;
    }
    for (const object of part.records) {
      this.#addRecord(object);
      yield;
    }
  }

  /** As `add`, for what a directory held already vouches for: signature and fields are known, time is not. */
  *addKnown(part: {
    readonly nodes: readonly SignedNode[];
    readonly records: readonly SignedRecord[];
  }): Generator<undefined, void> {
    for (const one of part.nodes) {
      this.#checkNodeCount();
      checkRecordTime("node", one.node, this.#check);
      this.#placeNode(one);
      yield;
    }
    for (const one of part.records) {
      this.#checkRecordCount();
      checkRecordTime("registry", one.record, this.#check);
      this.#placeRecord(one);
      yield;
    }
  }

  /** Throws BOGUS unless everything that the head counts is here and has its digest. */
  finish(): Directory<T> {
    const { trust } = this.#check;
    const { head } = trust;
    this.#order.finish();
    if (this.#index.size !== head.nodeCount || this.#records.length !== head.recordCount) {
      throw new DiscoveryError("BOGUS", "directory: fewer records than the head counts");
    }
    if (!equalBytes(this.#digest.sha384(), head.digest)) {
      throw new DiscoveryError("BOGUS", "directory: digest differs from the head's");
    }
    return createDirectory({ trust, index: this.#index, records: this.#records });
  }

  #addNode(object: SignedObject): void {
    this.#checkNodeCount();
    this.#placeNode({ node: verifyNode({ ...this.#check, object }), object });
  }

  #checkNodeCount(): void {
    if (this.#records.length > 0) throw new DiscoveryError("BOGUS", "directory: a node too late");
    if (this.#index.size >= this.#check.trust.head.nodeCount) {
      throw new DiscoveryError("BOGUS", "directory: more nodes than the head counts");
    }
  }

  #placeNode(one: SignedNode): void {
    this.#order.next(one.node);
    this.#digest.add(one.object.payload);
    this.#index.add(one);
  }

  #addRecord(object: SignedObject): void {
    this.#checkRecordCount();
    this.#placeRecord({ record: verifyRecord({ ...this.#check, object }), object });
  }

  #checkRecordCount(): void {
    if (this.#records.length >= this.#check.trust.head.recordCount) {
      throw new DiscoveryError("BOGUS", "directory: more records than the head counts");
    }
  }

  #placeRecord(one: SignedRecord): void {
    const { party } = one.record;
    const last = this.#records.at(-1)?.record.party;
    if (last !== undefined && compareParties(last, party) >= 0) {
      throw new DiscoveryError("BOGUS", "registry: records out of order");
    }
    if (party.kind === "msp") {
      if (this.#bits.has(party.bit))
        throw new DiscoveryError("BOGUS", "registry: a bit used twice");
      this.#bits.add(party.bit);
    }
    this.#digest.add(one.object.payload);
    this.#records.push(one);
  }
}

/** For objects of one directory zone. */
export interface PartsCheck<T extends NodeTrust> {
  readonly trust: T;
  readonly nowSeconds: number;
  readonly verifier: SignatureVerifier;
}

export interface ObjectCheck {
  readonly object: SignedObject;
  readonly trust: NodeTrust;
  readonly nowSeconds: number;
  readonly verifier: SignatureVerifier;
}

/** One node by itself: signature, bounds, time, authorities. Its place is the caller's to check. */
export function verifyNode(check: ObjectCheck): Node {
  checkObjectSize("node", check.object);
  verifyObject(check, "node");
  const node = decodeNode(check.object.payload);
  checkRecordTime("node", node, check);
  checkPlace(node, check.trust);
  checkAuthorities(node, check.trust);
  return node;
}

/** One registry record: signature, bounds, time, usable keys. */
export function verifyRecord(check: ObjectCheck): RegistryRecord {
  checkObjectSize("registry", check.object);
  verifyObject(check, "registry");
  const record = decodeRegistryRecord(check.object.payload);
  checkRecordTime("registry", record, check);
  for (const key of keysOf(record.party)) importPublicKey(key);
  return record;
}

function verifyObject(
  { object, trust, nowSeconds, verifier }: ObjectCheck,
  type: "node" | "registry",
) {
  const { role, zone, keys } = trust;
  verifySigned({ type, role, zone, object, keys, atSeconds: nowSeconds, verifier });
}

function checkRecordTime(
  name: string,
  record: { readonly serial: number; readonly notBefore: number; readonly notAfter: number },
  { trust, nowSeconds }: Pick<ObjectCheck, "trust" | "nowSeconds">,
): void {
  if (record.serial > trust.head.serial) {
    throw new DiscoveryError("BOGUS", `${name}: newer than the head`);
  }
  checkPeriod(name, record, nowSeconds);
}

const bogus = (text: string): DiscoveryError => new DiscoveryError("BOGUS", `node: ${text}`);

/** A directory speaks of what lies below its apex, and the apex speaks for itself. */
function checkPlace(node: Node, { apex }: NodeTrust): void {
  if (!isWithin(node.prefix, apex)) throw bogus("outside the part that is delegated");
  if (prefixDepth(node.prefix) === 0 && node.disposition !== "unassigned") {
    throw bogus("the root is delegated to somebody");
  }
  if (prefixDepth(node.prefix) === 1 && node.disposition === "parent") {
    throw bogus("a scheme has no node above it to be like");
  }
  if (node.prefix !== apex) return;
  // What stands above the apex of a part leads here: back and forth for ever.
  if (node.disposition === "parent") throw bogus("an apex has no node above it to be like");
  if (node.authorities.some(({ kind }) => kind === "directory")) {
    throw bogus("a part is delegated on whole");
  }
}

/** No way up, sideways or around: a delegation names zones of the DPs it names, and ends the tree. */
function checkAuthorities(node: Node, trust: NodeTrust): void {
  const zones = new Set<string>();
  for (const { zone, dpId, kind } of node.authorities) {
    if (zone === ".") throw bogus("delegated upward to the root");
    if (zone === trust.zone) throw bogus("delegated to the directory that it stands in");
    if (zoneDp(zone) !== dpId) throw bogus("the zone belongs to another DP");
    if (kind !== node.authorities[0]?.kind) throw bogus("two kinds of authority");
    if (zones.has(zone)) throw bogus("a zone named twice");
    zones.add(zone);
    if (kind !== "directory") continue;
    if (node.firstChild !== "") throw bogus("children below a delegated directory");
    // Two directories might disagree, and asking both would double the work of every further part.
    if (node.authorities.length > 1) throw bogus("two directories for one prefix");
  }
}

function keysOf(party: Party): readonly Uint8Array[] {
  return "keys" in party ? party.keys.map((key) => key.publicKey) : [];
}

/** Payloads joined now and then: one call with a million parts would not fit on the stack. */
class DigestParts {
  static readonly #partsMax = 2048;
  readonly #blocks: Uint8Array[] = [];
  #parts: Uint8Array[] = [];

  add(payload: Uint8Array): void {
    this.#parts.push(uint32Bytes(payload.length), payload);
    if (this.#parts.length >= DigestParts.#partsMax) this.#join();
  }

  sha384(): Uint8Array {
    this.#join();
    return sha384(...this.#blocks);
  }

  #join(): void {
    this.#blocks.push(concatBytes(...this.#parts));
    this.#parts = [];
  }
}

/** SHA-384 over payloads, each with its 4-byte length: nodes, then records, in digest order. */
export function directoryDigest(payloads: Iterable<Uint8Array>): Uint8Array {
  const parts = new DigestParts();
  for (const payload of payloads) parts.add(payload);
  return parts.sha384();
}
