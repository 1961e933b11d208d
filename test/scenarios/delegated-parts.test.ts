// Parts of the directory as a means of attack: fan-out over servers that never answer (NRDelegation), chains of
// parts (CAMP), a part that was withdrawn (ghost domains). What one lookup costs is counted and bounded.
import { createDirectoryService } from "@whither/authority";
import type { SpendKind } from "@whither/directory";
import { limits, parseCsi, type Csi } from "@whither/protocol";
import {
  directoryFixtureSeconds as now,
  makeArtefact,
  makeDirectoryObjects,
  makeDirectoryWorld,
  makePartFixture,
  makePartObjects,
  outcomeOfLater,
  registryTextOf,
  unverifiedPart,
  type DirectoryWorld,
  type PartFixture,
} from "@whither/testkit";
import { parseRegistrySource } from "@whither/zone";
import { expect } from "chai";

const csi = parseCsi("+4930123456");
/** Public ports of the fixture's DPs. */
const addressOf: Readonly<Record<string, string>> = {
  a: "127.0.0.1:7500",
  b: "127.0.0.1:7501",
  c: "127.0.0.1:7502",
};
const partAt = (zone: string, apex: string): PartFixture => makePartFixture({ zone, apex });

describe("parts of the directory under attack", () => {
  const open: DirectoryWorld[] = [];
  afterEach(async () => {
    for (const world of open.splice(0)) await world[Symbol.asyncDispose]();
  });

  function worldOf(parts: readonly PartFixture[], registryText = registryTextOf(...parts)) {
    const [first] = parts;
    const prefixes = [
      `"tel:": { unassigned: true }`,
      `"${first!.apex}": { directory: [${first!.zone}] }`,
    ];
    const world = makeDirectoryWorld({
      mirror: true,
      artefact: makeArtefact(makeDirectoryObjects({ prefixes, registryText })),
    });
    open.push(world);
    return world;
  }

  /** The outcome of a lookup and what it spent. */
  async function cost(world: DirectoryWorld, of: Csi = csi) {
    const spent: Record<SpendKind, number> = { rpc: 0, referral: 0, verification: 0, bytes: 0 };
    const spend = (kind: SpendKind, amount: number): void => void (spent[kind] += amount);
    const before = world.calls.length;
    const outcome = await outcomeOfLater(world.follower.delegation(of, { spend }));
    const sent = world.calls.slice(before).filter((call) => call.startsWith("Refer")).length;
    return { outcome, rpcs: spent.rpc, referrals: spent.referral, sent };
  }

  it("dead servers cost four RPCs once, then one a lookup, however many are named", async () => {
    const part = partAt("sub@dp-a.example", "tel:+49");
    const registryText = registryTextOf(part).replace(
      /endpoints: \[(\{[^}]*public_port: )7500([^}]*\})\]/,
      (_, before: string, after: string) => {
        const ports = Array.from({ length: limits.endpointsMax }, (_, at) => 8000 + at);
        return `endpoints: [${ports.map((port) => `${before}${port}${after}`).join(", ")}]`;
      },
    );
    const world = worldOf([part], registryText);
    await world.mirrored();
    const first = await cost(world);
    expect(first).to.include({ outcome: "UNREACHABLE", rpcs: 4, referrals: 1 });
    // Nobody answered four of thirteen: the next lookups try the others, then all are known to be down.
    let rpcs = 0;
    for (let lookup = 0; lookup < 100; lookup++) {
      const next = await cost(world, parseCsi(`+4930${1_000_000 + lookup}`));
      expect(next.outcome).to.equal("UNREACHABLE");
      expect(next.rpcs).to.be.at.most(limits.serversPerQuestionMax);
      rpcs += next.rpcs;
    }
    expect(rpcs, "nine more servers, then one a lookup").to.be.at.most(100 + limits.endpointsMax);
  });

  it("a chain of parts ends at the third, whatever it goes on to name", async () => {
    const chain = [
      partAt("sub@dp-a.example", "tel:+49"),
      partAt("sub@dp-b.example", "tel:+493"),
      partAt("sub@dp-c.example", "tel:+4930"),
      partAt("rest@dp-a.example", "tel:+49301"),
    ];
    const world = worldOf(chain);
    const registry = parseRegistrySource({ text: registryTextOf(...chain), file: "registry.yaml" });
    for (const [at, part] of chain.slice(0, 3).entries()) {
      const next = chain[at + 1]!;
      const prefixes = [
        `"${part.apex}": { unassigned: true }`,
        `"${next.apex}": { directory: [${next.zone}] }`,
      ];
      const artefact = unverifiedPart(makePartObjects(part, { prefixes, registry }), part.apex);
      world.network.serve(addressOf[part.zone[part.zone.indexOf("-") + 1]!]!, {
        services: [createDirectoryService(artefact).service],
        clients: { kind: "none" },
        spkiSha256: registry.dps[at]!.record.endpoints[0]!.spkiSha256[0]!,
      });
    }
    await world.mirrored();
    expect(await cost(world)).to.deep.equal({
      outcome: "TOO_LARGE",
      rpcs: 6,
      referrals: 6,
      sent: 6,
    });
    expect(await cost(world), "and then nothing at all").to.deep.equal({
      outcome: "TOO_LARGE",
      rpcs: 0,
      referrals: 0,
      sent: 0,
    });
  });

  it("a ghost that goes on signing is not asked once the root has withdrawn it", async () => {
    const part = partAt("sub@dp-a.example", "tel:+49");
    const world = worldOf([part]);
    const prefixes = [`"tel:+49": { zones: [de@dp-a.example] }`];
    const served = unverifiedPart(makePartObjects(part, { prefixes }), part.apex);
    const ghost = createDirectoryService(served);
    const registry = parseRegistrySource({ text: registryTextOf(part), file: "registry.yaml" });
    world.network.serve(addressOf["a"]!, {
      services: [ghost.service],
      clients: { kind: "none" },
      spkiSha256: registry.dps[0]!.record.endpoints[0]!.spkiSha256[0]!,
    });
    await world.mirrored();
    expect(await cost(world)).to.include({ outcome: "ok", referrals: 1 });
    world.service.replace(
      makeArtefact({
        prefixes: [`"tel:": { unassigned: true }`],
        registryText: registryTextOf(part),
        previous: world.service.directory,
        nowSeconds: now + 60,
      }),
    );
    await world.follower.refresh();
    for (let day = 1; day < 7; day++) {
      const objects = makePartObjects(part, {
        prefixes,
        previous: ghost.directory,
        nowSeconds: now + 60 + day,
      });
      ghost.replace(unverifiedPart(objects, part.apex));
      expect(await cost(world)).to.deep.equal({ outcome: "ok", rpcs: 0, referrals: 0, sent: 0 });
      expect(await world.follower.delegation(csi)).to.include({
        zone: ".",
        disposition: "unassigned",
      });
    }
  });
});
