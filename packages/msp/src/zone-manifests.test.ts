import { expect } from "chai";
import { sha256 } from "@whither/crypto/node";
import { ManifestMemory } from "@whither/directory";
import {
  DiscoveryError,
  isDiscoveryError,
  limits,
  roles,
  type ErrorCode,
  type Manifest,
  type SignedObject,
} from "@whither/protocol";
import { createSimulatedClock, fixedSigner, makeRegistrationParties } from "@whither/testkit";
import { encodeManifest } from "@whither/wire";
import { addSignature, nodeVerifier } from "@whither/zone";
import { ZoneManifests } from "./zone-manifests.js";

const parties = makeRegistrationParties();
const { zone, dp, nowSeconds, manifest: first, zoneSigner } = parties;
const root = fixedSigner("ksk");
const second: Manifest = { ...first, version: 2 };
const hashOf = (manifest: Manifest): Uint8Array => sha256(encodeManifest(manifest));
const objectOf = (manifest: Manifest): SignedObject => ({
  payload: encodeManifest(manifest),
  signatures: [],
});
const place = { type: "manifest", zone } as const;
const byZone = addSignature(objectOf(second), { ...place, role: roles.zone, signer: zoneSigner });
const byRoot = addSignature(objectOf(second), { ...place, role: roles.rootKsk, signer: root });

/** Servers that have what a test gives them, and the directory. */
function setting() {
  const clock = createSimulatedClock({ startMs: nowSeconds * 1000 });
  const served = new Map<string, SignedObject>();
  const put = (object: SignedObject) =>
    served.set(Buffer.from(sha256(object.payload)).toString("hex"), object);
  put(objectOf(first));
  const asked = { count: 0 };
  const memory = ManifestMemory.ofProcess({
    clock,
    ksks: () => ({ keys: [root.publicKey], threshold: 1 }),
  });
  const manifests = new ZoneManifests({
    memory,
    fetch: (_authority, hash) => {
      asked.count += 1;
      const object = served.get(Buffer.from(hash).toString("hex"));
      return object === undefined
        ? Promise.reject(new DiscoveryError("NETWORK", "the server is away"))
        : Promise.resolve(object);
    },
    clock,
    verifier: nodeVerifier,
  });
  const inEffect = (manifest: Manifest, named: readonly Manifest[]) =>
    manifests.inEffect(
      {
        authority: {
          ...{ zone, dpId: dp.id, kind: "mappings", relayOnly: false, endpoints: [] },
          manifestSha256: named.map(hashOf),
        },
        namedAt: nowSeconds - 2 * limits.manifestHoldSeconds,
      },
      hashOf(manifest),
      {},
    );
  const codeOf = async (...given: Parameters<typeof inEffect>): Promise<ErrorCode | number> => {
    try {
      return (await inEffect(...given)).version;
    } catch (error) {
      if (isDiscoveryError(error)) return error.code;
      throw error;
    }
  };
  return { clock, put, asked, codeOf };
}

describe("manifests of a zone, for who registers", () => {
  it("count when the directory names them, the first that is met at once", async () => {
    const { codeOf, asked } = setting();
    expect(await codeOf(first, [first])).to.equal(1);
    expect(await codeOf(second, [first])).to.equal("BOGUS");
    expect(await codeOf(first, [first])).to.equal(1);
    expect(asked.count).to.equal(1);
  });

  it("wait 72 h when the one before did not sign them, whatever the directory's date says", async () => {
    const { clock, put, codeOf } = setting();
    await codeOf(first, [first]);
    put(objectOf(second));
    expect(await codeOf(second, [second])).to.equal("MANIFEST_WAITS");
    expect(await codeOf(first, [second])).to.equal(1);
    await clock.advance(limits.manifestHoldSeconds * 1000 - 1000);
    expect(await codeOf(second, [second])).to.equal("MANIFEST_WAITS");
    await clock.advance(1000);
    expect(await codeOf(second, [second])).to.equal(2);
    expect(await codeOf(first, [second])).to.equal("BOGUS");
  });

  for (const [who, object] of [
    ["the zone's key", byZone],
    ["the root", byRoot],
  ] as const) {
    it(`count at once when ${who} signed them`, async () => {
      const { put, codeOf } = setting();
      await codeOf(first, [first]);
      put(object);
      expect(await codeOf(second, [second, first])).to.equal(2);
      expect(await codeOf(first, [second, first])).to.equal(1);
    });
  }

  it("are asked for anew while they wait: a copy with the signature ends it", async () => {
    const { clock, put, codeOf, asked } = setting();
    await codeOf(first, [first]);
    put(objectOf(second));
    await codeOf(second, [second]);
    put(byZone);
    asked.count = 0;
    expect(await codeOf(second, [second])).to.equal("MANIFEST_WAITS");
    expect(asked.count).to.equal(0);
    await clock.advance(limits.failureTtlSecondsMax * 1000);
    expect(await codeOf(second, [second])).to.equal(2);
    expect(asked.count).to.equal(1);
  });

  it("fail with what kept them from being had", async () => {
    const { codeOf } = setting();
    await codeOf(first, [first]);
    expect(await codeOf(second, [second, first])).to.equal("NETWORK");
    expect(await codeOf(first, [second, first])).to.equal(1);
  });
});
