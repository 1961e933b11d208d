import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { createDirectoryService, type DirectoryService } from "@whither/authority";
import { sha256, utf8 } from "@whither/crypto/node";
import { DiscoveryError, parseCsi, type Node, type Prefix } from "@whither/protocol";
import {
  createSeededRandom,
  directoryFixtureSeconds as now,
  EventLog,
  makeArtefact,
  makeDirectoryObjects,
  makeDirectoryWorld,
  makePartFixture,
  makePartObjects,
  makeRootFixture,
  outcomeOfLater,
  registryTextOf,
  resignPart,
  unverifiedPart,
  type DirectoryWorld,
  type DirectoryWorldOptions,
  type PartFixture,
  type PartObjects,
} from "@whither/testkit";
import type { PartTrust } from "@whither/zone";
import { createDelegationHealth } from "./delegation-health.js";
import type { DelegationOptions, Hop } from "./follower.js";

const root = makeRootFixture();
const part = makePartFixture();
const partPrefixes = [
  `"tel:+49": { zones: [de@dp-a.example] }`,
  `"tel:+4930": { zones: [gb@dp-b.example], ttl_s: 600 }`,
  `"tel:+49900": { unassigned: true }`,
];
const partObjects = makePartObjects(part, { prefixes: partPrefixes });
const berlin = parseCsi("+4930123456");
const munich = parseCsi("+4989123456");
const rootPrefixes = (apex = "tel:+49"): readonly string[] => [
  `"tel:": { unassigned: true }`,
  `"${apex}": { directory: [${part.zone}] }`,
  `"tel:+44": { zones: [gb@dp-b.example] }`,
];
const day = 86_400;

/** The root with its part at the first DP. */
function rootArtefact(
  options: { readonly prefixes?: readonly string[]; readonly named?: PartFixture } = {},
) {
  const { prefixes = rootPrefixes(), named = part } = options;
  return makeArtefact(
    makeDirectoryObjects({ root, prefixes, registryText: registryTextOf(named) }),
  );
}

interface PartWorld extends DirectoryWorld {
  readonly partService: DirectoryService<PartTrust>;
  serve(objects: PartObjects): void;
}

const dpA = { address: "127.0.0.1:7500", spkiSha256: sha256(utf8("dp-a.example")) };

describe("parts of the directory that are delegated on", () => {
  const open: DirectoryWorld[] = [];
  let folder = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "whither-parts-"));
  });
  afterEach(async () => {
    for (const world of open.splice(0)) await world[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  function makeWorld(
    options: DirectoryWorldOptions & { readonly objects?: PartObjects } = {},
  ): PartWorld {
    const { objects = partObjects, artefact = rootArtefact(), ...given } = options;
    const world = makeDirectoryWorld({ artefact, ...given });
    open.push(world);
    const partService = createDirectoryService(unverifiedPart(objects, part.apex));
    world.network.serve(dpA.address, {
      services: [partService.service],
      clients: { kind: "none" },
      spkiSha256: dpA.spkiSha256,
    });
    const serve = (next: PartObjects): void => partService.replace(unverifiedPart(next, part.apex));
    return { ...world, partService, serve };
  }

  describe("walking", () => {
    const walks: readonly (readonly [csi: string, told: readonly string[], prefix: string])[] = [
      ["+4930123456", ["tel:+49", "tel:+493", "tel:+4930"], "tel:+4930"],
      ["+4989123456", ["tel:+49", "tel:+498"], "tel:+49"],
      ["+49900123456", ["tel:+49", "tel:+499", "tel:+4990", "tel:+49900"], "tel:+49900"],
    ];
    for (const [csi, told, prefix] of walks) {
      it(`for ${csi} goes on at the part with ${told.join(", ")}`, async () => {
        const { follower, calls } = makeWorld();
        const hops: Hop[] = [];
        const found = await follower.delegation(parseCsi(csi), { onHop: (hop) => hops.push(hop) });
        expect(found).to.include({ prefix, zone: part.zone });
        const refers = calls.filter((call) => call.startsWith("Refer"));
        expect(refers).to.deep.equal([
          ...["tel:", "tel:+4", "tel:+49"].map((one) => `Refer ${one}`),
          ...told.map((one) => `Refer ${one} of ${part.zone}`),
        ]);
        expect(hops.map(({ from }) => from).filter((from) => from === dpA.address)).to.have.length(
          told.length,
        );
        expect(new Set(hops.map(({ verdict }) => verdict))).to.deep.equal(new Set(["verified"]));
        expect(hops[2]?.learnt).to.equal(`its directory is that of ${part.zone}`);
      });
    }

    it("is the same below a mirror of the root, which then is told nothing", async () => {
      const world = makeWorld({ mirror: true });
      await world.mirrored();
      world.calls.length = 0;
      const found = await world.follower.delegation(berlin);
      expect(found).to.include({ prefix: "tel:+4930", zone: part.zone });
      expect(world.calls).to.deep.equal(
        ["tel:+49", "tel:+493", "tel:+4930"].map((one) => `Refer ${one} of ${part.zone}`),
      );
      const walked = await world.follower.delegation(berlin, { mirror: false });
      expect({ ...walked, path: [".", ...walked.path] }).to.deep.equal(found);
    });

    it("asks nothing twice, and denies from what it has seen", async () => {
      const { follower, calls } = makeWorld();
      await follower.delegation(berlin);
      await follower.delegation(munich);
      calls.length = 0;
      await follower.delegation(berlin);
      await follower.delegation(parseCsi("+4989999999"));
      expect(calls).to.deep.equal([]);
    });

    it("joins the ends and lifetimes of both, and names the whole way", async () => {
      const objects = makePartObjects(part, { prefixes: partPrefixes, lifetimeSeconds: day });
      const { follower } = makeWorld({ objects });
      expect(await follower.delegation(berlin)).to.deep.include({
        ttlSeconds: 600,
        notAfter: now + day,
        notBefore: now,
        serial: 1,
        path: ["tel:", "tel:+4", "tel:+49", "tel:+493", "tel:+4930"],
      });
    });

    it("spends one budget over the whole way", async () => {
      const { follower, calls } = makeWorld();
      const spent = { rpc: 0, referral: 0, verification: 0, bytes: 0 };
      const spend: DelegationOptions["spend"] = (kind, amount) => {
        spent[kind] += amount;
        if (spent.referral > 5) throw new DiscoveryError("BUDGET", "referrals are used up");
      };
      expect(await outcomeOfLater(follower.delegation(berlin, { spend }))).to.equal("BUDGET");
      expect(calls.filter((call) => call.startsWith("Refer"))).to.have.length(5);
      expect(spent).to.include({ rpc: 5, referral: 6 });
    });

    it("leads where the registry says, whatever the part says", async () => {
      const lying = resignPart(partObjects, part, {
        nodes: (nodes) =>
          nodes.map((node) => ({
            ...node,
            authorities: node.authorities.map((authority) => ({
              ...authority,
              endpoints: authority.endpoints.map((one) => ({ ...one, host: "evil.example" })),
            })),
          })),
      });
      const { follower } = makeWorld({ objects: lying });
      const { authorities } = await follower.delegation(berlin);
      const registry = await follower.registry();
      expect(authorities[0]?.endpoints).to.deep.equal(registry.dps()[1]?.endpoints);
    });

    it("is refused by a server with another key than the directory names", async () => {
      const world = makeDirectoryWorld({ artefact: rootArtefact() });
      open.push(world);
      world.network.serve(dpA.address, {
        services: [createDirectoryService(unverifiedPart(partObjects, part.apex)).service],
        clients: { kind: "none" },
        spkiSha256: sha256(utf8("somebody else")),
      });
      expect(await outcomeOfLater(world.follower.delegation(berlin))).to.equal("PIN_MISMATCH");
    });
  });

  it("are probed as the zones are, by their apex", async () => {
    const world = makeWorld();
    const { clock, network } = world;
    await using health = createDelegationHealth({
      anchors: root.anchors,
      intervalSeconds: 300,
      concurrency: 1,
      clock,
      random: createSeededRandom(3),
      logger: new EventLog(),
      openChannel: ({ host, port, pins = [] }) => network.connect(`${host}:${port}`, { pins }),
    });
    health.watch(world.service.directory);
    const found = async () => {
      await health.probe();
      const { state, lastError } = health.list().find(({ zone }) => zone === part.zone)!;
      return `${state} ${lastError ?? "-"}`;
    };
    expect(await found()).to.equal("healthy -");
    expect(world.calls).to.include(`Refer tel:+49 of ${part.zone}`);
    world.serve(resignPart(partObjects, makePartFixture({ label: "stranger" }), {}));
    expect(await found()).to.equal("lame KEY_MISSING");
    world.serve(partObjects);
    expect(await found()).to.equal("healthy KEY_MISSING");
  });

  describe("a hostile part", () => {
    const authority = (nodes: readonly Node[]) =>
      nodes.find(({ prefix }) => prefix === "tel:+4930")!.authorities[0]!;
    const changing =
      (at: string, change: (node: Node, all: readonly Node[]) => Partial<Node>) =>
      (nodes: readonly Node[]): readonly Node[] =>
        nodes.map((node) => (node.prefix === at ? { ...node, ...change(node, nodes) } : node));
    const lies: readonly (readonly [
      string,
      (nodes: readonly Node[]) => readonly Node[],
      string,
    ])[] = [
      [
        "answers with a node outside its prefix",
        changing("tel:+49", () => ({ prefix: "tel:+4" as Prefix, firstChild: "" })),
        "BOGUS",
      ],
      [
        "leads back up from its apex",
        changing("tel:+49", () => ({ disposition: "parent", authorities: [] })),
        "BOGUS",
      ],
      [
        "delegates upward to the root",
        changing("tel:+4930", (_, all) => ({
          authorities: [{ ...authority(all), zone: "." as never, kind: "directory" }],
        })),
        "BOGUS",
      ],
      [
        "delegates to itself",
        changing("tel:+4930", (_, all) => ({
          authorities: [
            {
              ...authority(all),
              zone: part.zone,
              dpId: "dp-a.example" as never,
              kind: "directory",
            },
          ],
        })),
        "BOGUS",
      ],
      [
        "delegates the whole of itself on",
        changing("tel:+49", (_, all) => ({
          firstChild: "",
          authorities: [
            { ...authority(all), zone: "sub@dp-b.example" as never, kind: "directory" },
          ],
        })),
        "BOGUS",
      ],
      [
        "names two directories for one prefix",
        changing("tel:+4930", (_, all) => ({
          authorities: ["sub@dp-b.example", "rest@dp-b.example"].map((zone) => ({
            ...authority(all),
            zone: zone as never,
            kind: "directory" as const,
          })),
        })),
        "BOGUS",
      ],
      [
        "brings in a DP that nobody registered",
        changing("tel:+4930", (_, all) => ({
          authorities: [
            { ...authority(all), zone: "de@evil.example" as never, dpId: "evil.example" as never },
          ],
        })),
        "BOGUS",
      ],
    ];
    for (const [title, nodes, code] of lies) {
      it(`that ${title} is refused: ${code}`, async () => {
        const { follower } = makeWorld({ objects: resignPart(partObjects, part, { nodes }) });
        expect(await outcomeOfLater(follower.delegation(berlin))).to.equal(code);
      });
    }

    const stranger = makePartFixture({ label: "stranger" });
    const heads: readonly (readonly [string, PartObjects, string])[] = [
      ["is signed by another key", { ...resignPart(partObjects, stranger, {}) }, "KEY_MISSING"],
      ["shows another manifest", makePartObjects(stranger, { prefixes: partPrefixes }), "BOGUS"],
      [
        "has ended",
        makePartObjects(part, {
          prefixes: partPrefixes,
          nowSeconds: now - 7200,
          lifetimeSeconds: 3600,
        }),
        "EXPIRED",
      ],
      [
        "shows the head of another zone",
        resignPart(partObjects, part, { head: { zone: "rest@dp-a.example" as never } }),
        "BOGUS",
      ],
      ["claims a registry", resignPart(partObjects, part, { head: { recordCount: 1 } }), "BOGUS"],
      [
        "signs ahead of its head",
        resignPart(partObjects, part, {
          nodes: (nodes) => nodes.map((node) => ({ ...node, serial: 9 })),
        }),
        "BOGUS",
      ],
    ];
    for (const [title, objects, code] of heads) {
      it(`that ${title} is refused: ${code}`, async () => {
        const { follower } = makeWorld({ objects });
        expect(await outcomeOfLater(follower.delegation(berlin))).to.equal(code);
      });
    }

    it("that goes back to an older serial, or to another one with the same, is refused", async () => {
      const unasked = parseCsi("+49900123456");
      const first = unverifiedPart(partObjects, part.apex).directory;
      const second = makePartObjects(part, {
        prefixes: partPrefixes,
        previous: first,
        nowSeconds: now + 60,
      });
      const world = makeWorld({ objects: second });
      await world.follower.delegation(berlin);
      world.serve(partObjects);
      expect(await outcomeOfLater(world.follower.delegation(unasked))).to.equal("ROLLBACK");
      world.serve(resignPart(second, part, { head: { digest: new Uint8Array(48) } }));
      expect(await outcomeOfLater(world.follower.delegation(unasked))).to.equal("FORKED");
    });

    it("that goes back while nobody looks is refused after a restart, whatever else the file holds", async () => {
      const first = unverifiedPart(partObjects, part.apex).directory;
      const second = makePartObjects(part, {
        prefixes: partPrefixes,
        previous: first,
        nowSeconds: now + 60,
      });
      const statePath = join(folder, "directory");
      const before = makeWorld({ objects: second, statePath });
      await before.follower.delegation(berlin);
      await before.follower.close();
      const after = makeWorld({ statePath });
      expect(await outcomeOfLater(after.follower.delegation(berlin))).to.equal("ROLLBACK");
      await after.follower.close();
      await writeFile(`${statePath}.parts`, "rubbish\n");
      const log = new EventLog();
      const damaged = makeWorld({ statePath, logger: log });
      expect(await outcomeOfLater(damaged.follower.delegation(berlin))).to.equal("ok");
      expect(log.last("marks of parts not loaded")).not.to.equal(undefined);
    });

    it("that the root has withdrawn is a ghost nobody listens to", async () => {
      const world = makeWorld();
      await world.follower.delegation(berlin);
      const prefixes = [`"tel:": { unassigned: true }`, `"tel:+44": { zones: [gb@dp-b.example] }`];
      world.service.replace(
        makeArtefact({
          root,
          prefixes,
          previous: world.service.directory,
          registryText: registryTextOf(part),
          nowSeconds: now + 60,
        }),
      );
      await world.clock.advance(3_600_000);
      world.calls.length = 0;
      expect(await world.follower.delegation(berlin)).to.include({
        zone: ".",
        disposition: "unassigned",
      });
      expect(world.calls.filter((call) => call.includes(part.zone))).to.deep.equal([]);
    });

    it("whose manifest the root has replaced is no longer answered from memory", async () => {
      const successor = makePartFixture({ label: "next" });
      const world = makeWorld({ mirror: true });
      await world.mirrored();
      await world.follower.delegation(berlin);
      world.service.replace(
        makeArtefact({
          root,
          prefixes: rootPrefixes(),
          previous: world.service.directory,
          registryText: registryTextOf(successor),
          nowSeconds: now + 60,
        }),
      );
      await world.follower.refresh();
      expect(await outcomeOfLater(world.follower.delegation(berlin))).to.equal("BOGUS");
    });
  });
});
