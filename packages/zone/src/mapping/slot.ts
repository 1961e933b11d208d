// A slot holds everything that is known about one (CSI, audience): where it lies, how its body is
// sealed and how its compact bits are masked (protocol.md section 4). Nothing here knows a tree.

import {
  concatBytes,
  hkdfExpand,
  hkdfExtract,
  lp,
  openBody,
  sealBody,
  sha256,
  uint32Bytes,
  utf8,
} from "@whither/crypto/node";
import { limits, type Csi } from "@whither/protocol";
import { idxBytes, maskedBytes } from "./entry.js";

const csiLabel = utf8("whither/csi/v1");
const idxLabel = utf8("whither/idx/v1");
const entLabel = utf8("whither/ent/v1");
const cmpLabel = utf8("whither/cmp/v1");
const publicTag = new Uint8Array(0);
const keyBytes = 32;
const bitStringBytes = maskedBytes - 4;

/** A slot's secret made ready, once for everything that is derived from it; no less secret itself. */
export interface SlotSecret {
  /** 64 bytes, the HKDF key of y or ak. */
  readonly prk: Uint8Array;
}

/** Half of what a derivation costs, spent once: for whoever derives several things from one secret. */
export function slotSecret(secret: Uint8Array): SlotSecret {
  return { prk: hkdfExtract(secret) };
}

interface Derivation {
  readonly secret: Uint8Array | SlotSecret;
  readonly info: Uint8Array;
  readonly lengthBytes: number;
}

function derive({ secret, info, lengthBytes }: Derivation): Uint8Array {
  const { prk } = secret instanceof Uint8Array ? slotSecret(secret) : secret;
  return hkdfExpand({ prk, info, lengthBytes });
}

/** Where a slot's secret and place come from: the VOPRF output and the tree it belongs to. */
export interface SlotPlace {
  /** 64 bytes, VOPRF output over `slotInput`, or what is ready of it. A secret of whoever evaluated it. */
  readonly y: Uint8Array | SlotSecret;
  readonly zone: string;
  /** 4 bytes. */
  readonly kid: Uint8Array;
}

/** `x`, the VOPRF input of a CSI; `tag` is empty for the public slot. */
export function slotInput(csi: Csi, tag: Uint8Array = publicTag): Uint8Array {
  return concatBytes(csiLabel, lp(csi), lp(tag));
}

/** `idx`, 16 bytes: the slot's place in the zone's tree under this kid. */
export function slotIndex({ y, zone, kid }: SlotPlace): Uint8Array {
  return derive({ secret: y, info: concatBytes(idxLabel, lp(zone), kid), lengthBytes: idxBytes });
}

function publicSlotKey({ y, zone, kid }: SlotPlace): Uint8Array {
  const info = concatBytes(entLabel, lp(zone), lp(publicTag), kid);
  return derive({ secret: y, info, lengthBytes: keyBytes });
}

function publicSlotAad(place: SlotPlace & { readonly idx: Uint8Array }): Uint8Array {
  return concatBytes(lp(place.zone), lp(publicTag), place.idx, place.kid);
}

/**
 * Seals the plaintext of a public slot. `nonce` is 12 fresh random bytes: the key is the same for
 * every version of the slot. Throws TOO_LARGE above the largest size class.
 */
export function sealPublicSlot(
  slot: SlotPlace & {
    readonly idx: Uint8Array;
    readonly plaintext: Uint8Array;
    readonly nonce: Uint8Array;
  },
): { readonly body: Uint8Array; readonly vhash: Uint8Array } {
  const { plaintext, nonce } = slot;
  const key = publicSlotKey(slot);
  const body = sealBody({ key, nonce, aad: publicSlotAad(slot), body: plaintext });
  return { body, vhash: sha256(body) };
}

/** The plaintext of a public slot's body. Throws BOGUS if it is not the body of this slot. */
export function openPublicSlot(
  slot: SlotPlace & { readonly idx: Uint8Array; readonly body: Uint8Array },
): Uint8Array {
  return openBody({ key: publicSlotKey(slot), aad: publicSlotAad(slot), sealed: slot.body });
}

/** Which body the mask belongs to, and the slot's secret: y of a public slot, ak of an audience's. */
export interface MaskPlace {
  readonly secret: Uint8Array | SlotSecret;
  /** 32 bytes. A mask serves one body only, so two versions of the bits never share it. */
  readonly vhash: Uint8Array;
}

function mask({ secret, vhash }: MaskPlace, bytes: Uint8Array): Uint8Array {
  const info = concatBytes(cmpLabel, vhash);
  const stream = derive({ secret, info, lengthBytes: maskedBytes });
  return bytes.map((byte, i) => byte ^ stream[i]!);
}

/** `masked`: registry version and 8 bytes of MSP bits, readable with the slot's secret only. */
export function maskMspBits(
  place: MaskPlace & { readonly registryVersion: number; readonly bits: Uint8Array },
): Uint8Array {
  if (place.bits.length !== bitStringBytes) throw new TypeError("expected 8 bytes of MSP bits");
  return mask(place, concatBytes(uint32Bytes(place.registryVersion), place.bits));
}

/** What the DP says in `masked`. Any 12 bytes unmask to something: it is the DP's word, no proof. */
export function unmaskMspBits(place: MaskPlace & { readonly masked: Uint8Array }): {
  readonly registryVersion: number;
  readonly bits: Uint8Array;
} {
  if (place.masked.length !== maskedBytes) throw new TypeError("expected 12 masked bytes");
  const clear = mask(place, place.masked);
  const registryVersion = new DataView(clear.buffer, clear.byteOffset).getUint32(0);
  return { registryVersion, bits: clear.slice(4) };
}

/** The bit string with these positions set: bit n is bit 7 - (n mod 8) of byte n div 8; n < 64. */
export function mspBitsOf(bitPositions: readonly number[]): Uint8Array {
  const bits = new Uint8Array(bitStringBytes);
  for (const n of bitPositions) {
    if (!Number.isInteger(n) || n < 0 || n >= limits.mspBitsPerEntry) {
      throw new TypeError("MSP bit: expected a position of 0..63");
    }
    bits[n >>> 3] = bits[n >>> 3]! | (0x80 >>> (n & 7));
  }
  return bits;
}

/** Positions of the set bits, ascending. */
export function bitPositionsOf(bits: Uint8Array): readonly number[] {
  const positions: number[] = [];
  for (let n = 0; n < bits.length * 8; n++) {
    if ((bits[n >>> 3]! & (0x80 >>> (n & 7))) !== 0) positions.push(n);
  }
  return positions;
}
