// What one question may set off, attack by attack: the known ways to make a resolver work for an attacker, each in the
// form it would have here, measured at the other end and held to a bound. The caches' attacks: cache-under-attack.

import { expect } from "chai";
import {
  limits,
  parseCsi,
  parseZoneName,
  type Authority,
  type Csi,
  type Node,
  type SignedObject,
} from "@whither/protocol";
import { implementService, notAvailable, type ServerDuplex } from "@whither/rpc";
import { createFederation, fixedSigner, resignDirectory, type Federation } from "@whither/testkit";
import { Discovery, Zone } from "@whither/wire";
import { nodeVerifier } from "@whither/zone";
import { flip, outcomeOf } from "./both-ways.js";

const alice = parseCsi("+4930123456");
const failures = ["NETWORK", "UNREACHABLE", "DEADLINE", "BUDGET"];

/** Calls and requests that reach hosts of this kind from now on; a call of one message counts once. */
function counting(federation: Federation, isMeant: (host: string) => boolean) {
  const count = { calls: 0, requests: 0 };
  federation.tap((record) => {
    if (record.direction !== "request" || record.from !== "resolver" || !isMeant(record.to)) return;
    if (record.kind === "open") count.calls += 1;
    else count.requests += 1;
  });
  return count;
}

const isDp = (host: string): boolean => host.startsWith("dp-");
const sumOf = (numbers: readonly number[]): number => numbers.reduce((sum, one) => sum + one, 0);

/** Servers of somebody else, named in a delegation: what reaches them, and whether they say so. */
interface Victims {
  readonly federation: Federation;
  readonly addresses: number;
  readonly heard: { calls: number; requests: number };
}

/** +49 delegated, under the root's own signature, to as many servers as a node may name, none of them a DP's. */
async function delegatedToVictims(
  they: "refuse" | "say nothing",
  authorities: number = limits.authoritiesMax,
): Promise<Victims> {
  const federation = await createFederation({ seed: 91, isInMemory: true });
  const heard = { calls: 0, requests: 0 };
  const hosts: string[] = [];
  const hostOf = (): string => {
    hosts.push(`victim-${hosts.length}.test`);
    return hosts.at(-1) ?? "";
  };
  const authoritiesOf = (model: Authority): readonly Authority[] =>
    Array.from({ length: authorities }, (_, n) => ({
      ...model,
      zone: parseZoneName(`z${n}@${model.dpId}`),
      endpoints: Array.from({ length: limits.endpointsMax }, () => ({
        ...model.endpoints[0]!,
        host: hostOf(),
      })),
    }));
  const nodes = (all: readonly Node[]): readonly Node[] =>
    all.map((node) =>
      node.prefix === "tel:+49"
        ? { ...node, authorities: authoritiesOf(node.authorities[0]!) }
        : node,
    );
  const { root } = federation;
  federation.replaceDirectory(resignDirectory(federation.directory.objects(), { root, nodes }));
  const rawCallback = (_context: unknown, stream: ServerDuplex<Uint8Array, never>): void => {
    heard.calls += 1;
    stream.onMessage(() => {
      heard.requests += 1;
      if (they === "refuse") stream.end();
    });
  };
  for (const host of hosts) {
    const zone = implementService(Zone, { ...zoneRefused, fetch: { rawCallback } });
    const discovery = implementService(Discovery, {
      evaluate: notAvailable,
      exchange: { rawCallback },
    });
    for (const [port, service] of [
      [7364, zone],
      [7354, discovery],
    ] as const) {
      federation.network.serve(`${host}:${port}`, {
        services: [service],
        clients: { kind: "none" },
      });
    }
  }
  return { federation, addresses: hosts.length, heard };
}

const zoneRefused = {
  transfer: notAvailable,
  watch: notAvailable,
  bucket: notAvailable,
  bodies: notAvailable,
  getHead: notAvailable,
  getManifest: notAvailable,
};

const strangers = (count: number): readonly Csi[] =>
  Array.from({ length: count }, (_, n) => parseCsi(`+4930${6_000_000 + n}`));

/** What a question about each of these costs such servers, in requests; it must fail, and in its time. */
async function costsAt({ federation, heard }: Victims, csis: readonly Csi[]) {
  const resolver = await federation.resolver({ mirror: true });
  const costs: number[] = [];
  let longestMs = 0;
  for (const csi of csis) {
    const [before, startMs] = [heard.requests, federation.clock.monotonicMs()];
    expect(await federation.during(outcomeOf(resolver, csi))).to.be.oneOf(failures);
    costs.push(heard.requests - before);
    longestMs = Math.max(longestMs, federation.clock.monotonicMs() - startMs);
  }
  return { first: costs[0] ?? 0, most: Math.max(...costs), sum: sumOf(costs), longestMs };
}

describe("a delegation to many servers of somebody else", () => {
  it("that refuse (NXNS): a question reaches for its RPCs and no more, the next ones for fewer", async () => {
    const victims = await delegatedToVictims("refuse");
    await using _closing = victims.federation;
    expect(victims.addresses).to.equal(limits.authoritiesMax * limits.endpointsMax);
    const cost = await costsAt(victims, strangers(50));
    console.log(`      NXNS ${JSON.stringify(cost)}`);
    expect(cost.most).to.be.at.most(limits.queryRpcsMax);
  });

  it("that say nothing (NRDelegation): its RPCs and 7 s", async () => {
    const victims = await delegatedToVictims("say nothing");
    await using _closing = victims.federation;
    const cost = await costsAt(victims, strangers(20));
    console.log(`      NRDelegation, 104 servers: ${JSON.stringify(cost)}`);
    expect(cost.most).to.be.at.most(limits.queryRpcsMax);
    expect(cost.longestMs).to.be.at.most(limits.queryTimeoutMs);
  });

  it("of one zone, that say nothing: 4 of the 13 that it names", async () => {
    const victims = await delegatedToVictims("say nothing", 1);
    await using _closing = victims.federation;
    const cost = await costsAt(victims, strangers(100));
    console.log(`      NRDelegation, 13 servers: ${JSON.stringify(cost)}`);
    expect(cost.most).to.be.at.most(limits.serversPerQuestionMax);
  });
});

/** One holder who says of each number that it moved to the next; every number at three DPs. */
async function chained(numbers: readonly Csi[], isCycle: boolean): Promise<Federation> {
  const zones = ["de@dp-a.example", "de@dp-b.example", "de@dp-c.example"];
  const federation = await createFederation({
    isInMemory: true,
    seed: 92,
    dps: ["a", "b", "c"].map((n) => ({ id: `dp-${n}.example`, zones: ["de"] })),
    prefixes: [`"tel:+49": { zones: [${zones.join(", ")}] }`],
  });
  const holder = fixedSigner("who moves");
  for (const [at, csi] of numbers.entries()) {
    const next = numbers[at + 1] ?? (isCycle ? numbers[0] : undefined);
    const portedTo = next === undefined ? {} : { portedTo: next };
    await federation.register({ csi, holder, msps: ["wire.example"], ...portedTo });
  }
  await federation.publish();
  return federation;
}

describe("a chain of numbers at many DPs (CAMP, budget reset)", () => {
  it("is one query: one budget for all steps and DPs together", async () => {
    await using federation = await chained(strangers(10), false);
    const resolver = await federation.resolver({ mirror: true });
    const count = counting(federation, isDp);
    await federation.during(outcomeOf(resolver, strangers(1)[0]!));
    console.log(`      CAMP: ${count.requests} requests for 10 numbers at 3 DPs`);
    expect(count.requests).to.be.at.most(limits.queryRpcsMax);
  });

  it("and 20 who ask at once share it but for what the first had no budget for", async () => {
    await using federation = await chained(strangers(10), false);
    const resolver = await federation.resolver({ mirror: true });
    const count = counting(federation, isDp);
    const [first] = strangers(1);
    await federation.during(
      Promise.all(Array.from({ length: 20 }, () => outcomeOf(resolver, first!, { refresh: true }))),
    );
    console.log(`      budget reset: ${count.requests} requests for 20 askers`);
    // Whoever joins a question pays for none; the steps that nobody has begun are begun by one of them.
    expect(count.requests).to.be.at.most(3 * limits.queryRpcsMax);
  });
});

describe("numbers that moved to one another in a circle (TsuNAME)", () => {
  for (const length of [2, 5]) {
    it(`of ${length}: are asked once round at most`, async () => {
      await using federation = await chained(strangers(length), true);
      const resolver = await federation.resolver({ mirror: true });
      const count = counting(federation, isDp);
      expect(await federation.during(outcomeOf(resolver, strangers(1)[0]!))).to.contain("found");
      console.log(`      TsuNAME, circle of ${length}: ${count.requests} requests`);
      expect(count.requests).to.be.at.most(limits.queryRpcsMax);
      const again = count.requests;
      for (let n = 0; n < 10; n += 1) {
        await federation.during(outcomeOf(resolver, strangers(1)[0]!));
      }
      expect(count.requests - again, "asked again").to.equal(0);
    });
  }
});

describe("signatures that are many and wrong (KeyTrap)", () => {
  it("cost no more verifications than the limits of a query say", async () => {
    await using federation = await createFederation({ seed: 93, isInMemory: true });
    await federation.register({ csi: alice, msps: ["wire.example", "video.example"] });
    await federation.publish();
    let verifications = 0;
    const verifier: typeof nodeVerifier = {
      verify: (check) => {
        verifications += 1;
        return nodeVerifier.verify(check);
      },
    };
    const resolver = await federation.resolver({ mirror: true, verifier });
    verifications = 0;
    expect(await federation.during(outcomeOf(resolver, alice))).to.contain("found");
    const honest = verifications;
    /** As many as an object may carry, under one key, each wrong in another octet. */
    const trapped = (object: SignedObject): SignedObject => ({
      ...object,
      signatures: Array.from({ length: limits.signaturesMax }, (_, n) => ({
        ...object.signatures[0]!,
        signature: flip(object.signatures[0]!.signature, n),
      })),
    });
    federation.tamper("dp-a.example", { head: trapped });
    const mirrored = await federation.resolver({ mirror: true, verifier });
    verifications = 0;
    expect(await federation.during(outcomeOf(mirrored, alice))).to.be.oneOf([
      "BOGUS",
      "INVALID_DATA",
    ]);
    const costs = [verifications];
    federation.tamperDirectory({ refer: (answer) => ({ ...answer, node: trapped(answer.node) }) });
    const walking = await federation.resolver({ mirror: false, verifier });
    verifications = 0;
    expect(await federation.during(outcomeOf(walking, alice))).to.be.oneOf([
      "BOGUS",
      "INVALID_DATA",
    ]);
    costs.push(verifications);
    console.log(`      KeyTrap: honest ${honest}, head ${costs[0]}, node ${costs[1]}`);
    // What an honest answer takes at most: not one more for each signature.
    for (const cost of costs) expect(cost).to.be.at.most(honest);
  });
});

describe("questions that pile up and are let go together (DNSBomb)", () => {
  it("leave one resolver in a pulse no larger than its window", async () => {
    await using federation = await createFederation({ seed: 94, isInMemory: true });
    await federation.register({ csi: alice, msps: ["wire.example"] });
    await federation.publish();
    const resolver = await federation.resolver({ mirror: true });
    expect(await outcomeOf(resolver, alice)).to.equal("found wire.example");
    const addresses = ["dp-a.example:7354", "dp-a.example:7364"];
    for (const to of addresses) federation.network.setFaults({ to }, { partition: "silent" });
    const count = counting(federation, isDp);
    const asked = strangers(1_000).map((csi) => outcomeOf(resolver, csi));
    const joined = Array.from({ length: 1_000 }, () =>
      outcomeOf(resolver, alice, { refresh: true }),
    );
    await federation.clock.advance(1_000);
    // Whole again, and so slow that no answer is back before all that waited has gone out.
    for (const to of addresses) federation.network.setFaults({ to }, { delayMs: 200 });
    await federation.clock.advance(200);
    const pulse = count.requests;
    const outcomes = new Set(await federation.during(Promise.all([...asked, ...joined])));
    expect([...outcomes].sort()).to.deep.equal(["found wire.example", "none"]);
    console.log(
      `      DNSBomb: ${pulse} of ${count.requests} requests in the pulse of 2,000 questions`,
    );
    // An Evaluate carries up to 128 of the strangers; who asks for one contact joins one question.
    expect(pulse).to.be.at.most(2 * Math.ceil(1_000 / 128));
  });
});
