// The arithmetic that nobody can spare, and nothing else: the four VOPRF steps on libsodium and Ed25519
// verifications on OpenSSL, in a row on one core.

import { generateKeyPairSync, sign, verify } from "node:crypto";
import { loadSodiumVoprf, utf8 } from "@whither/crypto/node";
import { systemRandom } from "@whither/runtime";

export interface RawOrder {
  /** Contacts: each is blinded, evaluated, and finalised under a proof for up to 128. */
  readonly contacts: number;
  /** Ed25519 verifications of each. */
  readonly verifications: number;
}

const batchMax = 128;

let loading: Promise<(order: RawOrder) => void> | undefined;

export function openRawWork(): Promise<(order: RawOrder) => void> {
  return (loading ??= load());
}

async function load(): Promise<(order: RawOrder) => void> {
  const voprf = await loadSodiumVoprf();
  const random = (length: number): Uint8Array => systemRandom.bytes(length);
  const keys = voprf.generateKeyPair(random);
  const { publicKey } = keys;
  const ed25519 = generateKeyPairSync("ed25519");
  const message = new Uint8Array(120);
  const signature = sign(null, message, ed25519.privateKey);
  const runBatch = (from: number, to: number): void => {
    const inputs = Array.from({ length: to - from }, (_, n) => utf8(`contact ${from + n}`));
    const { blinds, blinded } = voprf.blind(inputs, random);
    const { evaluated, proof } = voprf.evaluateBlinded({ ...keys, blinded, randomBytes: random });
    voprf.finalize({ publicKey, inputs, blinds, blinded, evaluated, proof });
  };
  return ({ contacts, verifications }) => {
    const batches = Math.ceil(contacts / batchMax);
    for (let at = 0; at < batches; at += 1) {
      runBatch(Math.floor((at * contacts) / batches), Math.floor(((at + 1) * contacts) / batches));
    }
    for (let n = 0; n < contacts * verifications; n += 1) {
      if (!verify(null, message, ed25519.publicKey, signature)) throw new TypeError("bench: wrong");
    }
  };
}
