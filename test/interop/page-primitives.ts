// The primitives that proto/README.md names, on node:crypto and @noble/curves: what a programmer of
// another language has at hand. None of our own code.

import {
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  hkdfSync,
  sign,
  verify,
} from "node:crypto";
import { ristretto255, ristretto255_hasher } from "@noble/curves/ed25519.js";

export type Bytes = Uint8Array;

export const hex = (bytes: Bytes): string => Buffer.from(bytes).toString("hex");
export const unhex = (text: string): Bytes => new Uint8Array(Buffer.from(text, "hex"));
export const text = (value: string): Bytes => new TextEncoder().encode(value);
export const cat = (...parts: readonly Bytes[]): Bytes => new Uint8Array(Buffer.concat(parts));
export const xor = (a: Bytes, b: Bytes): Bytes => a.map((byte, at) => byte ^ b[at]!);

/** Big-endian integer of `length` octets. */
export function int(value: number, length: number): Bytes {
  return unhex(value.toString(16).padStart(length * 2, "0"));
}

export function lp(value: Bytes | string): Bytes {
  const bytes = typeof value === "string" ? text(value) : value;
  return cat(int(bytes.length, 2), bytes);
}

export const hash = (name: "sha256" | "sha384" | "sha512", ...parts: readonly Bytes[]): Bytes =>
  new Uint8Array(
    createHash(name)
      .update(cat(...parts))
      .digest(),
  );
export const hmacSha256 = (key: Bytes, message: Bytes): Bytes =>
  new Uint8Array(createHmac("sha256", key).update(message).digest());
export const hkdf = (secret: Bytes, info: Bytes, length: number): Bytes =>
  new Uint8Array(hkdfSync("sha512", secret, new Uint8Array(), info, length));

export function openGcm(key: Bytes, sealed: Bytes, aad: Bytes): Bytes {
  const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(0, 12));
  decipher.setAAD(aad);
  decipher.setAuthTag(sealed.subarray(-16));
  return cat(decipher.update(sealed.subarray(12, -16)), decipher.final());
}

const pkcs8 = unhex("302e020100300506032b657004220420");
const spki = unhex("302a300506032b6570032100");

const privateKey = (secret: Bytes) =>
  createPrivateKey({ key: Buffer.from(cat(pkcs8, secret)), format: "der", type: "pkcs8" });

/** RFC 8032. */
export const ed25519 = {
  publicKey: (secret: Bytes): Bytes =>
    new Uint8Array(
      createPublicKey(privateKey(secret)).export({ format: "der", type: "spki" }).subarray(-32),
    ),
  sign: (secret: Bytes, message: Bytes): Bytes =>
    new Uint8Array(sign(null, message, privateKey(secret))),
  verify: (publicKey: Bytes, message: Bytes, signature: Bytes): boolean => {
    const key = Buffer.from(cat(spki, publicKey));
    const imported = createPublicKey({ key, format: "der", type: "spki" });
    return verify(null, message, imported, signature);
  },
};

const { Point } = ristretto255;
const order = Point.Fn.ORDER;
type Element = InstanceType<typeof Point>;

const littleEndian = (bytes: Bytes): bigint => BigInt(`0x${hex(bytes.toReversed())}`);
const scalarBytes = (scalar: bigint): Bytes =>
  unhex(scalar.toString(16).padStart(64, "0")).toReversed();
/** 64 random octets, read little-endian, modulo the order of the group. */
export const drawScalar = (random: Bytes): Bytes => scalarBytes(littleEndian(random) % order);

const context = cat(text("OPRFV1-"), int(1, 1), text("-ristretto255-SHA512"));
const toGroup = (input: Bytes): Element =>
  ristretto255_hasher.hashToCurve(input, { DST: cat(text("HashToGroup-"), context) });
const toScalar = (input: Bytes, domain = "HashToScalar-"): bigint =>
  ristretto255_hasher.hashToScalar(input, { DST: cat(text(domain), context) });
const element = (bytes: Bytes): Element => Point.fromBytes(bytes);

/** RFC 9497, ristretto255-SHA512, mode 0x01, written from the RFC's pseudo-code. */
export const voprf = {
  /** Section 3.2.1. */
  deriveSecretKey(seed: Bytes, info: Bytes): Bytes {
    const input = cat(seed, lp(info));
    return scalarBytes(toScalar(cat(input, int(0, 1)), "DeriveKeyPair"));
  },
  publicKey: (secret: Bytes): Bytes => Point.BASE.multiply(littleEndian(secret)).toBytes(),
  blind: (input: Bytes, blind: Bytes): Bytes =>
    toGroup(input).multiply(littleEndian(blind)).toBytes(),
  evaluate: (secret: Bytes, blinded: Bytes): Bytes =>
    element(blinded).multiply(littleEndian(secret)).toBytes(),
  /** Section 2.2.1: challenge(32) ‖ response(32). */
  prove(key: {
    readonly secret: Bytes;
    readonly blinded: readonly Bytes[];
    readonly evaluated: readonly Bytes[];
    readonly nonce: Bytes;
  }): Bytes {
    const publicKey = voprf.publicKey(key.secret);
    const { m, z } = composites(publicKey, key);
    const r = littleEndian(key.nonce);
    const c = challenge(publicKey, [m, z, Point.BASE.multiply(r), m.multiply(r)]);
    const s = (((r - c * littleEndian(key.secret)) % order) + order) % order;
    return cat(scalarBytes(c), scalarBytes(s));
  },
  /** Section 2.2.2. */
  verify(answer: {
    readonly publicKey: Bytes;
    readonly blinded: readonly Bytes[];
    readonly evaluated: readonly Bytes[];
    readonly proof: Bytes;
  }): boolean {
    const { publicKey, proof } = answer;
    const { m, z } = composites(publicKey, answer);
    const [c, s] = [littleEndian(proof.subarray(0, 32)), littleEndian(proof.subarray(32))];
    const t2 = Point.BASE.multiply(s).add(element(publicKey).multiply(c));
    const t3 = m.multiply(s).add(z.multiply(c));
    return challenge(publicKey, [m, z, t2, t3]) === c;
  },
  /** Section 3.3.2. */
  finalize(input: Bytes, blind: Bytes, evaluated: Bytes): Bytes {
    const inverse = Point.Fn.inv(littleEndian(blind));
    const unblinded = element(evaluated).multiply(inverse).toBytes();
    return hash("sha512", lp(input), lp(unblinded), text("Finalize"));
  },
};

function composites(
  publicKey: Bytes,
  of: { readonly blinded: readonly Bytes[]; readonly evaluated: readonly Bytes[] },
): { readonly m: Element; readonly z: Element } {
  const seed = hash("sha512", lp(publicKey), lp(cat(text("Seed-"), context)));
  let [m, z] = [Point.ZERO, Point.ZERO];
  for (const [at, blinded] of of.blinded.entries()) {
    const evaluated = of.evaluated[at]!;
    const d = toScalar(cat(lp(seed), int(at, 2), lp(blinded), lp(evaluated), text("Composite")));
    m = m.add(element(blinded).multiply(d));
    z = z.add(element(evaluated).multiply(d));
  }
  return { m, z };
}

function challenge(publicKey: Bytes, elements: readonly Element[]): bigint {
  const parts = elements.map((one) => lp(one.toBytes()));
  return toScalar(cat(lp(publicKey), ...parts, text("Challenge")));
}
