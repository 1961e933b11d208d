// Inputs and derivations that the vector tests share: the file itself, the .proto files, and the rules of
// test/vectors/README.md. With proto-text.ts and page-primitives.ts all that a reader needs; none of our own code.

import { readFileSync } from "node:fs";
import { cat, hash, hex, hkdf, int, lp, text, unhex, type Bytes } from "./page-primitives.js";
import { ProtoText, type Message } from "./proto-text.js";

/* eslint-disable @typescript-eslint/no-explicit-any, @typescript-eslint/no-unsafe-member-access,
   @typescript-eslint/no-unsafe-assignment, @typescript-eslint/no-unsafe-argument,
   @typescript-eslint/no-unsafe-call -- the vectors are read as a
   stranger reads them: JSON of a shape that each test states by using it */

const root = new URL("../../", import.meta.url);
export const v = JSON.parse(readFileSync(new URL("test/vectors/whither-v1.json", root), "utf8"));
const protos = ["record", "directory", "discovery", "zone", "registration", "error"];
export const proto = new ProtoText(
  protos.map((name) => new URL(`proto/whither/v1/${name}.proto`, root)),
);
export const zone: string = v.zone;
export const kid = unhex(v.kid);

/** test/vectors/README.md: how every random value was drawn. */
export const drawn = (seed: string, length = 32): Bytes =>
  hash("sha512", text(`whither-v1 vectors: ${seed}`)).slice(0, length);
export const sortedHex = (list: readonly string[]): string[] => [...list].sort();

const roleNames = ["", "ROOT_KSK", "ROOT_ZSK", "ZONE", "HOLDER", "MSP", "DP", "PROVER"];

/** A signed object of the vectors as the message that travels. */
export function wire(object: any): Message {
  const signatures = object.signatures.map(({ key_id, role, signature }: any) => ({
    key_id,
    role: `ROLE_${roleNames[role]!}`,
    signature,
  }));
  return { payload: object.payload, signatures };
}

/** Labels of a prefix: the scheme without its colon, then digits, or domain labels from the right. */
export function labelsOf(prefix: string): string[] {
  if (prefix === ".") return [];
  const [scheme, rest] = [
    prefix.slice(0, prefix.indexOf(":")),
    prefix.slice(prefix.indexOf(":") + 1),
  ];
  if (scheme === "tel") return [scheme, ...rest.slice(1).split("")];
  return [scheme, ...(rest === "" ? [] : rest.split(".").reverse())];
}

/** test/vectors/README.md: the slots that fill the tree. */
export function filler(at: number): { idx: string; masked: Bytes; vhash: Bytes; body: Bytes } {
  const bytes = drawn(`filler ${at}`, 64);
  const body = hkdf(bytes, text("body"), 1052);
  const idx = hex(bytes.slice(0, 16));
  return { idx, masked: bytes.slice(16, 28), vhash: hash("sha256", body), body };
}

/** Entries of an epoch by idx, and those it added. */
export function entriesAt(serial: number): { all: Map<string, Bytes>; added: Map<string, Bytes> } {
  const all = new Map<string, Bytes>();
  const added = new Map<string, Bytes>();
  const put = (since: number, idx: string, entry: Bytes): void => {
    if (since > serial) return;
    all.set(idx, entry);
    if (since === serial) added.set(idx, entry);
  };
  put(1, v.slot.idx, unhex(v.slot.entry));
  for (let at = 0; at < 511; at += 1) {
    const since = at < 2 ? 1 : 2;
    const { idx, masked, vhash } = filler(at);
    put(since, idx, cat(unhex(idx), int(since, 8), masked, vhash));
  }
  return { all, added };
}

export const bitsOf = (idx: string, b: number): string =>
  [...unhex(idx)]
    .map((byte) => byte.toString(2).padStart(8, "0"))
    .join("")
    .slice(0, b);
export const prefixOf = (idx: string, b: number): Bytes => {
  const bits = bitsOf(idx, b).padEnd(128, "0");
  return Uint8Array.from({ length: 16 }, (_, at) => parseInt(bits.slice(8 * at, 8 * at + 8), 2));
};
export const inner = (left: Bytes, right: Bytes): Bytes => hash("sha256", int(1, 1), left, right);
export const bucketHash = (b: number, prefix: Bytes, entries: Bytes): Bytes =>
  hash(
    "sha256",
    int(0, 1),
    text("whither/bucket/v1"),
    lp(zone),
    kid,
    int(b, 1),
    prefix,
    int(68, 2),
    int(entries.length / 68, 4),
    entries,
  );

/** The real entries of every bucket at a depth, in the order of their prefixes. */
export function bucketsAt(serial: number, b: number): { prefix: Bytes; entries: Bytes }[] {
  const { all } = entriesAt(serial);
  return Array.from({ length: 2 ** b }, (_, number) => {
    const bits = b === 0 ? "" : number.toString(2).padStart(b, "0");
    const members = sortedHex([...all.keys()]).filter((idx) => bitsOf(idx, b) === bits);
    const first = bits.padEnd(8, "0");
    const prefix = cat(int(parseInt(first, 2), 1), new Uint8Array(15));
    return { prefix, entries: cat(...members.map((idx) => all.get(idx)!)) };
  });
}

/** Section 4: the depth after an epoch. */
export function depthAfter(b: number, size: number): number {
  if (size >= 512 && size / 2 ** b >= 256) return b + 1;
  return b > 0 && size / 2 ** b < 64 ? b - 1 : b;
}

export function entriesOf(entries: Bytes): { idx: string; vhash: string }[] {
  return Array.from({ length: entries.length / 68 }, (_, at) => {
    const entry = entries.subarray(68 * at, 68 * at + 68);
    return { idx: hex(entry.subarray(0, 16)), vhash: hex(entry.subarray(36)) };
  });
}
