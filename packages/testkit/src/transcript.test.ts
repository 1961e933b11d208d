import { readFileSync } from "node:fs";
import { expect } from "chai";
import { fromBinary } from "@bufbuild/protobuf";
import { errorRegistry, parsePrefix } from "@whither/protocol";
import { fromHex, portableVoprf } from "@whither/crypto/node";
import {
  BucketRequestSchema,
  BucketResponseSchema,
  decodeReferAnswer,
  encodeManifest,
  signedObjectFromWire,
} from "@whither/wire";
import {
  bitPositionsOf,
  nodeVerifier,
  openPublicSlot,
  payloadSha256,
  slotIndex,
  unmaskMspBits,
  verifyBucket,
  verifyHead,
  verifyHeadSequence,
  headMarkOf,
  verifyManifest,
  verifyReferral,
  verifyTrust,
  verifySlot,
  verifySlotBits,
} from "@whither/zone";
import { makeTranscript, transcriptText } from "./transcript.js";
import type { JsonObject } from "./transcript-values.js";

const root = new URL("../../../", import.meta.url);
const transcript = makeTranscript();
const { nowSeconds, manifest, directory } = transcript;
const manifestObject = { payload: encodeManifest(manifest), signatures: [] };
const manifestSha256 = payloadSha256(manifestObject);
const verifier = nodeVerifier;

function section(name: string): JsonObject {
  return transcript.vectors[name] as JsonObject;
}
function list(of: JsonObject, name: string): readonly JsonObject[] {
  return of[name] as readonly JsonObject[];
}
function octets(of: JsonObject, name: string): Uint8Array {
  return fromHex(of[name] as string);
}

describe("whither-v1.json", () => {
  it("is what the maker makes", () => {
    const file = readFileSync(new URL("test/vectors/whither-v1.json", root), "utf8");
    expect(file === transcriptText(), "run the command of test/vectors/README.md").to.equal(true);
  });

  it("holds referrals that our client accepts", () => {
    const { anchors } = directory;
    const asked = list(section("directory"), "referrals").map((one) => {
      const response = decodeReferAnswer(octets(one, "response"));
      const prefix = parsePrefix(one["asked"] as string);
      const { rootKeys, head } = response;
      const trust = verifyTrust({ rootKeys: rootKeys!, head, anchors, nowSeconds, verifier });
      const verified = verifyReferral({ asked: prefix, response, trust, nowSeconds, verifier });
      expect(verified.exact ? "presence" : "absence").to.equal(one["proves"]);
      return prefix;
    });
    expect(asked).to.have.length(5);
  });

  it("holds a delegation whose manifest and heads our client accepts", () => {
    const delegation = directory.directory.delegation(transcript.csi);
    const [authority] = delegation.authorities;
    const named = authority?.manifestSha256 ?? [];
    const zone = manifest.zone;
    const check = { object: manifestObject, zone, manifestSha256: named, nowSeconds, verifier };
    expect(verifyManifest(check).sha256).to.deep.equal(manifestSha256);
    const marks = transcript.epochs.map(({ object, head }) => {
      verifyHead({ object, zone, manifest, manifestSha256, nowSeconds, verifier });
      return { mark: headMarkOf(object, head), prev: head.prevSha256 };
    });
    for (const [at, { mark, prev }] of marks.entries()) {
      const before = marks[at - 1];
      if (before === undefined) continue;
      verifyHeadSequence({ seen: before.mark, next: mark, nextPrevSha256: prev });
    }
    expect(transcript.epochs.map(({ head }) => head.b)).to.deep.equal([0, 1, 2]);
  });

  it("holds an answer that our client verifies down to the compact bits", () => {
    const { csi, epochs } = transcript;
    const y = octets(section("slot"), "y");
    const { zone } = manifest;
    const [{ kid } = { kid: new Uint8Array() }] = manifest.voprfKeys;
    const idx = slotIndex({ y, zone, kid });
    const buckets = list(section("lookups"), "buckets");
    const outcomes = buckets.map((one) => {
      const request = fromBinary(BucketRequestSchema, octets(one, "request"));
      const response = fromBinary(BucketResponseSchema, octets(one, "response"));
      const head = epochs[(one["serial"] as number) - 1]!.head;
      const object = signedObjectFromWire(response.head);
      verifyHead({ object, zone, manifest, manifestSha256, nowSeconds, verifier });
      const { b, prefix } = request;
      const { count, entries, siblings } = response;
      const bucket = verifyBucket({ zone, kid, b, prefix, count, entries, siblings, head });
      const entry = bucket.find(octets(one, "idx"));
      expect(entry === undefined ? "absence" : "presence").to.equal(one["proves"]);
      return { csi: one["csi"], entry };
    });
    const found = outcomes.filter(({ entry }) => entry !== undefined);
    expect(outcomes).to.have.length(4);
    expect(found.map((one) => one.csi)).to.deep.equal([csi, csi]);
    const entry = found[1]!.entry!;
    const plaintext = openPublicSlot({ y, zone, kid, idx, body: transcript.slot.body });
    const dp = directory.directory.registry.dp("dp-a.example" as never)!;
    const { registry } = directory.directory;
    const slot = verifySlot({ csi, zone, manifest, dp, registry, plaintext, nowSeconds, verifier });
    expect(slot.mappings.map(({ mspId }) => mspId)).to.deep.equal([
      "wire.example",
      "video.example",
    ]);
    const { registryVersion, bits } = unmaskMspBits({ secret: y, ...entry });
    expect(registryVersion).to.equal(1);
    verifySlotBits({ slot, bits: bitPositionsOf(bits), registry });
  });

  it("holds a key that our implementation evaluates to the same y", () => {
    const key = octets(section("voprf_key"), "secret_key");
    const x = octets(list(section("evaluation"), "elements")[0]!, "x");
    expect(portableVoprf.evaluate(key, x)).to.deep.equal(octets(section("slot"), "y"));
  });
});

describe("proto/README.md", () => {
  it("lists the whole error registry and nothing else", () => {
    const page = readFileSync(new URL("proto/README.md", root), "utf8");
    const rows = [
      ...page.matchAll(/^\| ([A-Z_]+) \| (\d+) \| ([A-Z_]+) \| (yes|no) \| (.+) \|$/gm),
    ];
    const listed = rows.map(([, code, number, status, retry, meaning]) => ({
      code,
      number: Number(number),
      status,
      retryable: retry === "yes",
      meaning,
    }));
    const registered = Object.entries(errorRegistry).map(([code, entry]) => ({
      code,
      number: entry.number,
      status: entry.grpc,
      retryable: entry.retryable,
      meaning: entry.meaning,
    }));
    expect(listed).to.deep.equal(registered);
  });
});
