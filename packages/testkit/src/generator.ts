// Makes the slots of large zones quickly, for benchmarks and for tests of privacy at size: fillers that no
// lookup opens, and real slots for given identifiers. Deterministic by seed. A zone's `loadEntries` takes both.

import { createCipheriv } from "node:crypto";
import type { LoadedSlot } from "@whither/authority";
import { loadSodiumVoprf } from "@whither/crypto/node";
import type { Csi } from "@whither/protocol";
import {
  maskMspBits,
  mspBitsOf,
  sealPublicSlot,
  slotBits,
  slotIndex,
  slotInput,
} from "@whither/zone";
import { fixedBytes, fixedSigner, makeSlot } from "./registration-fixtures.js";
import type { RegistrationParties, SlotFixture } from "./registration-fixtures.js";

export interface FillerOptions {
  readonly count: number;
  /** Which fillers; the same seed gives the same ones. */
  readonly seed: string;
  /** Bytes of each body, a size class and 28; none: slots without bodies, which nobody may ask for. */
  readonly bodyBytes?: number;
  /** Whether a filler is given its body; all unless told. */
  readonly hasBody?: (idx: Uint8Array) => boolean;
}

/** A sealed body of the size class that one or two mappings take. */
export const fillerBodyBytes = 12 + 2048 + 16;
const entryDrawBytes = 60;

/** Slots at random places; about 400,000 a second without bodies, 100,000 with. */
export function* generateFillers(options: FillerOptions): Generator<LoadedSlot, void, void> {
  const { count, seed, bodyBytes, hasBody = () => true } = options;
  const entries = keystream(`${seed} entries`);
  const bodies = keystream(`${seed} bodies`);
  for (let made = 0; made < count; made += 1) {
    const drawn = entries(entryDrawBytes);
    const slot = { idx: drawn.subarray(0, 16), masked: drawn.subarray(16, 28) };
    if (bodyBytes !== undefined && hasBody(slot.idx)) yield { ...slot, body: bodies(bodyBytes) };
    else yield { ...slot, vhash: drawn.subarray(28) };
  }
}

const blockBytes = 60 * 1024;

/** Pseudo-random bytes by AES-128-CTR, in pieces. */
function keystream(seed: string): (length: number) => Uint8Array {
  const cipher = createCipheriv(
    "aes-128-ctr",
    fixedBytes(`generator ${seed}`, 16),
    Buffer.alloc(16),
  );
  let block = new Uint8Array(0);
  let used = 0;
  return (length) => {
    if (used + length > block.length) {
      block = cipher.update(new Uint8Array(Math.max(blockBytes, length)));
      used = 0;
    }
    used += length;
    return block.subarray(used - length, used);
  };
}

/** A slot that a lookup finds, opens and verifies. */
export interface RealSlot {
  readonly csi: Csi;
  /** 64 bytes, VOPRF output. */
  readonly y: Uint8Array;
  readonly slot: Extract<LoadedSlot, { readonly body: Uint8Array }>;
  readonly parts: SlotFixture;
}

/**
 * Registered slots of identifiers in the parties' zone, each of a holder of its own at the first `count`
 * MSPs; about 700 a second.
 */
export async function makeRealSlots(options: {
  readonly parties: RegistrationParties;
  readonly csis: readonly Csi[];
  /** MSPs of each slot; 1 unless told. */
  readonly count?: 1 | 2;
}): Promise<readonly RealSlot[]> {
  const { parties, csis, count = 1 } = options;
  const voprf = await loadSodiumVoprf();
  const { zone, manifest, registry } = parties;
  const kid = manifest.voprfKeys[0]?.kid ?? new Uint8Array(4);
  const positions = slotBits(
    parties.msps.slice(0, count).map(({ id }) => id),
    registry,
  );
  const bits = mspBitsOf(positions);
  return csis.map((csi): RealSlot => {
    const holder = fixedSigner(`holder of ${csi}`);
    const opening = fixedBytes(`opening of ${csi}`);
    const parts = makeSlot({ ...parties, csi, holder, opening }, { count });
    const y = voprf.evaluate(parties.voprfKeys.secretKey, slotInput(csi));
    const place = { y, zone, kid };
    const idx = slotIndex(place);
    const nonce = fixedBytes(`nonce of ${csi}`, 12);
    const { body, vhash } = sealPublicSlot({ ...place, idx, plaintext: parts.plaintext, nonce });
    const { version: registryVersion } = registry;
    const masked = maskMspBits({ secret: y, vhash, registryVersion, bits });
    return { csi, y, slot: { idx, masked, body }, parts };
  });
}
