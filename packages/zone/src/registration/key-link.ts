// A key-link: two keys are one holder's, for one CSI (protocol.md section 6, ADR 38). Both keys sign it: the old
// one lets the other in, the new one agrees to be shown together with what was there. It names no zone and no
// time, so any DP and any resolver can check it alone; the opening beside it binds it to the CSI.

import { DiscoveryError, roles, type Csi, type KeyLink, type SlotKeyLink } from "@whither/protocol";
import { equalBytes } from "@whither/crypto/node";
import { decodeKeyLink } from "@whither/wire";
import type { SignatureVerifier } from "../signed.js";
import { verifyCommit } from "./commit.js";
import { decodeRecord, requireSignature } from "./signer-rules.js";

/** Where a key-link's signatures count. */
export const keyLinkPlace = { type: "key-link", role: roles.holder, zone: "" } as const;

export interface KeyLinkCheck extends SlotKeyLink {
  readonly csi: Csi;
  readonly verifier: SignatureVerifier;
}

/**
 * Verifies a link for this CSI: two signatures. In this order: BAD_KEY_LINK (shape, one key twice) ·
 * BAD_SIGNATURE (old key, then new) · BAD_OPENING.
 */
export function verifyKeyLink(check: KeyLinkCheck): KeyLink {
  const link = verifyApproval(check);
  requireKey(link.newPublicKey, check);
  return link;
}

/** The same without the new key's signature: what its holder checks before it agrees. */
export function verifyApproval(check: KeyLinkCheck): KeyLink {
  const { csi, opening } = check;
  const link = decodeRecord("BAD_KEY_LINK", () => decodeKeyLink(check.link.payload));
  requireKey(link.oldPublicKey, check);
  verifyCommit({ commit: link.csiCommit, csi, opening });
  return link;
}

function requireKey(key: Uint8Array, { link: object, verifier }: KeyLinkCheck): void {
  // The keys stand in the record: no period, so no time to compare with one.
  requireSignature({ ...keyLinkPlace, object, keys: [key], atSeconds: 0, verifier });
}

/**
 * The keys of one holder: `own`, then those that the links join to it, in their order. Each link has exactly one
 * end among the keys before it; so there is no circle, no link twice, and nothing about strangers. Throws
 * BAD_KEY_LINK. Nothing is verified here.
 */
export function joinKeys(
  own: Uint8Array,
  links: readonly Pick<KeyLink, "newPublicKey" | "oldPublicKey">[],
): readonly [Uint8Array, ...Uint8Array[]] {
  const keys: [Uint8Array, ...Uint8Array[]] = [own];
  for (const link of links) {
    const joined = joinedKey(keys, link);
    if (joined === undefined) {
      throw new DiscoveryError("BAD_KEY_LINK", "key-link: joins no key to the holder's");
    }
    keys.push(joined);
  }
  return keys;
}

/** The end of the link that is not among the keys, if the other one is. */
export function joinedKey(
  keys: readonly Uint8Array[],
  { oldPublicKey, newPublicKey }: Pick<KeyLink, "newPublicKey" | "oldPublicKey">,
): Uint8Array | undefined {
  const hasOld = includesKey(keys, oldPublicKey);
  if (hasOld === includesKey(keys, newPublicKey)) return undefined;
  return hasOld ? newPublicKey : oldPublicKey;
}

export function includesKey(keys: readonly Uint8Array[], wanted: Uint8Array): boolean {
  return keys.some((key) => equalBytes(key, wanted));
}
