// A public slot sealed for its place in one tree: body, hash and the masked bits of the compact answer.

import type { ZoneName } from "@whither/protocol";
import type { Random } from "@whither/runtime";
import { maskMspBits, openPublicSlot, sealPublicSlot, unmaskMspBits } from "@whither/zone";
import type { SlotSubmission, TreePlace } from "./mapping-zone.js";
import type { SlotContent } from "./pending-changes.js";

interface Sealing {
  readonly zone: ZoneName;
  readonly place: TreePlace;
  readonly random: Random;
}

export function sealSlot({
  zone,
  place,
  content,
  random,
}: Sealing & { readonly content: NonNullable<SlotSubmission["content"]> }): SlotContent {
  const { kid, y, idx } = place;
  const { plaintext, registryVersion, bits } = content;
  const nonce = random.bytes(12);
  const { body, vhash } = sealPublicSlot({ y, zone, kid, idx, plaintext, nonce });
  return { body, vhash, masked: maskMspBits({ secret: y, vhash, registryVersion, bits }) };
}

/** The same slot for its place in another tree. Nothing that a party signed is touched. Throws BOGUS. */
export function resealSlot({
  from,
  held,
  ...to
}: Sealing & { readonly from: TreePlace; readonly held: SlotContent }): SlotContent {
  const { kid, y, idx } = from;
  const { body, vhash, masked } = held;
  const plaintext = openPublicSlot({ y, zone: to.zone, kid, idx, body });
  const { registryVersion, bits } = unmaskMspBits({ secret: y, vhash, masked });
  return sealSlot({ ...to, content: { plaintext, registryVersion, bits } });
}
