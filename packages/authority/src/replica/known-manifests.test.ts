import { expect } from "chai";
import { sha256, utf8, type Signer } from "@whither/crypto/node";
import { ManifestMemory } from "@whither/directory";
import {
  isDiscoveryError,
  limits,
  roles,
  type ErrorCode,
  type Manifest,
  type SignedObject,
} from "@whither/protocol";
import { createMemoryNetwork, decodeMessage } from "@whither/rpc";
import { createMemoryDisk } from "@whither/store";
import {
  createSeededRandom,
  createSimulatedClock,
  EventLog,
  fixedSigner,
  makeRegistrationParties,
  openTestZone,
} from "@whither/testkit";
import { encodeManifest, GetManifestResponseSchema, signedObjectFromWire } from "@whither/wire";
import { addSignature } from "@whither/zone";
import { createAdmission } from "../admission.js";
import type { MappingZone } from "../mapping/mapping-zone.js";
import { createZoneService } from "../zone-service.js";
import { openReplicaZone } from "./open-replica-zone.js";

const startMs = Date.UTC(2027, 0, 15, 8);
const parties = makeRegistrationParties({ nowSeconds: startMs / 1000 });
const { zone, dp, manifest: first, zoneSigner: owner } = parties;
const stranger = fixedSigner("another zone key");
const ksks = ["ksk 1", "ksk 2", "ksk 3"].map((label) => fixedSigner(label));
const root = { keys: ksks.map(({ publicKey }) => publicKey), threshold: 2 };
const hourMs = 3_600_000;

/** With the keys of somebody else in it. */
const second: Manifest = {
  ...first,
  version: 2,
  zoneKeys: first.zoneKeys.map((key) => ({ ...key, publicKey: stranger.publicKey })),
};
const hashOf = (manifest: Manifest): Uint8Array => sha256(encodeManifest(manifest));
type Role = (typeof roles)["rootKsk"] | (typeof roles)["zone"];

/** The second manifest with signatures beside it. */
const secondBy = (role: Role, signers: readonly Signer[]): SignedObject =>
  signers.reduce<SignedObject>(
    (object, signer) => addSignature(object, { type: "manifest", role, zone, signer }),
    { payload: encodeManifest(second), signatures: [] },
  );
const unsigned = secondBy(roles.zone, []);
const byOwner = secondBy(roles.zone, [owner]);

/** The zone of its people at `a`, and at `b` the one that the second manifest speaks for. */
async function setting(manifest: SignedObject) {
  const clock = createSimulatedClock({ startMs });
  const random = createSeededRandom(4);
  const network = createMemoryNetwork({ clock, random });
  const voprfSecretKey = parties.voprfKeys.secretKey;
  const own = await openTestZone({ parties, clock, random });
  const other = await openTestZone({
    ...{ parties, clock, random, manifest },
    keys: { signer: stranger, voprfSecretKey },
  });
  // Of the two histories the other's is the later one: nothing but its manifest keeps it out.
  for (let n = 0; n < 3; n += 1) await other.runEpoch();
  const serve = (host: string, served: MappingZone) =>
    network.serve(`${host}:1`, {
      services: [
        createZoneService({
          zones: new Map([[zone, served]]),
          admission: createAdmission({ clock, mspOfSpki: () => undefined }),
          clock,
        }),
      ],
      clients: { kind: "none" },
      spkiSha256: sha256(utf8(host)),
    });
  serve("a", own);
  serve("b", other);
  const endpointOf = (host: string) => ({
    ...{ host, port: 0, publicPort: 1, spkiSha256: [sha256(utf8(host))] },
    ...{ jurisdiction: "", operator: "" },
  });
  const directory = {
    manifestSha256: [hashOf(first)],
    endpoints: [endpointOf("a")],
    namedAt: startMs / 1000 - 2 * limits.manifestHoldSeconds,
  };
  /** The directory gives the zone to the other servers, and says that it did so long ago. */
  const give = (): void => {
    directory.manifestSha256 = [hashOf(second)];
    directory.endpoints = [endpointOf("b")];
  };
  const manifests = await ManifestMemory.open({ path: undefined, clock, ksks: () => root });
  const disk = createMemoryDisk({ clock });
  const log = new EventLog();
  const replica = (followed?: string) =>
    openReplicaZone({
      disk: { open: () => disk.open(), setAside: () => disk.clear() },
      zone,
      authority: () => {
        const { namedAt, ...named } = directory;
        const of = { zone, dpId: dp.id, kind: "mappings" as const, relayOnly: false };
        return Promise.resolve({ authority: { ...of, ...named }, namedAt });
      },
      manifests,
      ...(followed === undefined
        ? {}
        : {
            primaries: [
              { host: followed, port: 1, spkiSha256: [sha256(utf8(followed))], way: "public" },
            ],
          }),
      openChannel: ({ host, port }) => network.connect(`${host}:${port}`),
      caPem: "",
      clock,
      random,
      logger: log,
    });
  const close = async (): Promise<void> => {
    await own.close();
    await other.close();
  };
  return { clock, own, other, network, directory, endpointOf, give, replica, log, close };
}

async function codeOf(run: () => unknown): Promise<ErrorCode | "ok"> {
  try {
    await run();
    return "ok";
  } catch (error) {
    if (isDiscoveryError(error)) return error.code;
    throw error;
  }
}

describe("a replica, and a manifest that its predecessor did not sign", () => {
  it("follows nobody under it for 72 h, however long ago it was named, over a restart; then it does", async () => {
    const { clock, other, own, give, replica, log, close } = await setting(unsigned);
    const before = await replica();
    await before.refresh();
    const held = before.head();
    give();
    expect(await codeOf(() => before.refresh())).to.equal("MANIFEST_WAITS");
    expect(before.head()).to.deep.equal(held);
    expect(log.last("manifest waits")?.fields).to.include({
      version: 2,
      in_effect_at: startMs / 1000 + limits.manifestHoldSeconds,
    });
    await before.close();
    await using follower = await replica();
    await clock.advance(limits.manifestHoldSeconds * 1000 - hourMs);
    await other.runEpoch();
    expect(await codeOf(() => follower.refresh())).to.equal("MANIFEST_WAITS");
    await clock.advance(hourMs);
    await other.runEpoch();
    expect(await codeOf(() => follower.refresh())).to.equal("ok");
    expect(follower.head()).to.deep.equal(other.head());
    expect(own.head().serial).to.be.lessThan(other.head().serial);
    await close();
  });

  it("goes on meanwhile with a server under the one before, which the directory names no more", async () => {
    const { own, give, replica, close } = await setting(unsigned);
    await using follower = await replica("a");
    await follower.refresh();
    give();
    await own.runEpoch();
    await follower.refresh();
    expect(follower.head()).to.deep.equal(own.head());
    await close();
  });

  it("has nothing in effect while the one that is named cannot be had, and serves on what it holds", async () => {
    const { network, own, give, replica, close } = await setting(unsigned);
    await using follower = await replica("a");
    await follower.refresh();
    const held = follower.head();
    give();
    network.setFaults({ to: "b:1" }, { partition: "refused" });
    await own.runEpoch();
    expect(await codeOf(() => follower.refresh())).to.not.equal("ok");
    expect(follower.head()).to.deep.equal(held);
    await close();
  });

  for (const [who, manifest] of [
    ["the zone's key", byOwner],
    ["enough root KSKs", secondBy(roles.rootKsk, ksks.slice(1))],
  ] as const) {
    it(`goes over at once when ${who} signed it`, async () => {
      const { other, give, replica, close } = await setting(manifest);
      await using follower = await replica();
      await follower.refresh();
      give();
      await follower.refresh();
      expect(follower.head()).to.deep.equal(other.head());
      await close();
    });
  }

  it("asks again every five minutes, and goes over with the first copy that is signed, which it hands on", async () => {
    const { clock, network, directory, own, other, give, replica, close } = await setting(byOwner);
    await using follower = await replica();
    await follower.refresh();
    give();
    let isStripped = true;
    const signatureBytes = byOwner.signatures[0]?.signature ?? new Uint8Array(0);
    network.setFaults(
      { to: "b:1" },
      {
        tamper: (message, { direction }) => {
          const at = direction === "request" ? -1 : Buffer.from(message).indexOf(signatureBytes);
          return isStripped && at >= 0 ? message.with(at, (message[at] ?? 0) ^ 1) : message;
        },
      },
    );
    expect(await codeOf(() => follower.refresh())).to.equal("MANIFEST_WAITS");
    isStripped = false;
    await clock.advance(limits.failureTtlSecondsMax * 1000);
    await other.runEpoch();
    await follower.refresh();
    expect(follower.head()).to.deep.equal(other.head());
    const response = follower.manifestResponse(hashOf(second));
    const { manifest } = decodeMessage(GetManifestResponseSchema, response);
    expect(signedObjectFromWire(manifest)).to.deep.equal(byOwner);
    expect(directory.manifestSha256).to.have.length(1);
    expect(own.head().serial).to.be.lessThan(other.head().serial);
    await close();
  });

  it("hands on one that waits: what counts is for each reader to say", async () => {
    const { directory, endpointOf, replica, close } = await setting(unsigned);
    await using follower = await replica();
    await follower.refresh();
    directory.manifestSha256 = [hashOf(second), hashOf(first)];
    directory.endpoints = ["a", "b"].map(endpointOf);
    await follower.refresh();
    const response = follower.manifestResponse(hashOf(second));
    const { manifest } = decodeMessage(GetManifestResponseSchema, response);
    expect(signedObjectFromWire(manifest)).to.deep.equal(unsigned);
    await close();
  });

  it("takes the first that it meets of a zone", async () => {
    const { other, give, replica, close } = await setting(unsigned);
    await using follower = await replica();
    give();
    await follower.refresh();
    expect(follower.head()).to.deep.equal(other.head());
    await close();
  });
});
