import { expect } from "chai";
import { sha256, uint32Bytes } from "@whither/crypto/node";
import { isDiscoveryError, limits } from "@whither/protocol";
import { createClient, createMemoryNetwork } from "@whither/rpc";
import {
  createSeededRandom,
  createSimulatedClock,
  makeRegistrationParties,
  openTestZone,
} from "@whither/testkit";
import { TransferKind, Zone, type TransferPart } from "@whither/wire";
import { createAdmission } from "../admission.js";
import { createZoneService } from "../zone-service.js";
import { ZoneWatchers } from "./zone-watchers.js";

const startMs = Date.UTC(2027, 0, 15, 8);
const parties = makeRegistrationParties({ nowSeconds: startMs / 1000 });
const { zone } = parties;
const none = new Uint8Array();

async function serve(count = 600) {
  const clock = createSimulatedClock({ startMs });
  const random = createSeededRandom(1);
  const served = await openTestZone({ parties, clock, random });
  await served.loadEntries(
    Array.from({ length: count }, (_, n) => ({
      idx: sha256(uint32Bytes(n)).slice(0, 16),
      masked: new Uint8Array(12),
      body: sha256(uint32Bytes(n + 1_000_000)),
    })),
  );
  const admission = createAdmission({ clock, mspOfSpki: () => undefined });
  const watchers = new ZoneWatchers(clock);
  const network = createMemoryNetwork({ clock, random });
  network.serve("a:1", {
    services: [createZoneService({ zones: new Map([[zone, served]]), admission, watchers, clock })],
    clients: { kind: "none" },
  });
  const clientOf = (from: string) => createClient(Zone, network.connect("a:1", { from }));
  return { clock, served, watchers, clientOf, client: clientOf("reader") };
}

type Place = ReturnType<typeof heldBy> & { readonly zone: string; readonly kid: Uint8Array };
type Served = Awaited<ReturnType<typeof serve>>;

async function transfer({ client }: Served, place: Partial<Place>) {
  const from = { zone, kid: none, epoch: 0n, serial: 0n, headSha256: none, ...place };
  const parts: TransferPart["part"][] = [];
  for await (const { part } of client.transfer({ from })) if (part) parts.push(part.part);
  return parts;
}

function startOf([first]: readonly TransferPart["part"][]) {
  if (first?.case !== "start") throw new TypeError("a transfer begins with its start");
  return first.value;
}

const heldBy = ({ served }: Served) => {
  const tree = served.holdTree(none);
  const { head, headSha256 } = tree;
  void tree.release();
  return { epoch: BigInt(head.epoch), serial: BigInt(head.serial), headSha256 };
};

describe("Zone.Transfer", () => {
  it("gives the whole to whoever holds nothing, every body behind its bucket", async () => {
    const served = await serve();
    const parts = await transfer(served, {});
    expect(startOf(parts).kind).to.equal(TransferKind.WHOLE);
    const entries = parts.flatMap((part) => (part.case === "buckets" ? part.value.buckets : []));
    const bodies = parts.flatMap((part) => (part.case === "bodies" ? part.value.bodies : []));
    expect(entries.map(({ number }) => number)).to.deep.equal([0, 1, 2, 3]);
    expect(bodies).to.have.length(600);
    const vhashes = entries.flatMap((bucket) =>
      Array.from({ length: bucket.entries.length / 68 }, (_, n) =>
        Buffer.from(bucket.entries.subarray(n * 68 + 36, n * 68 + 68)).toString("hex"),
      ),
    );
    expect(bodies.map((body) => Buffer.from(sha256(body)).toString("hex"))).to.deep.equal(vhashes);
  });

  it("gives the epochs since, and nothing to whoever is current or ahead", async () => {
    const served = await serve();
    const held = heldBy(served);
    expect(startOf(await transfer(served, held)).kind).to.equal(TransferKind.CURRENT);
    const ahead = { ...held, serial: held.serial + 9n };
    expect(startOf(await transfer(served, ahead)).kind).to.equal(TransferKind.CURRENT);
    await served.served.runEpoch();
    await served.served.runEpoch();
    // A bulk load leaves no journal row to begin from.
    expect(startOf(await transfer(served, held)).kind).to.equal(TransferKind.WHOLE);
    const later = heldBy(served);
    await served.served.runEpoch();
    const parts = await transfer(served, later);
    expect(startOf(parts).kind).to.equal(TransferKind.EPOCHS);
    expect(parts.filter((part) => part.case === "epoch")).to.have.length(1);
  });

  it("shows another history its own, linked head by head", async () => {
    const served = await serve();
    await served.served.runEpoch();
    const held = { ...heldBy(served), headSha256: new Uint8Array(32) };
    await served.served.runEpoch();
    await served.served.runEpoch();
    const { kind, heads } = startOf(await transfer(served, held));
    expect(kind).to.equal(TransferKind.DIVERGED);
    expect(heads).to.have.length(2);
  });

  it("does so for two readers of one address at once, and refuses a third", async () => {
    const served = await serve();
    const request = { from: { zone, kid: none, epoch: 0n, serial: 0n, headSha256: none } };
    const open = [1, 2].map(() => served.client.transfer(request));
    for (const stream of open) await stream.next();
    const refused: unknown = await served.client
      .transfer(request)
      .next()
      .catch((error: unknown) => error);
    expect(isDiscoveryError(refused, "OVERLOADED"), String(refused)).to.equal(true);
    expect((await served.clientOf("another").transfer(request).next()).done).to.equal(false);
  });

  it("refuses another kid and another zone", async () => {
    const served = await serve(1);
    const codeOf = async (place: Partial<Place>) => {
      const error: unknown = await transfer(served, place).catch((reason: unknown) => reason);
      return isDiscoveryError(error) ? error.code : error;
    };
    expect(await codeOf({ kid: new Uint8Array(4) })).to.equal("UNKNOWN_KID");
    expect(await codeOf({ zone: "x@dp-x.example" })).to.equal("NOT_AUTHORITATIVE");
  });
});

describe("Zone.Watch", () => {
  it("tells the head now and each new one, alike for all, and that it is alive", async () => {
    const served = await serve();
    const streams = ["a", "b"].map((name) => served.clientOf(name).watch({ zone }));
    for (const stream of streams) {
      const first = await stream.next();
      expect(first.value).to.include({ allChanged: true });
    }
    await served.served.runEpoch();
    const [one, other] = await Promise.all(streams.map((stream) => stream.next()));
    expect(one).to.deep.equal(other);
    expect(one?.value).to.include({ allChanged: false });
    const quiet = streams[0]?.next();
    await served.clock.advance(limits.watchKeepAliveSeconds * 1000);
    const alive = await quiet;
    if (alive === undefined || alive.done === true) throw new TypeError("the stream has ended");
    expect(alive.value.head).to.equal(undefined);
    for (const stream of streams) await stream.return?.();
  });

  it("tells the present head again when it is asked to", async () => {
    const { served, watchers, client } = await serve(1);
    expect(watchers.notify(served), "nobody watches").to.equal(0);
    const stream = client.watch({ zone });
    const first = await stream.next();
    expect(watchers.notify(served)).to.equal(1);
    expect(await stream.next()).to.deep.equal(first);
    await stream.return?.();
  });

  it("ends when the server drains", async () => {
    const { served, watchers } = await serve(1);
    const draining = new AbortController();
    const never = new AbortController().signal;
    const context = { address: "192.0.2.1", signal: never, draining: draining.signal };
    const stream = watchers.watch(served, context);
    await stream.next();
    const last = stream.next();
    draining.abort();
    expect((await last).done).to.equal(true);
    expect(watchers.size).to.equal(0);
  });

  it("refuses the 33rd stream of one address", async () => {
    const served = await serve(1);
    const streams = Array.from({ length: limits.watchersPerAddressMax }, () =>
      served.client.watch({ zone }),
    );
    for (const stream of streams) await stream.next();
    const refused: unknown = await served.client
      .watch({ zone })
      .next()
      .catch((error: unknown) => error);
    expect(isDiscoveryError(refused, "OVERLOADED"), String(refused)).to.equal(true);
    for (const stream of streams) await stream.return?.();
    await served.clock.settle();
    expect((await served.client.watch({ zone }).next()).done).to.equal(false);
  });
});
