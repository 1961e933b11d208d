import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import fc from "fast-check";
import { createDirectoryService, type DirectoryService } from "@whither/authority";
import { DiscoveryError, parseCsi, type Csi } from "@whither/protocol";
import {
  createMemoryNetwork,
  implementService,
  type MemoryNetwork,
  type MemoryServer,
} from "@whither/rpc";
import {
  createSeededRandom,
  createSimulatedClock,
  directoryFixtureSeconds,
  makeDirectoryObjects,
  makeRootFixture,
  prefixesFixture,
  resignDirectory,
  type SimulatedClock,
} from "@whither/testkit";
import {
  decodeNode,
  decodeReferAnswer,
  decodeTransferChunk,
  Directory as DirectoryDescriptor,
  encodeRecordsAnswer,
  encodeReferAnswer,
  encodeTransferChunk,
  type ReferAnswer,
} from "@whither/wire";
import {
  encodeArtefact,
  encodeTransfer,
  nodeVerifier,
  openArtefact,
  verifyDirectory,
  type Directory,
  type DirectoryObjects,
  type VerifiedArtefact,
} from "@whither/zone";
import { createDirectoryFollower } from "./create-follower.js";
import type {
  DelegationOptions,
  DirectoryFollower,
  DirectoryFollowerOptions,
  Hop,
} from "./follower.js";

const root = makeRootFixture();
const { anchors } = root;
const address = "root.example:7363";
const day = 86_400;

/** Verified as late as the fixture's own first minute. */
function artefactOf(
  objects: DirectoryObjects,
  nowSeconds = directoryFixtureSeconds + 60,
): VerifiedArtefact {
  return openArtefact({
    bytes: encodeArtefact(objects),
    anchors,
    nowSeconds,
    verifier: nodeVerifier,
  });
}
const firstObjects = makeDirectoryObjects({ root });
const first = artefactOf(firstObjects);
const second = artefactOf(
  makeDirectoryObjects({
    root,
    previous: first.directory,
    nowSeconds: directoryFixtureSeconds + 60,
  }),
);

interface World {
  readonly clock: SimulatedClock;
  readonly network: MemoryNetwork;
  readonly service: DirectoryService;
  readonly follower: DirectoryFollower;
  /** Calls that reached the server: `Refer tel:+4`, `Transfer`, `GetRecords`. */
  readonly calls: string[];
  server: MemoryServer;
}

const open: DirectoryFollower[] = [];
let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "whither-directory-"));
});
afterEach(async () => {
  for (const follower of open.splice(0)) await follower.close();
  await rm(folder, { recursive: true });
});

function makeWorld(
  options: Partial<DirectoryFollowerOptions> & {
    readonly artefact?: VerifiedArtefact;
    readonly services?: Parameters<MemoryNetwork["serve"]>[1]["services"];
    readonly startSeconds?: number;
    readonly down?: boolean;
  } = {},
): World {
  const { artefact = first, startSeconds = directoryFixtureSeconds + 60, down = false } = options;
  const clock = createSimulatedClock({ startMs: startSeconds * 1000 });
  const network = createMemoryNetwork({ clock, random: createSeededRandom(1) });
  const calls: string[] = [];
  network.tap((record) => {
    if (record.kind !== "message" || record.direction !== "request") return;
    const method = record.method.split("/").at(-1) ?? "";
    // ReferRequest has one field: tag, length, text.
    const told = method === "Refer" ? ` ${new TextDecoder().decode(record.bytes.subarray(2))}` : "";
    calls.push(method + told);
  });
  const service = createDirectoryService(artefact);
  const server = network.serve(address, {
    services: options.services ?? [service.service],
    clients: { kind: "none" },
  });
  if (down) network.setFaults({}, { partition: "refused" });
  const follower = createDirectoryFollower({
    anchors,
    source: { kind: "server", host: "root.example", port: 7363 },
    openChannel: ({ host, port }) => network.connect(`${host}:${port}`),
    clock,
    random: createSeededRandom(2),
    mirror: false,
    ...options,
  });
  open.push(follower);
  return { clock, network, service, follower, calls, server };
}

const phone = parseCsi("+4930123456");
const mail = parseCsi("mailto:alice@mail.example.org");

async function outcome(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "ok";
  } catch (error) {
    if (error instanceof DiscoveryError) return error.code;
    throw error;
  }
}

/** Lets background work under way come to its end. */
async function until(clock: SimulatedClock, done: () => boolean): Promise<void> {
  for (let turn = 0; turn < 2_000 && !done(); turn++) await clock.advance(0);
  expect(done()).to.equal(true);
}

async function mirrored(world: World, serial = 1): Promise<void> {
  await world.clock.advance(0);
  await until(world.clock, () => {
    const now = world.follower.current();
    return now?.source === "mirror" && now.head.serial === serial;
  });
}

describe("walking", () => {
  const walks: readonly (readonly [csi: string, told: readonly string[], prefix: string])[] = [
    ["+4930123456", ["tel:", "tel:+4", "tel:+49"], "tel:+49"],
    [
      "+441481960194",
      ["tel:", "tel:+4", "tel:+44", "tel:+441", "tel:+4414", "tel:+44148", "tel:+441481"],
      "tel:+441481",
    ],
    ["+442079460123", ["tel:", "tel:+4", "tel:+44", "tel:+442"], "tel:+44"],
    ["+33123456789", ["tel:"], "tel:"],
    ["+14155550123", ["tel:"], "tel:"],
    ["+99912345678", ["tel:", "tel:+9", "tel:+99", "tel:+999"], "tel:+999"],
    [
      "mailto:alice@mail.example.org",
      ["mailto:", "mailto:org", "mailto:example.org"],
      "mailto:example.org",
    ],
    ["mailto:alice@example.com", ["mailto:"], "mailto:"],
    ["mailto:alice@example.net", ["mailto:"], "mailto:"],
    ["acct:bob@video.example", ["acct:"], "acct:"],
  ];
  for (const [csi, told, prefix] of walks) {
    it(`for ${csi} tells ${told.join(", ")}`, async () => {
      const { follower, calls } = makeWorld();
      const hops: Hop[] = [];
      const found = await follower.delegation(
        csi.startsWith("+999") ? ("tel:+99912345678" as Csi) : parseCsi(csi),
        {
          onHop: (hop) => hops.push(hop),
        },
      );
      expect(found.prefix).to.equal(prefix);
      expect(calls).to.deep.equal(told.map((one) => `Refer ${one}`));
      expect(hops.map((hop) => hop.told)).to.deep.equal(told);
      expect(new Set(hops.map(({ from, verdict }) => `${from} ${verdict}`))).to.deep.equal(
        new Set([`${address} verified`]),
      );
    });
  }

  it("asks nothing twice, and denies from what it has seen", async () => {
    const { follower, calls } = makeWorld();
    await follower.delegation(parseCsi("+4530123456"));
    expect(calls).to.deep.equal(["Refer tel:", "Refer tel:+4", "Refer tel:+45"]);
    calls.length = 0;
    const found = await follower.delegation(parseCsi("+4730123456"));
    expect(found).to.include({ prefix: "tel:", disposition: "unassigned" });
    expect(calls).to.deep.equal([]);
  });

  it("asks again when the TTL is over, and lets no child outlive its parent", async () => {
    const prefixes = [
      `"tel:": { unassigned: true, ttl_s: 60 }`,
      `"tel:+4": { zones: [de@dp-a.example], ttl_s: 3600 }`,
    ];
    const { follower, calls, clock } = makeWorld({
      artefact: artefactOf(makeDirectoryObjects({ root, prefixes })),
    });
    await follower.delegation(phone);
    await clock.advance(59_000);
    await follower.delegation(phone);
    expect(calls).to.have.length(2);
    await clock.advance(1_000);
    await follower.delegation(phone);
    expect(calls).to.deep.equal(["Refer tel:", "Refer tel:+4", "Refer tel:", "Refer tel:+4"]);
  });

  it("asks once for many who want the same, and goes on when one of them leaves", async () => {
    const { follower, calls } = makeWorld();
    const leaving = new AbortController();
    const left = outcome(follower.delegation(phone, { signal: leaving.signal }));
    const others = Promise.all(Array.from({ length: 20 }, () => follower.delegation(phone)));
    leaving.abort();
    expect(await left).to.equal("CANCELLED");
    expect(new Set((await others).map(({ prefix }) => prefix))).to.deep.equal(new Set(["tel:+49"]));
    expect(calls).to.have.length(3);
  });

  it("charges each referral before it asks, and stops at the budget", async () => {
    const { follower, calls } = makeWorld();
    const spent = { rpc: 0, referral: 0, verification: 0, bytes: 0 };
    const spend: DelegationOptions["spend"] = (kind, amount) => {
      spent[kind] += amount;
      if (spent.referral > 2) throw new DiscoveryError("BUDGET", "referrals are used up");
    };
    expect(await outcome(follower.delegation(phone, { spend }))).to.equal("BUDGET");
    expect(calls).to.have.length(2);
    expect(spent).to.include({ rpc: 2, referral: 3 });
    // Root keys by two KSKs, head, node; then a node alone: what was verified is known.
    expect(spent.verification).to.equal(4 + 1);
    expect(spent.bytes).to.be.greaterThan(500);
  });

  it("never asks below a registrable domain", async () => {
    const prefixes = [
      ...prefixesFixture,
      `"mailto:mail.example.org": { zones: [mail@dp-b.example], relay_only: true }`,
    ];
    const { follower, calls } = makeWorld({
      artefact: artefactOf(makeDirectoryObjects({ root, prefixes })),
    });
    expect(await outcome(follower.delegation(mail))).to.equal("NOT_AVAILABLE");
    expect(calls.at(-1)).to.equal("Refer mailto:example.org");
    expect((await follower.delegation(parseCsi("mailto:a@example.org"))).prefix).to.equal(
      "mailto:example.org",
    );
  });

  it("proves that a scheme is nobody's", async () => {
    const prefixes = prefixesFixture.slice(0, 3);
    const { follower } = makeWorld({
      artefact: artefactOf(makeDirectoryObjects({ root, prefixes })),
    });
    expect(await follower.delegation(mail)).to.include({ prefix: ".", disposition: "unassigned" });
  });

  it("starts over when nodes it holds have been removed meanwhile", async () => {
    const prefixes = [
      ...prefixesFixture,
      `"tel:+4414811": { zones: [de@dp-a.example], ttl_s: 60 }`,
    ];
    const before = artefactOf(makeDirectoryObjects({ root, prefixes }));
    const { follower, service, calls, clock } = makeWorld({ artefact: before });
    const csi = parseCsi("+44148119601234");
    expect((await follower.delegation(csi)).prefix).to.equal("tel:+4414811");
    const without = prefixes.filter((line) => !line.includes("+44"));
    const previous = before.directory;
    service.replace(artefactOf(makeDirectoryObjects({ root, prefixes: without, previous })));
    await clock.advance(60_000);
    calls.length = 0;
    expect((await follower.delegation(csi)).prefix).to.equal("tel:");
    expect(calls).to.deep.equal(["Refer tel:+4414811"]);
  });

  it("fails with UNREACHABLE, DEADLINE or CANCELLED when there is no answer", async () => {
    const down = makeWorld({ down: true });
    expect(await outcome(down.follower.delegation(phone))).to.equal("UNREACHABLE");
    const silent = makeWorld();
    silent.network.setFaults({}, { partition: "silent" });
    const hops: Hop[] = [];
    const asked = outcome(silent.follower.delegation(phone, { onHop: (hop) => hops.push(hop) }));
    await silent.clock.advance(2_000);
    expect(await asked).to.equal("UNREACHABLE");
    expect(hops).to.have.length(1);
    expect(hops[0]).to.include({ told: "tel:", verdict: "UNREACHABLE", rttMs: 2_000, serial: 0 });
    expect(
      await outcome(silent.follower.delegation(phone, { signal: AbortSignal.abort() })),
    ).to.equal("CANCELLED");
  });

  it("remembers the newest head over restarts", async () => {
    const statePath = join(folder, "directory");
    const before = makeWorld({ artefact: second, statePath });
    await before.follower.delegation(phone);
    await before.follower.close();
    const after = makeWorld({ artefact: first, statePath });
    expect(await outcome(after.follower.delegation(phone))).to.equal("ROLLBACK");
  });
});

describe("a hostile directory server", () => {
  /** Serves `first`, with every referral changed on the way. */
  function tampering(change: (answer: ReferAnswer, asked: string) => ReferAnswer): World {
    const world = makeWorld();
    let asked = "";
    world.network.tap((record) => {
      if (record.kind === "message" && record.direction === "request") {
        asked = new TextDecoder().decode(record.bytes.subarray(2));
      }
    });
    world.network.setFaults(
      {},
      {
        tamper: (bytes, { direction }) =>
          direction === "request"
            ? bytes
            : encodeReferAnswer(change(decodeReferAnswer(bytes), asked)),
      },
    );
    return world;
  }
  const objectOf = (prefix: string, from: Directory = first.directory) =>
    from.nodes().find(({ node }) => node.prefix === prefix)!.object;
  const only =
    (at: string, change: (answer: ReferAnswer) => ReferAnswer) =>
    (answer: ReferAnswer, asked: string) => (asked === at ? change(answer) : answer);
  const stranger = makeRootFixture({ version: 1 });
  const lying = resignDirectory(firstObjects, {
    root,
    nodes: (nodes) =>
      nodes.map((node) =>
        node.prefix === "tel:+49"
          ? {
              ...node,
              authorities: [
                {
                  ...node.authorities[0]!,
                  endpoints: Array.from(
                    { length: 10_000 },
                    () => node.authorities[0]!.endpoints[0]!,
                  ),
                },
              ],
            }
          : node,
      ),
  });

  const attacks: readonly (readonly [
    string,
    (answer: ReferAnswer, asked: string) => ReferAnswer,
    string,
  ])[] = [
    [
      "flips a bit of a node",
      only("tel:+49", (a) => ({
        ...a,
        node: { ...a.node, payload: a.node.payload.map((b, i) => (i === 9 ? b ^ 4 : b)) },
      })),
      "BOGUS",
    ],
    [
      "flips a bit of the head",
      only("tel:+4", (a) => ({
        ...a,
        head: { ...a.head, payload: a.head.payload.map((b, i) => (i === 9 ? b ^ 4 : b)) },
      })),
      "BOGUS",
    ],
    [
      "flips a bit of the root keys",
      only("tel:", (a) => ({
        ...a,
        rootKeys: {
          ...a.rootKeys,
          payload: a.rootKeys.payload.map((b, i) => (i === 9 ? b ^ 4 : b)),
        },
      })),
      "BOGUS",
    ],
    [
      "drops a node that its parent announces",
      only("tel:+4", (a) => ({ ...a, node: objectOf("tel:") })),
      "DENIAL_MISSING",
    ],
    [
      "drops a node behind a sibling's proof",
      only("tel:+49", (a) => ({ ...a, node: objectOf("tel:+4"), cover: objectOf("tel:+44") })),
      "DENIAL_MISSING",
    ],
    [
      "answers with the parent for ever",
      only("tel:+49", (a) => ({ ...a, node: objectOf("tel:+4") })),
      "DENIAL_MISSING",
    ],
    [
      "leads upward",
      only("tel:+49", (a) => ({ ...a, node: objectOf("tel:"), cover: objectOf("tel:+9") })),
      "DENIAL_MISSING",
    ],
    ["leads sideways", only("tel:+49", (a) => ({ ...a, node: objectOf("tel:+44") })), "BOGUS"],
    [
      "leads into another scheme",
      only("tel:+4", (a) => ({ ...a, node: objectOf("mailto:") })),
      "BOGUS",
    ],
    [
      "forges a deeper node",
      only("tel:+49", (a) => ({
        ...a,
        node: { payload: a.node.payload, signatures: objectOf("tel:+44").signatures },
      })),
      "BOGUS",
    ],
    [
      "sends a node without signatures",
      only("tel:+49", (a) => ({ ...a, node: { ...a.node, signatures: [] } })),
      "KEY_MISSING",
    ],
    [
      "sends root keys without signatures",
      only("tel:", (a) => ({
        ...a,
        rootKeys: { ...a.rootKeys, signatures: a.rootKeys.signatures.slice(1) },
      })),
      "KEY_MISSING",
    ],
    [
      "sends 17 signatures",
      only("tel:", (a) => ({
        ...a,
        node: { ...a.node, signatures: Array.from({ length: 17 }, () => a.node.signatures[0]!) },
      })),
      "INVALID_DATA",
    ],
    [
      "lists 10,000 endpoints",
      only("tel:+49", (a) => ({
        ...a,
        head: lying.head,
        node: lying.nodes.find((o) => o.payload.length > 100_000)!,
      })),
      "FORKED",
    ],
    [
      "goes back to an older head",
      only("tel:+49", () =>
        decodeReferAnswer(
          encodeReferAnswer({ ...stranger, head: firstObjects.head, node: objectOf("tel:+49") }),
        ),
      ),
      "ok",
    ],
  ];
  for (const [title, change, code] of attacks) {
    it(`that ${title} gets ${code}`, async () => {
      const { follower } = tampering(change);
      const hops: Hop[] = [];
      expect(
        await outcome(follower.delegation(phone, { onHop: (hop) => hops.push(hop) })),
      ).to.equal(code);
      expect(hops.at(-1)?.verdict).to.equal(code === "ok" ? "verified" : code);
    });
  }

  it("that lists 10,000 endpoints from the first answer on gets TOO_LARGE", async () => {
    const { follower } = tampering((answer, asked) => ({
      ...answer,
      head: lying.head,
      node:
        asked === "tel:+49" ? lying.nodes.find((o) => o.payload.length > 100_000)! : answer.node,
    }));
    expect(await outcome(follower.delegation(phone))).to.equal("TOO_LARGE");
  });

  it("that goes back to an older directory, or keeps old nodes, gets ROLLBACK", async () => {
    const world = makeWorld({ artefact: second });
    await world.follower.delegation(phone);
    world.service.replace(first);
    expect(await outcome(world.follower.delegation(mail))).to.equal("ROLLBACK");
    const mixing = makeWorld({ artefact: second });
    await mixing.follower.delegation(phone);
    await mixing.clock.advance(4_000_000);
    mixing.network.setFaults(
      {},
      {
        tamper: (bytes, { direction }) => {
          if (direction === "request") return bytes;
          const answer = decodeReferAnswer(bytes);
          return encodeReferAnswer({
            ...answer,
            node: objectOf(decodeNode(answer.node.payload).prefix),
          });
        },
      },
    );
    expect(await outcome(mixing.follower.delegation(phone))).to.equal("ROLLBACK");
  });

  it("whose errors travel is named as the upstream", async () => {
    const { follower } = tampering((answer) => ({
      ...answer,
      node: { ...answer.node, signatures: [] },
    }));
    try {
      await follower.delegation(phone);
      expect.fail("must be refused");
    } catch (error) {
      expect(error).to.be.instanceOf(DiscoveryError);
      expect((error as DiscoveryError).upstream).to.equal(address);
    }
  });
});

describe("mirroring", () => {
  it("walks until the mirror is there, then tells nobody anything", async () => {
    const world = makeWorld({ mirror: true });
    await world.follower.delegation(phone);
    expect(world.calls.filter((call) => call.startsWith("Refer"))).to.have.length(3);
    await mirrored(world);
    world.calls.length = 0;
    const hops: Hop[] = [];
    expect(
      (await world.follower.delegation(mail, { onHop: (hop) => hops.push(hop) })).prefix,
    ).to.equal("mailto:example.org");
    expect(hops).to.have.length(1);
    expect(hops[0]).to.include({ from: "mirror", told: "nothing", verdict: "verified", serial: 1 });
    expect(world.calls).to.deep.equal([]);
    await world.follower.delegation(phone, { mirror: false });
    expect(world.calls).to.deep.equal([]); // still cached from the first walk
    await world.follower.delegation(mail, { mirror: false });
    expect(world.calls).to.have.length(3);
  });

  it("answers and knows the registry with the root stopped, until the directory ends", async () => {
    const world = makeWorld({ mirror: true });
    await mirrored(world);
    await world.server.close();
    await world.clock.advance(6 * day * 1000);
    expect((await world.follower.delegation(phone)).prefix).to.equal("tel:+49");
    expect((await world.follower.registry()).msps()).to.have.length(2);
    await world.clock.advance(day * 1000 + 301_000);
    expect(await outcome(world.follower.delegation(phone))).to.equal("UNREACHABLE");
    expect(world.follower.current()?.source).to.equal("walk");
  });

  it("polls every refresh_s within 10 %, and by retry_s after a failure", async () => {
    const world = makeWorld({ mirror: true });
    await mirrored(world);
    const transfers = (): number => world.calls.filter((call) => call === "Transfer").length;
    expect(transfers()).to.equal(1);
    await world.clock.advance(809_000);
    expect(transfers()).to.equal(1);
    await world.clock.advance(182_000);
    expect(transfers()).to.equal(2);
    world.network.setFaults({}, { partition: "refused" });
    await world.clock.advance(991_000);
    world.network.setFaults({}, undefined);
    const failed = transfers();
    await world.clock.advance(331_000);
    expect(transfers()).to.equal(failed + 1);
  });

  it("asks for nothing when it is current, and takes a newer directory", async () => {
    const world = makeWorld({ mirror: true });
    await mirrored(world);
    await world.follower.refresh();
    expect(world.follower.current()?.head.serial).to.equal(1);
    world.service.replace(second);
    await world.follower.refresh();
    expect(world.follower.current()?.head.serial).to.equal(2);
  });

  it("fetches soon when a walk meets something newer", async () => {
    const world = makeWorld({ mirror: true });
    await mirrored(world);
    world.service.replace(second);
    await world.follower.delegation(phone, { mirror: false });
    await world.clock.advance(1_000);
    await mirrored(world, 2);
  });

  it("never goes back, and keeps the last good one", async () => {
    const world = makeWorld({ mirror: true, artefact: second });
    await mirrored(world, 2);
    world.service.replace(first);
    expect(await outcome(world.follower.refresh())).to.equal("ROLLBACK");
    expect(world.follower.current()).to.deep.include({ source: "mirror" });
    expect(world.follower.current()?.head.serial).to.equal(2);
    const fork = artefactOf(
      makeDirectoryObjects({
        root,
        previous: first.directory,
        nowSeconds: directoryFixtureSeconds + 30,
      }),
    );
    world.service.replace(fork);
    expect(await outcome(world.follower.refresh())).to.equal("FORKED");
  });

  it("survives a restart with the root unreachable", async () => {
    const statePath = join(folder, "directory");
    const before = makeWorld({ mirror: true, statePath });
    await mirrored(before);
    await before.follower.refresh();
    await before.follower.close();
    const after = makeWorld({ mirror: true, statePath, down: true });
    expect((await after.follower.delegation(mail)).prefix).to.equal("mailto:example.org");
    expect(after.calls).to.deep.equal([]);
  });

  it("does not use a file that is damaged or ended, but is not fooled below it either", async () => {
    const statePath = join(folder, "directory");
    const before = makeWorld({ mirror: true, artefact: second, statePath });
    await mirrored(before, 2);
    await before.follower.close();
    const bytes = await readFile(statePath);
    const late = makeWorld({
      mirror: true,
      statePath,
      startSeconds: directoryFixtureSeconds + 30 * day,
    });
    expect(await outcome(late.follower.delegation(phone))).to.equal("ROLLBACK");
    bytes[bytes.length - 5]! ^= 1;
    await writeFile(statePath, bytes);
    const damaged = makeWorld({ mirror: true, statePath, down: true });
    expect(await outcome(damaged.follower.delegation(phone))).to.equal("UNREACHABLE");
    await writeFile(statePath, "rubbish");
    const rubbish = makeWorld({ mirror: true, statePath });
    expect(await outcome(rubbish.follower.delegation(phone))).to.equal("ok");
  });

  it("names a clock that is a day slow", async () => {
    const world = makeWorld({ mirror: true });
    await mirrored(world);
    world.clock.shiftWall(-day * 1000);
    expect(await outcome(world.follower.delegation(phone))).to.equal("CLOCK_SKEW");
    const fresh = makeWorld({ startSeconds: directoryFixtureSeconds - day });
    expect(await outcome(fresh.follower.delegation(phone))).to.equal("CLOCK_SKEW");
  });

  it("verifies a large directory without holding up the event loop", async () => {
    const prefixes = Array.from(
      { length: 600 },
      (_, at) => `"tel:+1${1000 + at}": { zones: [rest@dp-c.example] }`,
    );
    const world = makeWorld({
      mirror: true,
      artefact: artefactOf(makeDirectoryObjects({ root, prefixes })),
    });
    let turns = 0;
    let counting = true;
    const count = (): void => {
      turns += 1;
      if (counting) setImmediate(count);
    };
    count();
    await mirrored(world);
    counting = false;
    expect(turns).to.be.greaterThan(600 / 16);
  });

  const transfers: readonly (readonly [string, () => AsyncIterable<Uint8Array>, string])[] = [
    ["sends nothing", () => streamOf([]), "INVALID_DATA"],
    [
      "begins without a head",
      () => streamOf(encodeTransfer(firstObjects).slice(1)),
      "INVALID_DATA",
    ],
    [
      "sends a second head",
      () =>
        streamOf([...encodeTransfer(firstObjects).slice(0, 1), ...encodeTransfer(firstObjects)]),
      "INVALID_DATA",
    ],
    [
      "sends empty messages for ever",
      () => endless(encodeTransfer(firstObjects)[0]!, new Uint8Array()),
      "INVALID_DATA",
    ],
    [
      "sends nodes for ever",
      () => endless(encodeTransfer(firstObjects)[0]!, encodeTransfer(firstObjects)[1]!),
      "BOGUS",
    ],
    ["stops half way", () => streamOf(encodeTransfer(firstObjects).slice(0, 2)), "BOGUS"],
    [
      "drops a node",
      () =>
        streamOf(encodeTransfer({ ...firstObjects, nodes: firstObjects.nodes.toSpliced(4, 1) })),
      "BOGUS",
    ],
    [
      "reorders nodes",
      () => streamOf(encodeTransfer({ ...firstObjects, nodes: firstObjects.nodes.toReversed() })),
      "BOGUS",
    ],
    [
      "adds a forged node",
      () =>
        streamOf(
          encodeTransfer({
            ...firstObjects,
            nodes: [...firstObjects.nodes, firstObjects.nodes[3]!],
          }),
        ),
      "BOGUS",
    ],
    ["sends rubbish", () => streamOf([new Uint8Array([255, 255, 255])]), "INVALID_DATA"],
    ["fails half way", () => failing(encodeTransfer(firstObjects)[0]!), "STORE"],
  ];
  for (const [title, transfer, code] of transfers) {
    it(`from a server that ${title} is refused: ${code}`, async () => {
      const unused = (): never => {
        throw new DiscoveryError("NOT_AVAILABLE", "not scripted");
      };
      const service = implementService(DirectoryDescriptor, {
        refer: unused,
        getRecords: unused,
        transfer,
      });
      const world = makeWorld({ mirror: true, services: [service] });
      expect(await outcome(world.follower.refresh())).to.equal(code);
      expect(world.follower.current()?.source).to.not.equal("mirror");
    });
  }
});

async function* streamOf(messages: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* messages;
  await Promise.resolve();
}
async function* endless(head: Uint8Array, message: Uint8Array): AsyncGenerator<Uint8Array> {
  yield head;
  for (;;) {
    yield message;
    await Promise.resolve();
  }
}
async function* failing(head: Uint8Array): AsyncGenerator<Uint8Array> {
  yield head;
  await Promise.resolve();
  throw new DiscoveryError("STORE", "broken disk");
}

describe("the registry", () => {
  it("comes record by record to those without a mirror, and once for a while", async () => {
    const { follower, calls, clock, network } = makeWorld();
    const registry = await follower.registry();
    expect(registry.dps().map(({ id }) => id)).to.have.members([
      "dp-a.example",
      "dp-b.example",
      "dp-c.example",
    ]);
    expect(registry.version).to.equal(1);
    await follower.registry();
    expect(calls).to.have.length(4);
    await clock.advance(900_000);
    network.setFaults({}, { partition: "refused" });
    expect((await follower.registry()).msps()).to.have.length(2);
  });

  it("is refused when a record is left out, doubled or of another kind", async () => {
    const changes: readonly ((records: readonly never[]) => readonly never[])[] = [
      (records) => records.slice(1),
      (records) => [...records, ...records],
      (records) => records.toReversed(),
    ];
    for (const change of changes) {
      const { rootKeys, head } = firstObjects;
      const genuine = first.directory.records();
      const unused = (): never => {
        throw new DiscoveryError("NOT_AVAILABLE", "not scripted");
      };
      const kinds = ["", "dp", "msp", "prover", "relay"];
      const service = implementService(DirectoryDescriptor, {
        refer: unused,
        transfer: unused,
        getRecords: ({ kind }) => {
          const records = genuine
            .filter(({ record }) => record.party.kind === kinds[kind])
            .map(({ object }) => object);
          return encodeRecordsAnswer({ rootKeys, head, records: change(records as never) });
        },
      });
      const { follower } = makeWorld({ services: [service] });
      expect(await outcome(follower.registry())).to.equal("BOGUS");
    }
  });

  it("is the same from the mirror", async () => {
    const world = makeWorld({ mirror: true });
    const walked = await world.follower.registry();
    await mirrored(world);
    const held = await world.follower.registry();
    expect(held.msps()).to.deep.equal(walked.msps());
    expect(held.dps()).to.deep.equal(walked.dps());
  });
});

describe("a directory in a file", () => {
  it("answers without any server, and is read again", async () => {
    const path = join(folder, "root.directory");
    await writeFile(path, encodeArtefact(firstObjects));
    const world = makeWorld({ source: { kind: "file", path }, down: true });
    expect((await world.follower.delegation(phone)).prefix).to.equal("tel:+49");
    expect(await world.follower.registry()).to.include({ version: 1 });
    await writeFile(path, encodeArtefact(second.directory.objects()));
    await world.follower.refresh();
    expect(world.follower.current()?.head.serial).to.equal(2);
    await writeFile(path, encodeArtefact(firstObjects));
    expect(await outcome(world.follower.refresh())).to.equal("ROLLBACK");
    expect((await world.follower.delegation(phone)).prefix).to.equal("tel:+49");
  });

  it("that is missing or damaged is named", async () => {
    const path = join(folder, "root.directory");
    const missing = makeWorld({ source: { kind: "file", path } });
    expect(await outcome(missing.follower.delegation(phone))).to.equal("CONFIG");
    await writeFile(path, encodeArtefact(firstObjects).subarray(0, 900));
    const damaged = makeWorld({ source: { kind: "file", path } });
    expect(await outcome(damaged.follower.delegation(phone))).to.be.oneOf([
      "INVALID_DATA",
      "BOGUS",
    ]);
  });
});

describe("mirror and walk", () => {
  it("give the same delegation for any identifier", async () => {
    const walking = makeWorld();
    const directory = verifyDirectory({
      objects: firstObjects,
      anchors,
      nowSeconds: directoryFixtureSeconds,
      verifier: nodeVerifier,
    });
    const numbers = fc
      .stringMatching(/^(?:49|44|441481|33|1415|39)[0-9]{8}$/)
      .map((digits) => `tel:+${digits}`);
    const addresses = fc
      .constantFrom("example.org", "a.example.org", "example.com", "b.co.uk")
      .map((host) => `mailto:x@${host}`);
    await fc.assert(
      fc.asyncProperty(fc.oneof(numbers, addresses), async (text) => {
        const csi = parseCsi(text);
        const walked = await walking.follower.delegation(csi);
        const { path, ttlSeconds, ...held } = directory.delegation(csi);
        expect({ ...walked, path: [".", ...walked.path], ttlSeconds }).to.deep.equal({
          ...held,
          path,
          ttlSeconds,
        });
      }),
      { numRuns: 60 },
    );
  });

  it("transfer what the walk refers to", () => {
    const [head, nodes] = encodeTransfer(firstObjects).map(decodeTransferChunk);
    expect(head?.head).to.deep.equal(firstObjects.head);
    expect(nodes?.nodes).to.deep.equal(firstObjects.nodes);
    expect(encodeTransferChunk(nodes!)).to.deep.equal(encodeTransfer(firstObjects)[1]);
  });
});
