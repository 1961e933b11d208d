// The first message of a transfer, judged: manifest by the directory's hash, head by the manifest, and its place after
// what is held. Nothing that follows is looked at before this holds.

import { equalBytes, sha256 } from "@whither/crypto/node";
import {
  DiscoveryError,
  isDiscoveryError,
  limits,
  type Head,
  type Manifest,
  type SignedObject,
} from "@whither/protocol";
import {
  decodeHead,
  encodeSignedObject,
  signedObjectFromWire,
  TransferKind,
  type TransferPart,
} from "@whither/wire";
import {
  headMarkOf,
  payloadSha256,
  verifyHead,
  verifyHeadSequence,
  type SignatureVerifier,
} from "@whither/zone";
import type { PublishedTree } from "../mapping/published-tree.js";
import type { KnownManifests } from "./known-manifests.js";

/** What has to be known of a zone before anything is received. */
export interface TransferExpectation {
  readonly zone: string;
  /** 4 bytes, or empty: the current tree. */
  readonly kid: Uint8Array;
  /** What counts of a manifest that comes with a head. Throws for one that does not. */
  readonly manifests: Pick<KnownManifests, "admit">;
  /** Every tree that is held. */
  readonly held: readonly HeldState[];
  /** Kid of the tree whose place was told to the server; undefined: none was. */
  readonly fromKid?: Uint8Array | undefined;
  /** Whether the whole is wanted, also of the head that is held. */
  readonly isRefill?: boolean;
  readonly nowSeconds: number;
  readonly verifier: SignatureVerifier;
}

/** What has been verified before. */
interface HeldState {
  readonly published: PublishedTree;
}

export interface VerifiedStart {
  /** `current`: there is nothing newer here; `elsewhere`: newer, and not told from the place that was asked from. */
  readonly kind: "current" | "elsewhere" | "whole" | "epochs";
  readonly head: Head;
  readonly headObject: SignedObject;
  readonly manifest: Manifest;
  readonly manifestObject: SignedObject;
}

/** Two histories under one signature: FORKED, with what proves it. */
export class ForkError extends DiscoveryError {
  /** Encoded signed heads, and payloads that link one of them down to the fork. */
  readonly evidence: readonly Uint8Array[];

  constructor(text: string, evidence: readonly Uint8Array[]) {
    super("FORKED", text);
    this.evidence = evidence;
  }
}

/** A server whose newest head has at least this many slots a bucket hides them; others nobody reads (bucket.ts). */
const meanMin = 32;

/** Throws BOGUS, KEY_MISSING, EXPIRED, CLOCK_SKEW, FORKED, TOO_LARGE, INVALID_DATA. */
export function verifyStart(
  part: TransferPart["part"],
  expected: TransferExpectation,
): VerifiedStart {
  if (part.case !== "start") throw invalid("expected the start first");
  const { kind, manifest, head, heads } = part.value;
  const objects = { manifest: signedObjectFromWire(manifest), head: signedObjectFromWire(head) };
  return verifyOpening({ kind, heads, ...objects }, expected);
}

/** A transfer's start as what it says. */
export interface TransferOpening {
  readonly kind: TransferKind;
  readonly manifest: SignedObject;
  readonly head: SignedObject;
  /** Of a fork: payloads that lead from the head down to it. */
  readonly heads: readonly Uint8Array[];
}

/** Throws as verifyStart. */
export function verifyOpening(
  start: TransferOpening,
  expected: TransferExpectation,
): VerifiedStart {
  const { zone, nowSeconds, verifier, isRefill = false } = expected;
  const admitted = expected.manifests.admit(start.manifest);
  // The copy that is known: this one may lack the signatures that made it count.
  const { manifest, object: manifestObject, sha256: manifestHash } = admitted;
  const headObject = start.head;
  const known = expected.held.find(({ published }) => isSame(headObject, published.headBytes));
  if (known !== undefined && !isRefill) {
    const { head } = known.published;
    return { kind: "current", head, headObject, manifest, manifestObject };
  }
  const object = headObject;
  const check = { object, zone, manifest, manifestSha256: manifestHash, nowSeconds, verifier };
  const head = verifyHead(check);
  const kid = expected.kid.length > 0 ? expected.kid : manifest.voprfKeys[0]?.kid;
  if (kid === undefined || !equalBytes(head.kid, kid)) throw bogus("the head is of another key");
  checkSize(head);
  // Serials of two trees say nothing of one another: a head is placed after that of its own kid.
  const held = expected.held.find(({ published }) => equalBytes(published.head.kid, head.kid));
  const kind = held === undefined ? "newer" : placeAfter(held.published, { head, headObject });
  const verified = { head, headObject, manifest, manifestObject };
  if (isRefill && kind === "older")
    throw new DiscoveryError("STALE", "transfer: behind what is held");
  if (!isRefill && kind !== "newer") return { kind: "current", ...verified };
  const { fromKid } = expected;
  if (fromKid !== undefined && !equalBytes(fromKid, head.kid)) {
    return { kind: "elsewhere", ...verified };
  }
  switch (start.kind) {
    case TransferKind.WHOLE:
      return { kind: "whole", ...verified };
    case TransferKind.EPOCHS:
      if (held?.published.head.epoch !== head.epoch) throw invalid("epochs of nothing held");
      return { kind: "epochs", ...verified };
    case TransferKind.DIVERGED:
      throw forkOf(start, { held: held?.published, head, headObject });
    default:
      throw invalid("a newer head without what it stands for");
  }
}

const isSame = (object: SignedObject, bytes: Uint8Array): boolean =>
  equalBytes(encodeSignedObject(object), bytes);

/** A tree of 2^b hashes is made before a bucket is seen. */
function checkSize({ b, mapSize }: Head): void {
  if (mapSize > limits.transferSlotsMax) {
    throw new DiscoveryError("TOO_LARGE", `more than ${limits.transferSlotsMax} slots`);
  }
  if (b > 0 && mapSize / 2 ** b < meanMin) throw bogus("fewer slots a bucket than anybody reads");
}

function placeAfter(
  held: PublishedTree,
  next: { readonly head: Head; readonly headObject: SignedObject },
): "older" | "same" | "newer" {
  const { head, headObject } = next;
  const { epoch, serial, time } = held.head;
  try {
    verifyHeadSequence({
      seen: { epoch, serial, time, sha256: held.headSha256 },
      next: headMarkOf(headObject, head),
      nextPrevSha256: head.prevSha256,
    });
  } catch (error) {
    if (isDiscoveryError(error, "ROLLBACK")) return "older";
    if (!isDiscoveryError(error, "FORKED")) throw error;
    throw new ForkError(error.text, [held.headBytes, encodeSignedObject(headObject)]);
  }
  return head.epoch === epoch && head.serial === serial ? "same" : "newer";
}

/** Whether the payloads lead from the signed head down to another one at the held serial. */
function forkOf(
  { heads }: TransferOpening,
  of: {
    readonly held: PublishedTree | undefined;
    readonly head: Head;
    readonly headObject: SignedObject;
  },
): DiscoveryError {
  const { held, head, headObject } = of;
  const first = heads[0];
  if (held === undefined || first === undefined) return invalid("a fork from nothing");
  const links = [
    ...heads.slice(1).map((payload) => decodeHead(payload).prevSha256),
    head.prevSha256,
  ];
  const isLinked = heads.every((payload, at) => {
    const link = links[at];
    return link !== undefined && equalBytes(sha256(payload), link);
  });
  const { epoch, serial } = decodeHead(first);
  const isThere = epoch === held.head.epoch && serial === held.head.serial;
  if (!isLinked || !isThere || equalBytes(sha256(first), held.headSha256)) {
    return bogus("a fork without its proof");
  }
  const evidence = [held.headBytes, encodeSignedObject(headObject), ...heads];
  return new ForkError("head: two signed histories", evidence);
}

export function bogus(text: string): DiscoveryError {
  return new DiscoveryError("BOGUS", `transfer: ${text}`);
}

export function invalid(text: string): DiscoveryError {
  return new DiscoveryError("INVALID_DATA", `transfer: ${text}`);
}

/** The signed head's hash. */
export const startSha256 = ({ headObject }: VerifiedStart): Uint8Array => payloadSha256(headObject);
