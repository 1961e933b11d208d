import { expect } from "chai";
import { sha256, uint32Bytes, utf8 } from "@whither/crypto/node";
import { ManifestMemory } from "@whither/directory";
import { isDiscoveryError, limits, type ErrorCode } from "@whither/protocol";
import { createClient, createMemoryNetwork, type MemoryServer } from "@whither/rpc";
import { createMemoryDisk, createMemoryStore, watchCommits } from "@whither/store";
import {
  createSeededRandom,
  createSimulatedClock,
  makeRegistrationParties,
  openTestZone,
} from "@whither/testkit";
import { Replication, TransferKind } from "@whither/wire";
import { createAdmission, defaultAdmissionLimits } from "../admission.js";
import { createZoneService } from "../zone-service.js";
import { openReplicaZone } from "./open-replica-zone.js";
import type { FollowedServer } from "./primary-link.js";
import { createReplicationService, type ReplicationPeer } from "./replication-service.js";
import { ZoneWatchers } from "./zone-watchers.js";

const startMs = Date.UTC(2027, 0, 15, 8);
const parties = makeRegistrationParties({ nowSeconds: startMs / 1000 });
const { zone, manifestSha256, dp } = parties;
const none = new Uint8Array(0);
const pinOf = (name: string): Uint8Array => sha256(utf8(name));
const nowhere = { zone, kid: none, epoch: 0n, serial: 0n, headSha256: none };

const slots = (count: number) =>
  Array.from({ length: count }, (_, n) => ({
    idx: sha256(uint32Bytes(n)).slice(0, 16),
    masked: new Uint8Array(12),
    body: new Uint8Array(1052).fill(n & 255).fill(n >>> 8, 0, 1),
  }));

/** Nobody signs for a root here. */
const noKsks = () => ({ keys: [], threshold: 1 });

/** A primary with its two ports, and its operator's secondary. */
async function setting() {
  const clock = createSimulatedClock({ startMs });
  const random = createSeededRandom(5);
  const network = createMemoryNetwork({ clock, random });
  const served = await openTestZone({ parties, clock, random });
  await served.loadEntries(slots(600));
  const zones = new Map<string, typeof served>([[zone, served]]);
  const peers: { list: readonly ReplicationPeer[] } = {
    list: [{ spkiSha256: [pinOf("old secondary"), pinOf("secondary")], vault: false }],
  };
  const peersOf = (name: string) => (name === zone ? peers.list : []);
  const watchers = new ZoneWatchers(clock);
  const vault = watchCommits(createMemoryStore());
  const admission = createAdmission({
    clock,
    limits: { ...defaultAdmissionLimits, publicBytesPerMinute: 4 * 1024 * 1024 },
    mspOfSpki: () => undefined,
  });
  const spkiSha256 = pinOf("primary");
  const servePublic = (): MemoryServer =>
    network.serve("a:2", {
      spkiSha256,
      services: [createZoneService({ zones, admission, clock })],
      clients: { kind: "none" },
    });
  network.serve("a:1", {
    spkiSha256,
    services: [createReplicationService({ zones, peersOf, watchers, vaultOf: () => vault, clock })],
    clients: { kind: "required" },
  });
  const identityOf = (name: string) => ({
    kind: "certificate" as const,
    spkiSha256: pinOf(name),
    names: [name],
    certificateDer: none,
  });
  const clientOf = (name: string) =>
    createClient(Replication, network.connect("a:1", { identity: identityOf(name), from: name }));
  const asked: string[] = [];
  network.tap((record) => {
    if (record.kind === "open") asked.push(record.method.split("/").slice(1).join("/"));
  });
  const replication: readonly FollowedServer[] = [
    { host: "a", port: 1, spkiSha256: [spkiSha256], way: "replication" },
  ];
  const endpoint = { host: "a", port: 0, publicPort: 2, spkiSha256: [spkiSha256] };
  const secondary = async (name = "secondary") =>
    openReplicaZone({
      disk: createDisk(),
      zone,
      authority: () =>
        Promise.resolve({
          authority: {
            ...{ zone, dpId: dp.id, kind: "mappings" as const, relayOnly: false },
            manifestSha256: [manifestSha256],
            endpoints: [{ ...endpoint, jurisdiction: "", operator: "" }],
          },
          namedAt: 0,
        }),
      manifests: await ManifestMemory.open({ path: undefined, clock, ksks: noKsks }),
      replication,
      openChannel: ({ host, port, pins }) =>
        network.connect(`${host}:${port}`, { from: name, ...(pins ? { pins } : {}) }),
      openIdentified: ({ host, port, pins }) =>
        network.connect(`${host}:${port}`, {
          ...{ from: name, identity: identityOf(name) },
          ...(pins ? { pins } : {}),
        }),
      caPem: "",
      clock,
      random,
    });
  const createDisk = () => {
    const disk = createMemoryDisk({ clock });
    return { open: () => disk.open(), setAside: () => disk.clear() };
  };
  return { clock, network, served, peers, servePublic, clientOf, secondary, asked, zones };
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

async function drain(stream: AsyncIterable<unknown>): Promise<number> {
  let messages = 0;
  for await (const _ of stream) messages += 1;
  return messages;
}

async function firstOf<T>(stream: AsyncIterable<T>): Promise<T> {
  for await (const message of stream) return message;
  throw new TypeError("an empty stream");
}

describe("Replication", () => {
  const strangers = [
    ["a stranger about a zone that is here", "stranger", zone],
    ["a stranger about a zone that is not", "stranger", "xx@dp-x.example"],
    ["a secondary about another zone", "secondary", "xx@dp-x.example"],
  ] as const;
  for (const [who, name, of] of strangers) {
    it(`refuses ${who}, with one and the same word`, async () => {
      const { clientOf, served } = await setting();
      const client = clientOf(name);
      const from = { ...nowhere, zone: of };
      expect(await codeOf(() => drain(client.transfer({ from })))).to.equal("PROHIBITED");
      expect(await codeOf(() => drain(client.notify({ zone: of })))).to.equal("PROHIBITED");
      await served.close();
    });
  }

  it("gives a secondary under either of its pins the whole, and the epochs since", async () => {
    const { clientOf, served } = await setting();
    for (const name of ["secondary", "old secondary"]) {
      const client = clientOf(name);
      const { part } = await firstOf(client.transfer({ from: nowhere }));
      expect(part?.part).to.have.nested.property("value.kind", TransferKind.WHOLE);
    }
    // The load itself is no epoch in the journal.
    await served.runEpoch();
    const tree = served.holdTree();
    await tree.release();
    const { head, headSha256 } = tree;
    await served.runEpoch();
    await served.runEpoch();
    const from = { ...nowhere, epoch: 1n, serial: BigInt(head.serial), headSha256 };
    const kinds: unknown[] = [];
    for await (const { part } of clientOf("secondary").transfer({ from }))
      kinds.push(part?.part.case);
    expect(kinds).to.deep.equal(["start", "epoch", "epoch"]);
    await served.close();
  });

  it("refuses it from the moment on that it is not named any more", async () => {
    const { clientOf, served, peers } = await setting();
    const client = clientOf("secondary");
    expect(await codeOf(() => drain(client.transfer({ from: nowhere })))).to.equal("ok");
    peers.list = [];
    expect(await codeOf(() => drain(client.transfer({ from: nowhere })))).to.equal("PROHIBITED");
    await served.close();
  });

  it("gives the vault to nobody who is not named for it", async () => {
    const { clientOf, served, peers } = await setting();
    const request = { zone, digests: new Uint8Array(256 * 32) };
    const codeAt = (name: string) => codeOf(() => firstOf(clientOf(name).vault(request)));
    expect(await codeAt("secondary")).to.equal("PROHIBITED");
    peers.list = peers.list.map((one) => ({ ...one, vault: true }));
    expect(await codeAt("secondary")).to.equal("ok");
    expect(await codeAt("stranger")).to.equal("PROHIBITED");
    await served.close();
  });

  it("says that a zone is not there to its secondary while it is down", async () => {
    const { clientOf, served, zones } = await setting();
    zones.delete(zone);
    const client = clientOf("secondary");
    expect(await codeOf(() => drain(client.notify({ zone })))).to.equal("NOT_AUTHORITATIVE");
    await served.close();
  });

  it("wants to know from where", async () => {
    const { clientOf, served } = await setting();
    expect(await codeOf(() => drain(clientOf("secondary").transfer({})))).to.equal("INVALID_DATA");
    await served.close();
  });

  it("bounds the transfers of one address, and lets go of a reader that stalls", async () => {
    const { clock, clientOf, served } = await setting();
    const client = clientOf("secondary");
    const streams = Array.from({ length: limits.transfersPerAddressMax }, () =>
      client.transfer({ from: nowhere })[Symbol.asyncIterator](),
    );
    await Promise.all(streams.map((stream) => stream.next()));
    expect(await codeOf(() => drain(client.transfer({ from: nowhere })))).to.equal("OVERLOADED");
    await clock.advance(limits.transferStallMs);
    expect(await codeOf(() => drain(client.transfer({ from: nowhere })))).to.equal("ok");
    for (const stream of streams) await stream.return?.();
    await served.close();
  });
});

describe("a secondary that its primary names", () => {
  const methods = (asked: readonly string[]) => [...new Set(asked)];

  it("follows it by Replication alone, and hears of a head at once", async () => {
    const { clock, served, secondary, servePublic, asked } = await setting();
    servePublic();
    await using follower = await secondary();
    follower.start();
    await clock.advance(1_000);
    expect(follower.head()).to.deep.equal(served.head());
    await served.runEpoch();
    await clock.advance(1_000);
    expect(follower.head()).to.deep.equal(served.head());
    expect(methods(asked)).to.deep.equal([
      "whither.v1.Replication/Transfer",
      "whither.v1.Replication/Notify",
    ]);
    await served.close();
  });

  it("needs no public port of it", async () => {
    const { served, secondary } = await setting();
    await using follower = await secondary();
    await follower.refresh();
    expect(follower.head()).to.deep.equal(served.head());
    await served.close();
  });

  it("follows as anybody while it is refused, and by Replication when it is named again", async () => {
    const { clock, served, peers, secondary, servePublic, asked } = await setting();
    servePublic();
    const named = peers.list;
    peers.list = [];
    await using follower = await secondary();
    follower.start();
    await clock.advance(60_000);
    expect(follower.head()).to.deep.equal(served.head());
    expect(methods(asked)).to.include.members([
      "whither.v1.Zone/Transfer",
      "whither.v1.Zone/Watch",
    ]);
    peers.list = named;
    asked.length = 0;
    // As long as it follows another than the first it asks every epoch.
    await clock.advance(1.2 * limits.epochSeconds * 1000);
    expect(methods(asked)).to.deep.equal([
      "whither.v1.Replication/Transfer",
      "whither.v1.Replication/Notify",
    ]);
    await served.close();
  });

  it("is not slowed down to the public rate", async () => {
    const { clock, network, served, secondary, servePublic } = await setting();
    servePublic();
    const bytes = { count: 0 };
    network.tap((record) => {
      if (record.kind === "message" && record.direction === "response")
        bytes.count += record.bytes.length;
    });
    for (let n = 0; n < 10; n += 1) {
      await using follower = await secondary();
      await follower.refresh();
    }
    expect(bytes.count).to.be.above(4 * 1024 * 1024);
    expect(clock.nowMs()).to.equal(startMs);
    await served.close();
  });
});
