// From the anchors to the head: the root key set by k of n KSKs, the head by a ZSK of it, never older
// than what was seen, and both in their time (protocol.md section 2). Nodes and records: verify.ts.

import {
  DiscoveryError,
  limits,
  roles,
  type DirectoryHead,
  type KeyPeriod,
  type Prefix,
  type Role,
  type RootKeys,
  type SignedObject,
  type ZoneName,
} from "@whither/protocol";
import { equalBytes, keyIdOf } from "@whither/crypto/node";
import { decodeDirectoryHead, type HeadVoucher } from "@whither/wire";
import { verifySigned, type SignatureVerifier } from "../signed.js";
import type { Anchors } from "./anchors.js";
import { checkObjectSize } from "./object-size.js";
import { ksksOf, openRootKeys, trailTo, voucherOf, type RootVoucher } from "./root-ksks.js";

/** How far a directory zone has been seen: never to go backwards. */
export interface ZoneMark {
  readonly epoch: number;
  readonly serial: number;
  /** 48 bytes. */
  readonly digest: Uint8Array;
}

/** The same of the root, kept over restarts. */
export interface DirectoryMark extends ZoneMark {
  readonly rootKeysVersion: number;
}

/** What the nodes of one directory zone are verified against: the root's, or those of a part. */
export interface NodeTrust {
  readonly zone: ZoneName;
  /** Where its nodes begin: `.`, or the prefix at which another directory delegates to the part. */
  readonly apex: Prefix;
  /** In which its nodes are signed. */
  readonly role: Role;
  /** 32-byte keys that may sign now. */
  readonly keys: readonly Uint8Array[];
  readonly head: DirectoryHead;
  readonly headObject: SignedObject;
  /** What led to the keys. */
  readonly voucher: HeadVoucher;
}

/** A verified root key set and head, and the ZSKs that may sign now. */
export interface DirectoryTrust extends NodeTrust {
  readonly rootKeys: RootKeys;
  /** As it came: a server hands it on. */
  readonly voucher: RootVoucher;
  /** Earlier sets, all verified, that lead from the anchors to this one: what a restart needs. */
  readonly trail: readonly SignedObject[];
}

export interface TrustCheck extends RootVoucher {
  readonly head: SignedObject;
  readonly anchors: Anchors;
  readonly nowSeconds: number;
  readonly verifier: SignatureVerifier;
  /** The newest directory seen before, if any. */
  readonly previous?: DirectoryMark | undefined;
  /**
   * A trust verified before: its KSKs are believed instead of the anchors', and objects of the same bytes are not
   * verified again, their time is.
   */
  readonly known?: DirectoryTrust | undefined;
}

export function markOf({ rootKeys, head }: DirectoryTrust): DirectoryMark {
  const { epoch, serial, digest } = head;
  return { rootKeysVersion: rootKeys.version, epoch, serial, digest };
}

/** Negative, 0 or positive as `a` is older than, as old as or newer than `b`. */
export function compareMarks(
  a: Pick<ZoneMark, "epoch" | "serial">,
  b: Pick<ZoneMark, "epoch" | "serial">,
): number {
  return a.epoch === b.epoch ? a.serial - b.serial : a.epoch - b.epoch;
}

/**
 * Verifies root key set and head. Throws KEY_MISSING, BOGUS, UNSUPPORTED_SUITE, INVALID_DATA, NOT_YET_VALID, EXPIRED,
 * ROLLBACK for an older directory than `previous`, FORKED for another one with its serial, or another key set with
 * its version, CLOCK_SKEW when the head is from the future.
 */
export function verifyTrust(check: TrustCheck): DirectoryTrust {
  const { known, nowSeconds, previous } = check;
  const { rootKeys, trail } =
    known !== undefined && isSameObject(known.voucher.rootKeys, check.rootKeys)
      ? known
      : openNext(check);
  const everyZsk = rootKeys.zsks.map((key) => key.publicKey);
  const head =
    known?.rootKeys === rootKeys && isSameObject(known.headObject, check.head)
      ? known.head
      : openHead(check, everyZsk);
  if (previous !== undefined) {
    if (rootKeys.version < previous.rootKeysVersion) {
      throw new DiscoveryError("ROLLBACK", "root-keys: older than the version already seen");
    }
    checkSequence(head, previous);
  }
  // The head's own time first: a clock that is a day slow would blame the keys instead of itself.
  checkClock(head.notBefore, nowSeconds);
  checkPeriod("root-keys", rootKeys, nowSeconds);
  const zsks = keysAt(rootKeys.zsks, nowSeconds);
  if (zsks.length < everyZsk.length) checkSigningKey(check, { rootKeys, zsks });
  checkPeriod("directory-head", head, nowSeconds);
  return {
    ...rootPlace,
    keys: zsks,
    rootKeys,
    trail,
    voucher: voucherOf(check),
    head,
    headObject: check.head,
  };
}

/** The root's constants. */
export const rootPlace = {
  zone: "." as ZoneName,
  apex: "." as Prefix,
  role: roles.rootZsk,
} as const;

/** Those of the keys that may sign. */
export function keysAt(keys: readonly KeyPeriod[], nowSeconds: number): readonly Uint8Array[] {
  return keys
    .filter((key) => !isEarly(key, nowSeconds) && !isLate(key, nowSeconds))
    .map((key) => key.publicKey);
}

/** Whether a period begins or has ended, seen from a clock that may be 300 s off. */
export function isEarly(period: { readonly notBefore: number }, nowSeconds: number): boolean {
  return period.notBefore > nowSeconds + limits.clockSkewSeconds;
}
export function isLate(period: { readonly notAfter: number }, nowSeconds: number): boolean {
  return period.notAfter < nowSeconds - limits.clockSkewSeconds;
}

/** Throws NOT_YET_VALID or EXPIRED. */
export function checkPeriod(
  record: string,
  period: { readonly notBefore: number; readonly notAfter: number },
  nowSeconds: number,
): void {
  if (isEarly(period, nowSeconds)) {
    throw new DiscoveryError("NOT_YET_VALID", `${record}: before its not_before`);
  }
  if (isLate(period, nowSeconds)) {
    const agoSeconds = nowSeconds - period.notAfter;
    throw new DiscoveryError("EXPIRED", `${record}: ended ${agoSeconds} s ago by the local clock`);
  }
}

/** Whether payload and signatures are the same octets. */
export function isSameObject(a: SignedObject, b: SignedObject): boolean {
  return (
    equalBytes(a.payload, b.payload) &&
    a.signatures.length === b.signatures.length &&
    a.signatures.every(({ keyId, role, signature }, index) => {
      const other = b.signatures[index];
      return (
        other?.role === role &&
        equalBytes(keyId, other.keyId) &&
        equalBytes(signature, other.signature)
      );
    })
  );
}

/** Of the newest set that was seen, and the anchors' before. */
function openNext(check: TrustCheck): Pick<DirectoryTrust, "rootKeys" | "trail"> {
  const { known, anchors, nowSeconds, verifier } = check;
  const by = { voucher: check, nowSeconds, verifier };
  if (known === undefined) {
    const { rootKeys, via } = openRootKeys({ ...by, trusted: anchors, after: 0 });
    return { rootKeys, trail: via };
  }
  const { version } = known.rootKeys;
  const opened = openRootKeys({ ...by, trusted: ksksOf(known.rootKeys), after: version });
  const { payload } = known.voucher.rootKeys;
  if (opened.rootKeys.version === version && !equalBytes(payload, check.rootKeys.payload)) {
    throw new DiscoveryError("FORKED", "root-keys: two sets with one version");
  }
  const last = { object: known.voucher.rootKeys, rootKeys: known.rootKeys };
  const trail = trailTo(last, { from: anchors, trail: known.trail });
  return { rootKeys: opened.rootKeys, trail: [...trail, ...opened.via] };
}

function openHead(check: TrustCheck, zsks: readonly Uint8Array[]): DirectoryHead {
  checkObjectSize("directory-head", check.head);
  verifyByZsk(check, { object: check.head, zsks });
  const head = decodeDirectoryHead(check.head.payload);
  if (head.zone !== ".") throw new DiscoveryError("BOGUS", "directory-head: of another zone");
  return head;
}

function verifyByZsk(
  check: TrustCheck,
  { object, zsks }: { readonly object: SignedObject; readonly zsks: readonly Uint8Array[] },
): void {
  const { nowSeconds: atSeconds, verifier } = check;
  const place = { type: "directory-head", role: roles.rootZsk, zone: "." } as const;
  verifySigned({ ...place, object, keys: zsks, atSeconds, verifier });
}

/** The head must be signed by a key that may sign now; says whether the others are too old or new. */
function checkSigningKey(
  check: TrustCheck,
  { rootKeys, zsks }: { readonly rootKeys: RootKeys; readonly zsks: readonly Uint8Array[] },
): void {
  const named = (key: KeyPeriod | Uint8Array): boolean => {
    const keyId = keyIdOf(key instanceof Uint8Array ? key : key.publicKey);
    return check.head.signatures.some((signature) => equalBytes(signature.keyId, keyId));
  };
  if (zsks.some(named)) {
    verifyByZsk(check, { object: check.head, zsks });
    return;
  }
  for (const key of rootKeys.zsks.filter(named)) checkPeriod("root ZSK", key, check.nowSeconds);
}

/** Throws ROLLBACK for an older head than was seen, FORKED for another one with its serial. */
export function checkSequence(head: DirectoryHead, previous: ZoneMark): void {
  const order = compareMarks(head, previous);
  if (order < 0) {
    const text = `directory: serial ${head.serial}, already seen ${previous.serial}`;
    throw new DiscoveryError("ROLLBACK", text.slice(0, 64));
  }
  if (order === 0 && !equalBytes(head.digest, previous.digest)) {
    throw new DiscoveryError("FORKED", "directory: two digests with one serial");
  }
}

/** Signed data from the future: somebody's clock is wrong, and the signature is not this one's. */
export function checkClock(signedSeconds: number, nowSeconds: number): void {
  const behindSeconds = signedSeconds - nowSeconds;
  if (behindSeconds > limits.clockSkewSeconds) {
    const text = `local clock is ${behindSeconds} s behind the signed directory`;
    throw new DiscoveryError("CLOCK_SKEW", text);
  }
}
