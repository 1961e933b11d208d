// Everything by which somebody who has a list of identifiers could recognise one of them in bytes: the
// identifier in each form a person writes it, parts of it, and every keyless hash of those, whole or cut.

import { createHash } from "node:crypto";
import { csiScheme, type Csi } from "@whither/protocol";
import { slotInput } from "@whither/zone";

const hashes = [
  "md5",
  "sha1",
  "sha256",
  "sha384",
  "sha512",
  "sha3-256",
  "sha3-512",
  "blake2b512",
  "blake2s256",
];
/** The least that counts as recognising a hash. */
const hashOctets = 8;
const keyOctets = 6;

interface Needle {
  readonly bytes: Buffer;
  readonly label: string;
}

export class IdentifierDictionary {
  readonly #needles = new Map<string, Needle[]>();
  /** One bit for each three octets that a needle begins with: most places of a haystack end here. */
  readonly #begins = new Uint8Array(2 ** 21);
  #size = 0;

  /** `partOctets`: digits or letters in a row that count as recognising, at least 6. */
  constructor(csis: Iterable<Csi>, { partOctets }: { readonly partOctets: number }) {
    for (const csi of csis) {
      for (const form of formsOf(csi)) this.#addForm(csi, form);
      this.#addHashes(`x of ${csi}`, Buffer.from(slotInput(csi)));
      for (const part of partsOf(csi, partOctets)) this.#add(`part of ${csi}`, Buffer.from(part));
    }
  }

  get size(): number {
    return this.#size;
  }

  /** What of the dictionary occurs in the bytes: labels, each once. */
  findIn(haystack: Uint8Array): readonly string[] {
    const bytes = Buffer.from(haystack.buffer, haystack.byteOffset, haystack.byteLength);
    const found = new Set<string>();
    const begins = this.#begins;
    for (let at = 0; at + keyOctets <= bytes.length; at += 1) {
      const three = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
      if ((begins[three >> 3]! & (1 << (three & 7))) === 0) continue;
      const key = bytes.toString("latin1", at, at + keyOctets);
      for (const needle of this.#needles.get(key) ?? []) {
        const end = at + needle.bytes.length;
        if (end <= bytes.length && bytes.compare(needle.bytes, 0, undefined, at, end) === 0) {
          found.add(needle.label);
        }
      }
    }
    return [...found];
  }

  #addForm(csi: Csi, form: string): void {
    const bytes = Buffer.from(form);
    this.#add(`${form} of ${csi}`, bytes);
    this.#addHashes(`${form} of ${csi}`, bytes);
  }

  /** Both ends of each hash: whatever longer cut is there begins or ends with them. As octets and as text. */
  #addHashes(label: string, preimage: Buffer): void {
    for (const hash of hashes) {
      const digest = createHash(hash).update(preimage).digest();
      const name = `${hash} of ${label}`;
      this.#add(name, digest.subarray(0, hashOctets));
      this.#add(`end of ${name}`, digest.subarray(-hashOctets));
      this.#add(`hex of ${name}`, Buffer.from(digest.toString("hex").slice(0, 2 * hashOctets)));
      this.#add(`base64 of ${name}`, Buffer.from(digest.toString("base64url").slice(0, 11)));
    }
  }

  #add(label: string, bytes: Buffer): void {
    if (bytes.length < keyOctets) throw new TypeError(`too short to be searched for: ${label}`);
    const key = bytes.toString("latin1", 0, keyOctets);
    const held = this.#needles.get(key);
    if (held?.some((needle) => needle.bytes.equals(bytes))) return;
    if (held === undefined) this.#needles.set(key, [{ bytes, label }]);
    else held.push({ bytes, label });
    const three = bytes.readUIntBE(0, 3);
    this.#begins[three >> 3]! |= 1 << (three & 7);
    this.#size += 1;
  }
}

/** The ways an identifier is written. */
function formsOf(csi: Csi): readonly string[] {
  const body = csi.slice(csi.indexOf(":") + 1);
  if (csiScheme(csi) !== "tel") return [csi, body, body.toUpperCase()];
  const digits = body.slice(1);
  return [csi, body, digits, `00${digits}`, `0${digits.slice(2)}`];
}

/** Pieces that would give it away: runs of digits, and the part before the @. */
function partsOf(csi: Csi, partOctets: number): readonly string[] {
  const body = csi.slice(csi.indexOf(":") + 1);
  if (csiScheme(csi) !== "tel") {
    const [local = ""] = body.split("@");
    return local.length >= partOctets ? [local] : [];
  }
  const digits = body.slice(1);
  return Array.from({ length: digits.length - partOctets + 1 }, (_, at) =>
    digits.slice(at, at + partOctets),
  );
}
