// The key-links of a slot as a registration leaves them, and whose keys they make one (protocol.md section 6,
// ADR 38). All of them were verified, when they came or when they were stored.

import {
  DiscoveryError,
  limits,
  type Csi,
  type KeyLink,
  type SlotKeyLink,
} from "@whither/protocol";
import { joinedKey, joinKeys, verifyKeyLink, type SignatureVerifier } from "@whither/zone";

/** A link as it stands in a slot, and what it says. */
export interface ReadKeyLink {
  readonly slotLink: SlotKeyLink;
  readonly link: KeyLink;
}

export interface SlotLinks {
  /** In an order in which each joins one more key; at most limits.keyLinksPerSlotMax. */
  readonly links: readonly SlotKeyLink[];
  /** The statement's key first. */
  readonly keys: readonly Uint8Array[];
}

/**
 * The links that a request brings, each of which has to join a key to the statement's `own` and those before.
 * Throws as verifyKeyLink does, and BAD_KEY_LINK.
 */
export function checkLinks(check: {
  readonly links: readonly SlotKeyLink[];
  readonly own: Uint8Array;
  readonly csi: Csi;
  readonly verifier: SignatureVerifier;
}): readonly ReadKeyLink[] {
  const { links, own, csi, verifier } = check;
  const read = links.map((slotLink) => ({
    slotLink,
    link: verifyKeyLink({ ...slotLink, csi, verifier }),
  }));
  joinKeys(
    own,
    read.map(({ link }) => link),
  );
  return read;
}

/**
 * What of the links joins keys to `own`, those that stand before those that are added. One that joins none, because
 * its keys are joined already or not at all, is left out. Throws SLOT_FULL.
 */
export function joinLinks(of: {
  readonly own: Uint8Array;
  readonly standing: readonly ReadKeyLink[];
  readonly added: readonly ReadKeyLink[];
}): SlotLinks {
  const keys = [of.own];
  const links: SlotKeyLink[] = [];
  let left = [...of.standing, ...of.added];
  for (;;) {
    const next = left.find(({ link }) => joinedKey(keys, link) !== undefined);
    const joined = next === undefined ? undefined : joinedKey(keys, next.link);
    if (next === undefined || joined === undefined) break;
    keys.push(joined);
    links.push(next.slotLink);
    left = left.filter((one) => one !== next);
  }
  if (links.length > limits.keyLinksPerSlotMax) {
    throw new DiscoveryError("SLOT_FULL", "the slot has its most key-links");
  }
  return { links, keys };
}
