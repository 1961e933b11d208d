// What a bucket's entry says about one contact: the compact bits by the DP's word, or the opened slot with
// every signature checked and the bits recomputed (protocol.md sections 4 to 6, requirements 6 and 15).

import { isDiscoveryError, type Csi, type DiscoveryError, type DpRecord } from "@whither/protocol";
import { encodeSignedObject } from "@whither/wire";
import {
  bitPositionsOf,
  encodeEntry,
  openPublicSlot,
  unmaskMspBits,
  verifySlot,
  verifySlotBits,
} from "@whither/zone";
import type { Entry, Registry, SignatureVerifier, VerifiedSlot } from "@whither/zone";
import type { Evaluated } from "./evaluations.js";
import type { EvidenceFile } from "./evidence.js";
import type { HeldHead, ZoneView } from "./zone-view.js";

/** Positions of the MSPs in the registry's bit order. */
export function compactBits(evaluated: Evaluated, entry: Entry): readonly number[] {
  const { vhash, masked } = entry;
  return bitPositionsOf(unmaskMspBits({ secret: evaluated.y, vhash, masked }).bits);
}

export interface SlotOpening {
  readonly csi: Csi;
  readonly view: ZoneView;
  readonly head: HeldHead;
  readonly evaluated: Evaluated;
  readonly entry: Entry;
  readonly body: Uint8Array;
  readonly dp: DpRecord;
  readonly registry: Registry;
  readonly nowSeconds: number;
  readonly verifier: SignatureVerifier;
  readonly evidence: EvidenceFile;
}

export function openSlotBody({ view, evaluated, body }: SlotOpening): Uint8Array {
  return openPublicSlot({ ...evaluated, zone: view.zone, kid: view.kid, body });
}

/** Opens and verifies everything. Throws BOGUS; bits that differ from the slot are kept as evidence. */
export function openSlot(opening: SlotOpening): VerifiedSlot {
  const { csi, view, head, evaluated, entry, dp, registry, nowSeconds, verifier } = opening;
  const plaintext = openSlotBody(opening);
  const { manifest } = head;
  const { zone } = view;
  const slot = verifySlot({ csi, zone, manifest, dp, registry, plaintext, nowSeconds, verifier });
  try {
    verifySlotBits({ slot, bits: compactBits(evaluated, entry), registry });
  } catch (error) {
    if (isDiscoveryError(error, "BOGUS")) keep(opening, error);
    throw error;
  }
  return slot;
}

function keep(
  { view, head, entry, body, nowSeconds, evidence }: SlotOpening,
  error: DiscoveryError,
): void {
  evidence.add({
    code: error.code,
    zone: view.zone,
    atSeconds: nowSeconds,
    text: error.text,
    objects: [encodeEntry(entry), body, encodeSignedObject(head.object)],
  });
}
