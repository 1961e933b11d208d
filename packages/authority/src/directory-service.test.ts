import { expect } from "chai";
import { DiscoveryError } from "@whither/protocol";
import { createClient, createMemoryNetwork } from "@whither/rpc";
import {
  createSeededRandom,
  createSimulatedClock,
  directoryFixtureSeconds as now,
  makeDirectoryObjects,
  makeRootFixture,
  prefixesFixture,
} from "@whither/testkit";
import {
  decodeNode,
  decodeRegistryRecord,
  Directory as DirectoryDescriptor,
  PartyKind,
  signedObjectFromWire,
  transferChunkFromWire,
} from "@whither/wire";
import {
  encodeArtefact,
  nodeVerifier,
  openArtefact,
  type Directory,
  type VerifiedArtefact,
} from "@whither/zone";
import { createDirectoryService } from "./directory-service.js";

const root = makeRootFixture();
function artefactOf(previous?: Directory): VerifiedArtefact {
  const objects = makeDirectoryObjects({ root, ...(previous === undefined ? {} : { previous }) });
  const { anchors } = root;
  return openArtefact({
    bytes: encodeArtefact(objects),
    anchors,
    nowSeconds: now,
    verifier: nodeVerifier,
  });
}
const first = artefactOf();

function makeServed() {
  const clock = createSimulatedClock({ startMs: now * 1000 });
  const network = createMemoryNetwork({ clock, random: createSeededRandom(1) });
  const service = createDirectoryService(first);
  network.serve("root:1", { services: [service.service], clients: { kind: "none" } });
  return { service, client: createClient(DirectoryDescriptor, network.connect("root:1")) };
}

async function outcome(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "ok";
  } catch (error) {
    if (error instanceof DiscoveryError) return error.code;
    throw error;
  }
}

describe("Directory service", () => {
  const referrals: readonly (readonly [asked: string, node: string, cover: string])[] = [
    ["tel:+49", "tel:+49", "-"],
    ["tel:+45", "tel:+4", "tel:+44"],
    [".", ".", "-"],
    ["mailto:example.com", "mailto:", "-"],
    ["mailto:zz", "mailto:", "mailto:org"],
  ];
  for (const [asked, node, cover] of referrals) {
    it(`refers ${asked} to ${node}, absence covered by ${cover}`, async () => {
      const { client } = makeServed();
      for (const time of ["encoded", "kept"]) {
        const answer = await client.refer({ prefix: asked });
        const prefixOf = (object: typeof answer.node): string =>
          object === undefined ? "-" : decodeNode(object.payload).prefix;
        expect([prefixOf(answer.node), prefixOf(answer.cover)], time).to.deep.equal([node, cover]);
        expect(signedObjectFromWire(answer.head)).to.deep.equal(first.directory.trust.headObject);
      }
    });
  }

  for (const prefix of [
    "",
    "tel:049",
    "TEL:+4",
    "mailto:Example.org",
    "x:",
    "tel:+4.",
    `mailto:${"a.".repeat(2_000)}org`,
  ]) {
    it(`refuses ${prefix.slice(0, 24)} as a prefix`, async () => {
      expect(await outcome(makeServed().client.refer({ prefix }))).to.equal("INVALID_DATA");
    });
  }

  it("transfers everything, or keys and head alone to whoever is current", async () => {
    const { client, service } = makeServed();
    const collect = async (fromEpoch: number, fromSerial: number, incremental = false) => {
      const chunks = [];
      const from = { fromEpoch: BigInt(fromEpoch), fromSerial: BigInt(fromSerial) };
      const request = { ...from, incremental };
      for await (const message of client.transfer(request))
        chunks.push(transferChunkFromWire(message));
      return {
        heads: chunks.filter(({ head }) => head !== undefined).length,
        nodes: chunks.flatMap(({ nodes }) => nodes),
        records: chunks.flatMap(({ records }) => records),
      };
    };
    const { epoch, serial } = first.directory.head;
    const { nodes, records } = first.directory.objects();
    expect(await collect(0, 0)).to.deep.equal({ heads: 1, nodes, records });
    expect(await collect(epoch, serial)).to.deep.equal({ heads: 1, nodes: [], records: [] });
    // Another epoch's serial is not this one's, and a client from the future gets what there is.
    expect((await collect(epoch - 1, serial)).nodes).to.have.length(nodes.length);
    expect((await collect(epoch, serial + 1)).nodes).to.have.length(nodes.length);
    service.replace(artefactOf(first.directory));
    expect((await collect(epoch, serial)).nodes).to.have.length(nodes.length);
    // Whoever takes differences gets what has changed: nothing, here.
    expect((await collect(epoch, serial, true)).nodes).to.deep.equal([]);
    for (const [from, since] of [
      [epoch, 0],
      [epoch - 1, serial],
      [epoch, serial + 7],
      [epoch, Number.MAX_SAFE_INTEGER],
    ] as const) {
      expect((await collect(from, since, true)).nodes).to.have.length(nodes.length);
    }
  });

  it("sends what has changed over several steps, and the whole when that is most of it", async () => {
    const { client, service } = makeServed();
    const { epoch, serial } = first.directory.head;
    const next = (prefixes: readonly string[], previous: Directory): VerifiedArtefact => {
      const bytes = encodeArtefact(makeDirectoryObjects({ root, prefixes, previous }));
      return openArtefact({
        bytes,
        anchors: root.anchors,
        nowSeconds: now,
        verifier: nodeVerifier,
      });
    };
    const changedSince = async (from: number) => {
      const request = { fromEpoch: BigInt(epoch), fromSerial: BigInt(from), incremental: true };
      const all = [];
      for await (const message of client.transfer(request))
        all.push(transferChunkFromWire(message));
      return {
        isDifference: all[0]?.incremental === true,
        removed: all.flatMap(({ removedPrefixes = [] }) => removedPrefixes),
        nodes: all.flatMap(({ nodes }) => nodes.map((o) => decodeNode(o.payload).prefix as string)),
      };
    };
    const without = (text: string) => prefixesFixture.filter((line) => !line.includes(text));
    const second = next(without("+999"), first.directory);
    service.replace(second);
    service.replace(next(without("example.org"), second.directory));
    expect(await changedSince(serial)).to.deep.equal({
      isDifference: true,
      removed: ["mailto:org", "mailto:example.org"],
      nodes: ["mailto:", "tel:+4", "tel:+9", "tel:+99", "tel:+999"],
    });
    service.replace(next([], service.directory));
    expect(await changedSince(serial)).to.deep.include({ isDifference: false, removed: [] });
  });

  it("tells watchers of each new head", async () => {
    const { client, service } = makeServed();
    const stream = client.watch({});
    const taken = async () => {
      const next = await stream.next();
      return next.done === true ? undefined : signedObjectFromWire(next.value.head);
    };
    expect(await taken()).to.deep.equal(first.directory.trust.headObject);
    expect(service.watchers).to.equal(1);
    service.replace(artefactOf(first.directory));
    expect(await taken()).to.deep.equal(service.directory.trust.headObject);
    service[Symbol.dispose]();
    expect(await taken()).to.equal(undefined);
    expect(service.watchers).to.equal(0);
  });

  it("ends a transfer with the directory it began", async () => {
    const { client, service } = makeServed();
    const chunks = [];
    for await (const message of client.transfer({})) {
      chunks.push(transferChunkFromWire(message));
      service.replace(artefactOf(first.directory));
    }
    expect(chunks.flatMap(({ nodes }) => nodes)).to.deep.equal(first.directory.objects().nodes);
  });

  it("gives records by kind, and of those the ids that exist", async () => {
    const { client } = makeServed();
    const ids = async (
      kind: PartyKind,
      wanted: readonly string[] = [],
    ): Promise<readonly string[]> => {
      const { records } = await client.getRecords({ kind, ids: [...wanted] });
      return records.map(({ payload }) => decodeRegistryRecord(payload).party.id);
    };
    expect(await ids(PartyKind.DP)).to.deep.equal(["dp-a.example", "dp-b.example", "dp-c.example"]);
    expect(await ids(PartyKind.MSP, ["wire.example", "nobody.example"])).to.deep.equal([
      "wire.example",
    ]);
    expect(await ids(PartyKind.RELAY)).to.deep.equal([]);
    expect(await outcome(ids(PartyKind.UNSPECIFIED))).to.equal("INVALID_DATA");
    expect(await outcome(client.getRecords(Uint8Array.of(8, 99)))).to.equal("INVALID_DATA");
    const many = Array.from({ length: 513 }, (_, index) => `m${index}.example`);
    expect(await outcome(ids(PartyKind.MSP, many))).to.equal("TOO_LARGE");
  });
});
