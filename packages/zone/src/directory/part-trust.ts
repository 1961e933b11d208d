// From the node that delegates a part of the directory on to the part's head: the manifest by the hash that
// the node names, the head by a zone key of the manifest (protocol.md sections 2 and 3, ADR on parts). A part is
// somebody else's: it is believed below its apex and nowhere else.

import {
  DiscoveryError,
  roles,
  type Authority,
  type DirectoryHead,
  type Manifest,
  type Prefix,
  type SignedObject,
} from "@whither/protocol";
import { decodeDirectoryHead, type HeadVoucher } from "@whither/wire";
import { verifyDirectoryManifest } from "../mapping/manifest.js";
import { verifySigned, type SignatureVerifier } from "../signed.js";
import { checkObjectSize } from "./object-size.js";
import {
  checkClock,
  checkPeriod,
  checkSequence,
  isSameObject,
  keysAt,
  type NodeTrust,
  type ZoneMark,
} from "./trust.js";

export type PartVoucher = Extract<HeadVoucher, { readonly manifest: SignedObject }>;

/** A verified manifest and head of a part, and the zone keys that may sign now. */
export interface PartTrust extends NodeTrust {
  readonly manifest: Manifest;
  /** 32 bytes. */
  readonly manifestSha256: Uint8Array;
  readonly voucher: PartVoucher;
}

/** What the delegating node says of a part. */
export interface PartDelegation {
  /** The delegating node's prefix. */
  readonly apex: Prefix;
  readonly authority: Pick<Authority, "manifestSha256" | "zone">;
}

export interface PartTrustCheck {
  readonly manifest: SignedObject;
  readonly head: SignedObject;
  readonly part: PartDelegation;
  readonly nowSeconds: number;
  readonly verifier: SignatureVerifier;
  /** The newest head of this zone seen before, if any. */
  readonly previous?: ZoneMark | undefined;
  /** A trust verified before: objects of the same bytes are not verified again, their time is. */
  readonly known?: PartTrust | undefined;
}

/**
 * Verifies manifest and head of a part. Throws BOGUS, KEY_MISSING, INVALID_DATA, UNSUPPORTED_SUITE,
 * NOT_YET_VALID, EXPIRED, CLOCK_SKEW, and ROLLBACK or FORKED against what was seen of the zone before.
 */
export function verifyPartTrust(check: PartTrustCheck): PartTrust {
  const { part, known, nowSeconds, previous } = check;
  const { zone, manifestSha256 } = part.authority;
  checkObjectSize("manifest", check.manifest);
  const { manifest, sha256 } = verifyDirectoryManifest({
    object: check.manifest,
    zone,
    manifestSha256,
    nowSeconds,
    verifier: check.verifier,
  });
  const keys = keysAt(manifest.zoneKeys, nowSeconds);
  const isKnown =
    known !== undefined &&
    isSameObject(known.voucher.manifest, check.manifest) &&
    isSameObject(known.headObject, check.head) &&
    known.keys.length === keys.length;
  const head = isKnown ? known.head : openHead(check, keys);
  if (previous !== undefined) checkSequence(head, previous);
  checkClock(head.notBefore, nowSeconds);
  checkPeriod("directory-head", head, nowSeconds);
  return {
    zone,
    apex: part.apex,
    role: roles.zone,
    keys,
    head,
    headObject: check.head,
    voucher: { manifest: check.manifest },
    manifest,
    manifestSha256: sha256,
  };
}

function openHead(check: PartTrustCheck, keys: readonly Uint8Array[]): DirectoryHead {
  const { head: object, part, nowSeconds: atSeconds, verifier } = check;
  const { zone } = part.authority;
  checkObjectSize("directory-head", object);
  const place = { type: "directory-head", role: roles.zone, zone } as const;
  verifySigned({ ...place, object, keys, atSeconds, verifier });
  const head = decodeDirectoryHead(object.payload);
  if (head.zone !== zone) throw new DiscoveryError("BOGUS", "directory-head: of another zone");
  // Who takes part is the root's to say.
  if (head.recordCount !== 0)
    throw new DiscoveryError("BOGUS", "directory-head: a part has no registry");
  return head;
}
