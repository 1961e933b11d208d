// `verify`: everything a resolver checks of one verbose answer with one mapping, against the five Ed25519
// verifications alone. One process, no network.

import { createPublicKey, verify as verifyRaw, type KeyObject } from "node:crypto";
import { sha256, signatureInput, type SignedType } from "@whither/crypto/node";
import { parseCsi, type SignedObject } from "@whither/protocol";
import { createMemoryStore } from "@whither/store";
import { systemClock, systemRandom } from "@whither/runtime";
import { BucketResponseSchema } from "@whither/wire";
import { decodeMessage } from "@whither/rpc";
import {
  bitPositionsOf,
  bucketPrefix,
  nodeVerifier,
  openPublicSlot,
  unmaskMspBits,
  verifyBucket,
  verifySlot,
  verifySlotBits,
} from "@whither/zone";
import {
  generateFillers,
  makeRealSlots,
  makeRegistrationParties,
  openTestZone,
  type RealSlot,
  type RegistrationParties,
} from "@whither/testkit";
import { interleave, peakMemoryMib } from "./measure.js";
import { ratioOf, type BenchReport } from "./report.js";
import type { BenchOptions } from "./main.js";

const contacts = 100;

export async function benchVerify({ quick }: BenchOptions): Promise<BenchReport> {
  const slots = quick ? 12_288 : 786_432;
  const passes = quick ? 2 : 10;
  const parties = makeRegistrationParties({ nowSeconds: systemClock.nowSeconds() });
  const csis = Array.from({ length: contacts }, (_, n) => parseCsi(`+1415555${1000 + n}`));
  const real = await makeRealSlots({ parties, csis });
  const zone = await openTestZone({
    parties,
    clock: systemClock,
    random: systemRandom,
    store: createMemoryStore(),
  });
  const fillers = generateFillers({ count: slots - contacts, seed: "verify" });
  await zone.loadEntries(
    chain(
      real.map(({ slot }) => slot),
      fillers,
    ),
  );
  const answers = real.map((one) => ({ ...one, answer: answerOf(zone, one) }));
  const ceilings = real.map((one) => signaturesOf(parties, one));
  const { b, pad } = zone.head();
  const [ours, ceiling] = await interleave(
    [
      {
        name: "whole answer",
        run: () => {
          for (let pass = 0; pass < passes; pass += 1) {
            for (const answer of answers) validate(parties, answer);
          }
          return { operations: passes * contacts };
        },
      },
      {
        name: "5 × Ed25519",
        run: () => {
          for (let pass = 0; pass < passes; pass += 1) ceilings.forEach(verifyAll);
          return { operations: passes * contacts };
        },
      },
    ],
    { rounds: quick ? 1 : 9 },
  );
  await zone.close();
  if (ours === undefined || ceiling === undefined) throw new TypeError("two sides were measured");
  return {
    name: "verify",
    title: "one verbose answer with one mapping, against five Ed25519 verifications of node:crypto",
    layout: "one process, one thread; keys cached on both sides; head verified before",
    parameters: {
      slots,
      depth: b,
      "bucket octets": pad,
      contacts,
      "answers a round": passes * contacts,
    },
    sides: [ours, ceiling],
    ratios: [
      ratioOf({ name: "time to ceiling", ours, ceiling, target: 1.25, direction: "at most" }),
    ],
    peakMib: { bench: peakMemoryMib() },
    notes: [
      "whole answer = bucket (padding, order, hash, path), body hash, opening, statement, holder, MSP, acceptance, credential, opening of the commitment, compact bits",
    ],
  };
}

function* chain<T>(first: Iterable<T>, second: Iterable<T>): Generator<T> {
  yield* first;
  yield* second;
}

type Zone = Awaited<ReturnType<typeof openTestZone>>;

interface Answer {
  readonly zone: Zone;
  readonly response: Uint8Array;
}

function answerOf(zone: Zone, { slot }: RealSlot): Answer {
  const { kid, b } = zone.head();
  return { zone, response: zone.bucketResponse({ kid, b, prefix: bucketPrefix(slot.idx, b) }) };
}

/** Throws unless the answer is the true one. */
function validate(
  parties: RegistrationParties,
  { csi, y, slot, answer }: RealSlot & { readonly answer: Answer },
): void {
  const { zone, manifest, dp, registry, nowSeconds } = parties;
  const head = answer.zone.head();
  const { kid, b } = head;
  const { idx, body } = slot;
  const { count, entries, siblings } = decodeMessage(BucketResponseSchema, answer.response);
  const prefix = bucketPrefix(idx, b);
  const bucket = verifyBucket({ zone, kid, b, prefix, count, entries, siblings, head });
  const entry = bucket.find(idx);
  if (entry === undefined || Buffer.compare(sha256(body), entry.vhash) !== 0) {
    throw new TypeError("bench: the slot is not there");
  }
  const plaintext = openPublicSlot({ y, zone, kid, idx, body });
  const check = { csi, zone, manifest, dp, registry, plaintext, nowSeconds };
  const verified = verifySlot({ ...check, verifier: nodeVerifier });
  const { bits } = unmaskMspBits({ secret: y, vhash: entry.vhash, masked: entry.masked });
  verifySlotBits({ slot: verified, bits: bitPositionsOf(bits), registry });
  if (verified.mappings.length !== 1) throw new TypeError("bench: expected one mapping");
}

interface RawSignature {
  readonly key: KeyObject;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

/** The same five signatures, ready for OpenSSL. */
function signaturesOf(parties: RegistrationParties, { parts }: RealSlot): readonly RawSignature[] {
  const keys = new Map(
    [parties.zoneSigner, parties.proverSigner, ...parties.mspSigners].map(
      ({ keyId, publicKey }) => [Buffer.from(keyId).toString("hex"), publicKey],
    ),
  );
  const [mapping] = parts.mappings;
  if (mapping === undefined) throw new TypeError("bench: expected one mapping");
  const objects: readonly (readonly [SignedType, string, SignedObject])[] = [
    ["statement", parties.zone, parts.statement],
    ["mapping", "", mapping.mapping],
    ["credential", "", mapping.credential],
    ["acceptance", parties.zone, mapping.acceptance],
  ];
  return objects.flatMap(([type, zone, { payload, signatures }]) =>
    signatures.map(({ keyId, role, signature }): RawSignature => {
      const publicKey = keys.get(Buffer.from(keyId).toString("hex")) ?? holderKey(payload, type);
      const message = signatureInput({ type, role, zone, payload });
      return { key: keyObject(publicKey), message, signature };
    }),
  );
}

/** Statement and mapping carry the holder's key as a field of 32 bytes: tag, length, key. */
function holderKey(payload: Uint8Array, type: SignedType): Uint8Array {
  const field = type === "statement" ? 4 : 3;
  const at = Buffer.from(payload).indexOf(Uint8Array.of((field << 3) | 2, 32));
  return payload.slice(at + 2, at + 34);
}

function keyObject(publicKey: Uint8Array): KeyObject {
  const x = Buffer.from(publicKey).toString("base64url");
  return createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
}

function verifyAll(signatures: readonly RawSignature[]): void {
  for (const { key, message, signature } of signatures) {
    if (!verifyRaw(null, message, key, signature)) throw new TypeError("bench: wrong signature");
  }
  if (signatures.length !== 5) throw new TypeError("bench: expected five signatures");
}
