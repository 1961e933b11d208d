// One complete transcript of the protocol with fixed randomness, as JSON: keys, directory, manifest,
// registration, slot, tree, answers and messages. test/vectors/whither-v1.json is its text.

import { concatBytes, hkdf, lp, toHex, utf8 } from "@whither/crypto/node";
import { csiLabels, prefixesOfCsi, suiteV1, type Csi, type Manifest } from "@whither/protocol";
import { encodeManifest } from "@whither/wire";
import {
  maskMspBits,
  mspBitsOf,
  payloadSha256,
  sealPublicSlot,
  slotBits,
  slotIndex,
} from "@whither/zone";
import { makeTranscriptDirectory, type TranscriptDirectory } from "./transcript-directory.js";
import {
  absent,
  evaluateBoth,
  keyPair,
  kid,
  nowSeconds,
  present,
  streamVectors,
  voprfInfo,
  zone,
} from "./transcript-evaluation.js";
import {
  makeTranscriptRegistration,
  type TranscriptRegistration,
} from "./transcript-registration.js";
import {
  drawn,
  signedVector,
  signerOf,
  signerVectors,
  type JsonObject,
} from "./transcript-values.js";
import {
  bodiesVector,
  bucketVector,
  entryVector,
  epochVector,
  fillerCount,
  makeFiller,
  publishEpoch,
  type TranscriptEpoch,
  type TranscriptSlot,
  type ZoneOfTranscript,
} from "./transcript-zone.js";

const day = 86_400;

/** The transcript: what a client verifies, for a test of the maker, and the JSON. */
export interface Transcript {
  readonly nowSeconds: number;
  readonly csi: Csi;
  readonly absentCsi: Csi;
  readonly manifest: Manifest;
  readonly directory: TranscriptDirectory;
  readonly registration: TranscriptRegistration;
  readonly epochs: readonly TranscriptEpoch[];
  readonly slot: TranscriptSlot;
  readonly vectors: JsonObject;
}

/** Makes the transcript; the same octets in every run. */
export function makeTranscript(): Transcript {
  const manifest = makeManifest();
  const manifestObject = { payload: encodeManifest(manifest), signatures: [] };
  const manifestSha256 = payloadSha256(manifestObject);
  const directory = makeTranscriptDirectory(manifestSha256, {
    signedAt: nowSeconds - 3600,
    nowSeconds,
  });
  const registeredAt = nowSeconds - 120;
  const registration = makeTranscriptRegistration({
    csi: present,
    zone,
    manifestSha256,
    nowSeconds: registeredAt,
  });
  const evaluation = evaluateBoth();
  const sealed = sealSlot({ y: evaluation.y, registration, directory });
  const epochs = publishAll({ zone, kid, manifestSha256, signer: signerOf("zone") }, sealed.slot);
  const vectors = {
    version: "whither/v1",
    description:
      "One transcript of the whither protocol with fixed randomness. See README.md beside it.",
    now: nowSeconds,
    zone,
    kid: toHex(kid),
    keys: signerVectors(),
    voprf_key: {
      seed: toHex(drawn("voprf seed")),
      info: toHex(utf8(voprfInfo)),
      secret_key: toHex(keyPair.secretKey),
      public_key: toHex(keyPair.publicKey),
    },
    identifiers: [present, absent].map((csi) => ({
      csi,
      labels: csiLabels(csi),
      prefixes: prefixesOfCsi(csi),
    })),
    manifest: signedVector({ type: "manifest", zone, message: "Manifest" }, manifestObject),
    directory: directory.vectors,
    registration: registration.vectors,
    evaluation: evaluation.vectors,
    slot: sealed.vectors,
    epochs: epochs.map(epochVector),
    lookups: lookupVectors({ epochs, slot: sealed.slot, absentIdx: evaluation.absentIdx }),
    stream_messages: streamVectors(evaluation),
  };
  return {
    nowSeconds,
    csi: present,
    absentCsi: absent,
    manifest,
    directory,
    registration,
    epochs,
    slot: sealed.slot,
    vectors,
  };
}

function makeManifest(): Manifest {
  const notBefore = nowSeconds - 10 * day;
  return {
    zone,
    operator: "Operator A",
    suite: suiteV1,
    version: 1,
    zoneKeys: [
      { publicKey: signerOf("zone").publicKey, notBefore, notAfter: nowSeconds + 365 * day },
    ],
    voprfKeys: [{ kid, publicKey: keyPair.publicKey, notAfter: nowSeconds + 80 * day }],
    hpkeKeys: [],
    entryLength: 68,
    epochSeconds: 30,
    mappingTtlSeconds: 3600,
    absenceTtlSeconds: 60,
    policy: {
      federationDefault: "local",
      preferredDps: [],
      quotas: [
        {
          class: "client",
          requestsPerSecond: 50,
          requestsBurst: 125,
          contactsBurst: 2000,
          contactsPerDay: 20,
        },
      ],
      discoveryMaxSeconds: 180,
      removalMaxSeconds: 60,
      retentionSeconds: 30 * day,
      replicaJurisdictions: ["US"],
      preferenceHandling: "the holder's order is kept",
      publicQueries: false,
    },
    notBefore,
  };
}

function sealSlot(of: {
  readonly y: Uint8Array;
  readonly registration: TranscriptRegistration;
  readonly directory: TranscriptDirectory;
}): { readonly slot: TranscriptSlot; readonly vectors: JsonObject } {
  const { y } = of;
  const { plaintext } = of.registration;
  const { registry, head } = of.directory.directory;
  const nonce = drawn("body nonce", 12);
  const idx = slotIndex({ y, zone, kid });
  const { body, vhash } = sealPublicSlot({ y, zone, kid, idx, plaintext, nonce });
  const positions = slotBits(
    registry.msps().map(({ id }) => id),
    registry,
  );
  const bits = mspBitsOf(positions);
  const { registryVersion } = head;
  const masked = maskMspBits({ secret: y, vhash, registryVersion, bits });
  const slot = { idx, masked, vhash, body };
  const entInfo = concatBytes(utf8("whither/ent/v1"), lp(zone), lp(new Uint8Array()), kid);
  const vectors = {
    csi: present,
    y: toHex(y),
    idx: toHex(idx),
    ek: toHex(hkdf({ secret: y, info: entInfo, lengthBytes: 32 })),
    plaintext: toHex(plaintext),
    nonce: toHex(nonce),
    aad: toHex(concatBytes(lp(zone), lp(new Uint8Array()), idx, kid)),
    body: toHex(body),
    vhash: toHex(vhash),
    registry_version: registryVersion,
    msp_bits: positions,
    bits: toHex(bits),
    masked: toHex(masked),
    ...entryVector(slot, 1),
  };
  return { slot, vectors };
}

/** Three slots under one bucket; 512, which split it; then a heartbeat that splits it again. */
function publishAll(of: ZoneOfTranscript, slot: TranscriptSlot): readonly TranscriptEpoch[] {
  const fillers = Array.from({ length: fillerCount }, (_, at) => makeFiller(at));
  const first = publishEpoch(of, {
    slots: [slot, ...fillers.slice(0, 2)],
    timeSeconds: nowSeconds - 90,
  });
  const second = publishEpoch(of, {
    before: first,
    slots: fillers.slice(2),
    timeSeconds: nowSeconds - 60,
  });
  const third = publishEpoch(of, { before: second, slots: [], timeSeconds: nowSeconds - 30 });
  return [first, second, third];
}

function lookupVectors(of: {
  readonly epochs: readonly TranscriptEpoch[];
  readonly slot: TranscriptSlot;
  readonly absentIdx: Uint8Array;
}): JsonObject {
  const { epochs, slot, absentIdx } = of;
  const [first, , last] = epochs;
  if (first === undefined || last === undefined) throw new TypeError("three were published");
  const localSecret = drawn("local secret");
  const held = [slot, makeFiller(0), makeFiller(1)];
  const bodies = new Map(held.map(({ vhash, body }) => [toHex(vhash), body]));
  const wanted = { csi: present, idx: slot.idx };
  return {
    buckets: [
      bucketVector(first, wanted),
      bucketVector(first, { csi: absent, idx: absentIdx }),
      bucketVector(last, wanted),
      bucketVector(last, { csi: absent, idx: absentIdx }),
    ],
    bodies: [
      bodiesVector(first, { ...wanted, localSecret, bodies }),
      bodiesVector(last, { ...wanted, localSecret }),
    ],
  };
}

/** The text of test/vectors/whither-v1.json. */
export function transcriptText(): string {
  return `${JSON.stringify(makeTranscript().vectors, undefined, 2)}\n`;
}
