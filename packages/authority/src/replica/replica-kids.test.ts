import { expect } from "chai";
import { loadSodiumVoprf, portableVoprf, sha256, uint32Bytes, utf8 } from "@whither/crypto/node";
import { ManifestMemory } from "@whither/directory";
import {
  isDiscoveryError,
  limits,
  parseCsi,
  roles,
  type ErrorCode,
  type Manifest,
  type SignedObject,
} from "@whither/protocol";
import { createMemoryNetwork } from "@whither/rpc";
import { createInlineVoprf } from "@whither/runtime";
import { createMemoryDisk, createMemoryStore } from "@whither/store";
import {
  createSeededRandom,
  createSimulatedClock,
  EventLog,
  fixedBytes,
  makeRegistrationParties,
  openTestZone,
} from "@whither/testkit";
import { encodeManifest } from "@whither/wire";
import { mspBitsOf, signObject } from "@whither/zone";
import { createAdmission } from "../admission.js";
import { createZoneService } from "../zone-service.js";
import type { MappingZone, ReadableZone } from "../mapping/mapping-zone.js";
import { openVault } from "../mapping/vault.js";
import { openReplicaZone } from "./open-replica-zone.js";

const startMs = Date.UTC(2027, 0, 15, 8);
const parties = makeRegistrationParties({ nowSeconds: startMs / 1000 });
const { zone, dp, manifest: first } = parties;
const [oldKey] = first.voprfKeys;
if (oldKey === undefined) throw new TypeError("a manifest without a voprf key");
const oldKid = oldKey.kid;
const nextPair = portableVoprf.deriveKeyPair(fixedBytes("voprf 2"), utf8("test"));
const nextKid = sha256(nextPair.publicKey).slice(0, 4);
const nextKey = { kid: nextKid, publicKey: nextPair.publicKey, notAfter: oldKey.notAfter };
const second: Manifest = { ...first, version: 2, voprfKeys: [nextKey, oldKey] };
const third: Manifest = { ...first, version: 3, voprfKeys: [nextKey] };
/** Signed by the key of the one before, so that readers believe it at once. */
const objectOf = (manifest: Manifest): SignedObject =>
  signObject({
    ...{ type: "manifest", role: roles.zone, zone },
    payload: encodeManifest(manifest),
    signer: parties.zoneSigner,
  });
const hashOf = (manifest: Manifest): Uint8Array => sha256(encodeManifest(manifest));
const spkiSha256 = sha256(utf8("primary"));
const oldSecret = { secretKey: parties.voprfKeys.secretKey, from: "old.voprf" };
const nextSecret = { secretKey: nextPair.secretKey, from: "next.voprf" };
/** Nobody signs for a root here. */
const noKsks = () => ({ keys: [], threshold: 1 });
const keys = { signer: parties.zoneSigner, voprfSecretKey: oldSecret.secretKey };

/** A primary of 40 people with a vault, and what the directory names of it. */
async function setting() {
  const clock = createSimulatedClock({ startMs });
  const random = createSeededRandom(11);
  const network = createMemoryNetwork({ clock, random });
  const voprf = createInlineVoprf(await loadSodiumVoprf(), random);
  const key = fixedBytes("vault");
  const vault = await openVault({ store: createMemoryStore(), zone, key, random });
  const primary = await openTestZone({ parties, clock, random, vault, keys });
  for (let n = 0; n < 40; n += 1) await register(primary, n);
  // Heads of the old tree run ahead of those of the next one.
  for (let n = 0; n < 5; n += 1) await primary.runEpoch();
  const admission = createAdmission({ clock, mspOfSpki: () => undefined });
  network.serve("a:1", {
    services: [createZoneService({ zones: new Map([[zone, primary]]), admission, clock })],
    clients: { kind: "none" },
    spkiSha256,
  });
  const endpoint = { host: "a", port: 0, publicPort: 1, spkiSha256: [spkiSha256] };
  const named = { manifestSha256: [hashOf(first)] };
  const log = new EventLog();
  const manifests = await ManifestMemory.open({ path: undefined, clock, ksks: noKsks });
  const replica = async (secretKeys: readonly (typeof oldSecret)[] = [], disk = makeDisk()) =>
    openReplicaZone({
      disk: { open: () => disk.open(), setAside: () => disk.clear() },
      zone,
      authority: () =>
        Promise.resolve({
          authority: {
            ...{ zone, dpId: dp.id, kind: "mappings" as const, relayOnly: false },
            endpoints: [{ ...endpoint, jurisdiction: "", operator: "" }],
            ...named,
          },
          namedAt: 0,
        }),
      manifests,
      openChannel: ({ host, port, pins }) =>
        network.connect(`${host}:${port}`, { from: "replica", ...(pins ? { pins } : {}) }),
      caPem: "",
      ...(secretKeys.length === 0 ? {} : { evaluation: { voprf, secretKeys } }),
      clock,
      random,
      logger: log,
    });
  const makeDisk = () => createMemoryDisk({ clock });
  /** The primary goes on to the second key; readers know both manifests. */
  const rotate = async (): Promise<void> => {
    named.manifestSha256 = [hashOf(second), hashOf(first)];
    await primary.useKeys({
      manifest: objectOf(second),
      keys: { ...keys, nextVoprfSecretKey: nextSecret.secretKey },
    });
    await primary.advanceKeys();
    expect(primary.head().kid).to.deep.equal(nextKid);
    expect(primary.head().serial).to.be.lessThan(primary.head(oldKid).serial);
  };
  return { clock, primary, named, replica, makeDisk, rotate, log };
}

async function register(primary: MappingZone, n: number): Promise<void> {
  const csi = parseCsi(`tel:+1415555${String(n).padStart(4, "0")}`);
  await primary.submit({
    slot: await primary.lookupForRegistration(csi),
    content: { plaintext: utf8(`person ${n}`), registryVersion: 5, bits: mspBitsOf([3]) },
    nonceD: new Uint8Array(48).fill(255, 0, 3).with(47, n),
    statementSha256: sha256(uint32Bytes(n)),
    acceptedAt: startMs / 1000,
  });
}

/** The one bucket of a small tree. */
const bucketOf = (served: Pick<ReadableZone, "bucketResponse">, kid: Uint8Array): string =>
  Buffer.from(served.bucketResponse({ kid, b: 0, prefix: new Uint8Array(16) })).toString("hex");

async function codeOf(run: () => unknown): Promise<ErrorCode | "ok"> {
  try {
    await run();
    return "ok";
  } catch (error) {
    if (isDiscoveryError(error)) return error.code;
    throw error;
  }
}

describe("a replica while the voprf key is replaced", () => {
  it("goes over to the next tree with its primary, though its serials are lower, and keeps the one before", async () => {
    const { primary, replica, rotate } = await setting();
    await using follower = await replica();
    await follower.refresh();
    await rotate();
    await follower.refresh();
    expect(follower.head()).to.deep.equal(primary.head());
    for (const kid of [nextKid, oldKid]) {
      expect(bucketOf(follower, kid)).to.equal(bucketOf(primary, kid));
    }
    await register(primary, 40);
    await primary.runEpoch();
    await follower.refresh();
    for (const kid of [nextKid, oldKid]) {
      expect(follower.head(kid)).to.include({ mapSize: 41 });
      expect(bucketOf(follower, kid)).to.equal(bucketOf(primary, kid));
    }
    await primary.close();
  });

  it("shows the next tree to its readers as soon as the primary pushes it", async () => {
    const { clock, primary, replica, rotate } = await setting();
    await using follower = await replica();
    follower.start();
    await clock.advance(60_000);
    expect(follower.head().kid).to.deep.equal(oldKid);
    await rotate();
    await clock.advance(1_000);
    expect(follower.head().kid).to.deep.equal(nextKid);
    await primary.close();
  });

  it("holds both over a restart", async () => {
    const { primary, replica, makeDisk, rotate } = await setting();
    await rotate();
    const disk = makeDisk();
    const before = await replica([], disk);
    await before.refresh();
    await before.close();
    await using follower = await replica([], disk);
    expect(follower.head().kid).to.deep.equal(nextKid);
    for (const kid of [nextKid, oldKid]) {
      expect(bucketOf(follower, kid)).to.equal(bucketOf(primary, kid));
    }
    await primary.close();
  });

  it("gives up the old tree when its manifest does", async () => {
    const { primary, named, replica, rotate } = await setting();
    await using follower = await replica();
    await rotate();
    await follower.refresh();
    named.manifestSha256 = [hashOf(third)];
    await primary.useKeys({
      manifest: objectOf(third),
      keys: { ...keys, nextVoprfSecretKey: nextSecret.secretKey },
    });
    await primary.advanceKeys();
    await follower.refresh();
    expect(follower.head().kid).to.deep.equal(nextKid);
    expect(await codeOf(() => follower.head(oldKid))).to.equal("UNKNOWN_KID");
    await primary.close();
  });

  it("gives up the old tree when the primary has, though the manifest lists it still", async () => {
    const { clock, primary, replica, rotate } = await setting();
    await using follower = await replica();
    await rotate();
    await follower.refresh();
    await clock.advance(limits.kidOverlapSeconds * 1000);
    await primary.advanceKeys();
    expect(await codeOf(() => primary.head(oldKid))).to.equal("UNKNOWN_KID");
    // Its last head was pushed; as long as that is good, so is the tree.
    await clock.advance((limits.headLifetimeSeconds + limits.clockSkewSeconds) * 1000);
    await primary.runEpoch();
    await follower.refresh();
    expect(await codeOf(() => follower.head(oldKid))).to.equal("ok");
    await clock.advance(1_000);
    await follower.refresh();
    expect(await codeOf(() => follower.head(oldKid))).to.equal("UNKNOWN_KID");
    expect(bucketOf(follower, nextKid)).to.equal(bucketOf(primary, nextKid));
    await primary.close();
  });

  it("evaluates under both keys, each for its kid, as the primary does", async () => {
    const { primary, replica, rotate } = await setting();
    await using follower = await replica([oldSecret, nextSecret]);
    const random = createSeededRandom(3);
    const { blinded } = portableVoprf.blind([utf8("x")], (n) => random.bytes(n));
    const evaluated = async (at: ReadableZone, kid: Uint8Array) =>
      (await at.evaluate({ kid, blinded })).evaluated;
    await follower.refresh();
    expect(await codeOf(() => evaluated(follower, nextKid))).to.equal("UNKNOWN_KID");
    await rotate();
    await follower.refresh();
    for (const kid of [nextKid, oldKid]) {
      expect(await evaluated(follower, kid)).to.deep.equal(await evaluated(primary, kid));
    }
    await primary.close();
  });

  it("names a secret whose key no manifest lists, and does not evaluate under it", async () => {
    const { primary, replica, makeDisk, rotate, log } = await setting();
    const disk = makeDisk();
    const unlisted = () =>
      log.events.flatMap(({ event, fields }) =>
        event === "voprf key not listed" ? [fields["from"]] : [],
      );
    const before = await replica([oldSecret, nextSecret], disk);
    expect(unlisted()).to.deep.equal([]);
    await before.refresh();
    expect(unlisted()).to.deep.equal(["next.voprf"]);
    await before.refresh();
    expect(unlisted()).to.have.length(1);
    await before.close();
    await using follower = await replica([oldSecret, nextSecret], disk);
    expect(unlisted()).to.have.length(2);
    await rotate();
    await follower.refresh();
    expect(unlisted()).to.have.length(2);
    await primary.close();
  });
});
