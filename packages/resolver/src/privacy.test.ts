// Requirement 14: what a DP can write down while it is asked.
import { expect } from "chai";
import { parseCsi, type Csi } from "@whither/protocol";
import { sha256, utf8 } from "@whither/crypto/node";
import type { TapRecord } from "@whither/rpc";
import { makeRegistrationParties } from "@whither/testkit";
import { decodeMessage } from "@whither/rpc";
import { ExchangeRequestSchema, FetchRequestSchema, type FetchRequest } from "@whither/wire";
import { contactOf, ScriptedZone, scriptedWorld } from "./scripted-zone.test.js";

const parties = makeRegistrationParties();
const csis = Array.from({ length: 40 }, (_, n) =>
  parseCsi(`+1415555${String(100 + n).padStart(4, "0")}`),
);

async function tapped(seed = 1) {
  const zone = new ScriptedZone({ parties, contacts: [contactOf(parties)], fillers: 4_000 });
  const world = await scriptedWorld({ zones: [zone], seed });
  const heard: TapRecord[] = [];
  world.network.tap((record) => heard.push(record));
  const requests = (): FetchRequest[] =>
    heard.flatMap((record) =>
      record.kind === "message" && record.direction === "request" && record.to.endsWith(":7364")
        ? [decodeMessage(FetchRequestSchema, record.bytes)]
        : [],
    );
  return { zone, heard, requests, ...world };
}

async function all<T>(items: AsyncIterable<T>): Promise<readonly T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

describe("what a DP receives", () => {
  it("holds no identifier, no hash of one, and no idx, in either form", async () => {
    const { heard, resolver, zone } = await tapped();
    await all(resolver.lookupAll([parties.csi, ...csis], { form: "verbose" }));
    const received = Buffer.concat(
      heard.flatMap((r) => (r.kind === "message" && r.direction === "request" ? [r.bytes] : [])),
    );
    expect(received.length).to.be.above(2_000);
    const told = (csi: Csi): Uint8Array[] => [utf8(csi), utf8(csi.slice(5)), sha256(utf8(csi))];
    for (const csi of [parties.csi, ...csis]) {
      for (const bytes of told(csi)) expect(received.includes(Buffer.from(bytes))).to.equal(false);
    }
    for (const { idx } of zone.slots) expect(received.includes(Buffer.from(idx))).to.equal(false);
  });

  it("carries a certificate only on the connection of the Evaluates", async () => {
    const { heard, resolver } = await tapped();
    await resolver.lookup(parties.csi);
    const opened = heard.flatMap((r) => (r.kind === "open" ? [[r.method, r.to, r.peer.kind]] : []));
    expect(opened.sort()).to.deep.equal([
      ["/whither.v1.Discovery/Exchange", "dp-a.example:7354", "certificate"],
      ["/whither.v1.Zone/Fetch", "dp-a.example:7364", "anonymous"],
    ]);
    expect(heard.every((r) => r.kind !== "open" || r.metadata.size === 0)).to.equal(true);
  });

  it("cannot tell whether two Evaluates were for one identifier or for two", async () => {
    const seen: { length: number; bytes: string }[] = [];
    for (const [csi, seed] of [
      [csis[0]!, 1],
      [csis[0]!, 2],
      [csis[1]!, 3],
    ] as const) {
      const { heard, resolver } = await tapped(seed);
      await resolver.lookup(csi);
      for (const r of heard) {
        if (r.kind !== "message" || r.direction !== "request" || !r.to.endsWith(":7354")) continue;
        const { request } = decodeMessage(ExchangeRequestSchema, r.bytes);
        const blinded = request.case === "evaluate" ? request.value.blinded : new Uint8Array();
        seen.push({ length: r.bytes.length, bytes: Buffer.from(blinded).toString("hex") });
      }
    }
    expect(new Set(seen.map(({ length }) => length)).size).to.equal(1);
    expect(new Set(seen.map(({ bytes }) => bytes)).size).to.equal(3);
  });

  it("is told b bits of an index and never more, and answers all of one size", async () => {
    const { heard, requests, resolver, zone } = await tapped();
    await all(resolver.lookupAll(csis));
    const { b } = zone.head;
    expect(b).to.be.above(3);
    const prefixes = requests().flatMap(({ request }) =>
      request.case === "bucket" ? [request.value.prefix] : [],
    );
    expect(prefixes.length).to.be.above(10);
    for (const prefix of prefixes) {
      const bits = [...prefix].map((byte) => byte.toString(2).padStart(8, "0")).join("");
      expect(bits.slice(b)).to.equal("0".repeat(128 - b));
    }
    const sizes = heard.flatMap((r) =>
      r.kind === "message" && r.direction === "response" && r.bytes.length > 4_096
        ? [r.bytes.length]
        : [],
    );
    // Two sizes may differ by the length of count and correlation id as varints.
    expect(Math.max(...sizes) - Math.min(...sizes)).to.be.below(4);
  });

  it("gets the prefixes of a batch shuffled, with ids in the shuffled order", async () => {
    const order = async (seed: number) => {
      const { requests, resolver } = await tapped(seed);
      await all(resolver.lookupAll(csis));
      const buckets = requests().filter(({ request }) => request.case === "bucket");
      const ids = buckets.map(({ id }) => id);
      expect(ids).to.deep.equal(ids.toSorted((a, c) => (a < c ? -1 : 1)));
      return buckets.map(({ request }) =>
        request.case === "bucket" ? Buffer.from(request.value.prefix).toString("hex") : "",
      );
    };
    const [one, other] = [await order(5), await order(6)];
    expect(one.toSorted()).to.deep.equal(other.toSorted());
    expect(one).not.to.deep.equal(other);
  });

  it("sees the wanted body among 31 others, the same set each time, ascending", async () => {
    const sets: string[] = [];
    for (const seed of [1, 2]) {
      const { requests, resolver } = await tapped(seed);
      await resolver.lookup(parties.csi);
      for (const { request } of requests()) {
        if (request.case !== "bodies") continue;
        const { vhashes } = request.value;
        const list = Array.from({ length: vhashes.length / 32 }, (_, i) =>
          Buffer.from(vhashes.subarray(32 * i, 32 * i + 32)).toString("hex"),
        );
        expect(list).to.have.length(32);
        expect(list).to.deep.equal(list.toSorted());
        sets.push(list.join());
      }
    }
    expect(sets).to.have.length(2);
    expect(sets[0]).to.equal(sets[1]);
  });

  it("is asked for no bodies after a proven absence", async () => {
    const { zone, resolver } = await tapped();
    await resolver.lookup(csis[0]!);
    expect(zone.asked.map(({ kind }) => kind)).not.to.include("bodies");
  });
});
