// One simulated federation over days: quiet hours, bursts of failures, and what must hold all the while.
// Everything is drawn from one seed; running it again runs the same.

import { createHash } from "node:crypto";
import { isDiscoveryError, parseCsi, type Csi, type ZoneName } from "@whither/protocol";
import type { HolderMemory } from "@whither/msp";
import type { Answer, Resolver } from "@whither/resolver";
import {
  createFederation,
  createNodeClock,
  createSeededRandom,
  type DpSpec,
  type Federation,
  type FederationDp,
  type NodeClock,
  type SeededRandom,
} from "@whither/testkit";
import { drawFault, Links, type Fault } from "./faults.js";
import { HeadWatch } from "./head-watch.js";
import { mspText, SlotReference, type Version } from "./reference.js";
import type { SimulationReport } from "./report.js";

/** Of every DP a full replica of its own operator's and two bucket replicas of others. */
const dps: readonly DpSpec[] = [
  dpOf("a", { zone: "de", probe: "tel:+49301234560" }),
  dpOf("b", { zone: "gb", probe: "tel:+442079454560" }),
  dpOf("c", { zone: "fr", probe: "tel:+331402054560" }),
  dpOf("d", { zone: "fr", probe: "tel:+331402054560" }),
];
const prefixes = [
  `"tel:+49": { zones: [de@dp-a.example] }`,
  `"tel:+44": { zones: [gb@dp-b.example] }`,
  `"tel:+33": { zones: [fr@dp-c.example, fr@dp-d.example] }`,
];
const numbers = ["+4930123", "+4420794", "+3314020"];
const peoplePerPrefix = 3;
const msps = ["wire.example", "video.example", "chat.example"] as const;

/**
 * Protocol.md section 8, in seconds, with one for the steps of clocks. A replica that failures keep from its primary
 * is read until its head counts as stale, by a clock that may be wrong as far as is tolerated.
 */
const bounds = {
  mapping: 3_600 + 1,
  absence: 60 + 1,
  stale: 24 * 3_600 + 1,
  promise: 60 + 1,
  lag: 15 * 60 + 2 * 300,
};
/** Longest time to be well again: failure caches, retries of a directory, and a connection given up. */
const recoverySecondsMax = 600;
const daySeconds = 86_400;

interface Asker {
  readonly name: string;
  readonly mirror: boolean;
  readonly clock: NodeClock;
  /** Another one after a restart. */
  resolver: Resolver;
}

function dpOf(letter: string, { zone, probe }: { readonly zone: string; readonly probe: string }) {
  const operator = `Operator ${letter}`;
  const replica = (n: number) => ({ id: `replica-${letter}${n}.example`, probe });
  return {
    id: `dp-${letter}.example`,
    operator,
    zones: [zone],
    replicas: [{ ...replica(1), operator, full: true }, replica(2), replica(3)],
  };
}

/** Breaks off a run: what must hold does not. */
class Violation extends Error {}

export async function simulate(options: {
  readonly seed: number;
  readonly hours: number;
}): Promise<SimulationReport> {
  const world = await World.make(options.seed);
  return await world.run(options.hours);
}

class World {
  readonly #seed: number;
  readonly #federation: Federation;
  readonly #random: SeededRandom;
  readonly #links: Links;
  readonly #heads: HeadWatch;
  #askers: readonly Asker[] = [];
  readonly #csis: readonly Csi[];
  readonly #memories = new Map<Csi, HolderMemory>();
  readonly #slots = new Map<string, SlotReference>();
  /** Until when a DP cannot be held to its promises: down, without a disk, or just back. */
  readonly #troubled = new Map<string, number>();
  readonly #downUntilMs = new Map<string, number>();
  readonly #busy = new Set<Csi>();
  readonly #trace = createHash("sha256");
  readonly #tail: string[] = [];
  #faultsOn = 0;
  /** From the first failure of a burst until everybody is well again. */
  #isUnsettled = false;
  #violation: Violation | undefined;
  #signedAt: number;
  #counts = { lookups: 0, accepted: 0, inDoubt: 0, crashes: 0, refusedStarts: 0 };
  readonly #answers: Record<string, number> = {};
  readonly #faults: Record<string, number> = {};
  readonly #recoveries: number[] = [];

  private constructor(seed: number, federation: Federation) {
    this.#seed = seed;
    this.#federation = federation;
    // Apart from the federation's own, so that the faults stay the same where the product draws differently.
    this.#random = createSeededRandom(seed ^ 0x5eed);
    const names = federation.hosts.map(({ record }) => record.id as string);
    this.#links = new Links(federation, ["resolver-1", "resolver-2", "app", ...names]);
    this.#heads = new HeadWatch((text) => this.#report(text));
    federation.tap((record) => this.#heads.hear(record));
    this.#csis = numbers.flatMap((number) =>
      Array.from({ length: peoplePerPrefix }, (_, n) => parseCsi(`${number}${4560 + n}`)),
    );
    this.#signedAt = federation.clock.nowSeconds();
  }

  static async make(seed: number): Promise<World> {
    const federation = await createFederation({
      seed,
      isInMemory: true,
      dps,
      prefixes,
      msps: msps.map((id) => ({ id })),
    });
    const world = new World(seed, federation);
    const askers: Asker[] = [];
    for (const [place, mirror] of [true, false].entries()) {
      const name = `resolver-${place + 1}`;
      const clock = createNodeClock(federation.clock);
      askers.push({
        name,
        mirror,
        clock,
        resolver: await federation.resolver({ client: name, mirror, clock }),
      });
    }
    world.#askers = askers;
    return world;
  }

  async run(hours: number): Promise<SimulationReport> {
    const { clock } = this.#federation;
    const from = clock.monotonicMs();
    const cpuFrom = process.cpuUsage();
    let failure: string | undefined;
    try {
      await clock.runUntil(this.#live(from + hours * 3_600_000));
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      failure = [`seed ${this.#seed}: ${error.message}`, ...this.#tail].join("\n  ");
    }
    return {
      seed: this.#seed,
      virtualHours: (clock.monotonicMs() - from) / 3_600_000,
      cpuSeconds: cpuSecondsSince(cpuFrom),
      lookups: this.#counts.lookups,
      answers: this.#answers,
      registrations: { accepted: this.#counts.accepted, inDoubt: this.#counts.inDoubt },
      faults: this.#faults,
      crashes: this.#counts.crashes,
      refusedStarts: this.#counts.refusedStarts,
      recoverySeconds: this.#recoveries,
      failure,
      trace: this.#trace.digest("hex"),
    };
  }

  async #live(untilMs: number): Promise<void> {
    const { clock } = this.#federation;
    for (const csi of this.#csis) await this.#change(csi);
    while (clock.monotonicMs() < untilMs) {
      this.#resign();
      await this.#burst();
      await this.#recover();
      await this.#calm();
      await clock.sleep((2 + this.#random.below(24)) * 3_600_000);
      this.#check();
    }
  }

  /** The operator of the root signs its directory every day. */
  #resign(): void {
    const now = this.#federation.clock.nowSeconds();
    if (now - this.#signedAt < daySeconds) return;
    this.#federation.replaceDirectory();
    this.#signedAt = now;
  }

  /** One to four faults, overlapping, with people who register and ask meanwhile. */
  async #burst(): Promise<void> {
    const { clock } = this.#federation;
    this.#isUnsettled = true;
    const faults = Array.from({ length: 1 + this.#random.below(4) }, () =>
      drawFault(this.#ground()),
    );
    const running = faults.map(async (fault) => {
      await clock.sleep(this.#random.below(60_000));
      const lastsMs = 1_000 + this.#random.below(this.#random.pick([10_000, 120_000, 900_000]));
      await this.#suffer(fault, lastsMs);
    });
    const living = Array.from({ length: 6 }, async () => {
      await clock.sleep(this.#random.below(150_000));
      await (this.#random.below(3) === 0 ? this.#change() : this.#ask());
    });
    await Promise.all([...running, ...living]);
    const healMs = Math.max(...faults.map(({ healSeconds }) => healSeconds)) * 1_000;
    if (healMs > 0) await clock.sleep(healMs);
    // A machine that is off is a failure that lasts until it is on again.
    const onAgainMs = Math.max(0, ...this.#downUntilMs.values()) - clock.monotonicMs();
    if (onAgainMs > 0) await clock.sleep(onAgainMs);
  }

  async #suffer(fault: Fault, lastsMs: number): Promise<void> {
    this.#faults[fault.kind] = (this.#faults[fault.kind] ?? 0) + 1;
    this.#note(`begin ${fault.kind}: ${fault.text}, ${lastsMs} ms`);
    this.#faultsOn += 1;
    fault.begin();
    await this.#federation.clock.sleep(lastsMs);
    fault.end();
    this.#faultsOn -= 1;
    this.#note(`end ${fault.kind}`);
    const settled = this.#federation.clock.nowSeconds() + bounds.promise + fault.healSeconds;
    for (const { id } of dps) this.#troubled.set(id, settled);
  }

  #ground() {
    return {
      federation: this.#federation,
      random: this.#random,
      links: this.#links,
      resolverClocks: this.#askers.map(({ clock }) => clock),
      restartResolver: (place: number) => {
        void this.#restart(place).catch((error: unknown) => this.#report(String(error)));
      },
      crash: (host: FederationDp, downMs: number) => this.#crash(host, downMs),
    };
  }

  async #restart(place: number): Promise<void> {
    const asker = this.#askers[place];
    if (asker === undefined) return;
    const { name: client, mirror, clock, resolver: before } = asker;
    asker.resolver = await this.#federation.resolver({ client, mirror, clock, wait: false });
    await before.close();
  }

  #crash(dp: FederationDp, downMs: number): void {
    const { clock } = this.#federation;
    const until = clock.monotonicMs() + downMs;
    this.#downUntilMs.set(dp.record.id, Math.max(until, this.#downUntilMs.get(dp.record.id) ?? 0));
    if (!dp.isRunning) return;
    this.#counts.crashes += 1;
    dp.crash({ kept: (unsynced) => this.#random.below(unsynced + 1) });
    void this.#supervise(dp).catch((error: unknown) => this.#report(String(error)));
  }

  /** As systemd does: again after 5 s, for as long as it takes. */
  async #supervise(dp: FederationDp): Promise<void> {
    const { clock } = this.#federation;
    const { id } = dp.record;
    for (;;) {
      const leftMs = (this.#downUntilMs.get(id) ?? 0) - clock.monotonicMs();
      await clock.sleep(Math.max(5_000, leftMs));
      // A replica begins anew on what it cannot read; then it knows of no head that it has served.
      const isForgetful = [...dp.disks.values()].some((disk) => disk.damaged() > 0);
      if (isForgetful) this.#heads.forget(id);
      try {
        await dp.start({ wait: false });
        this.#note(`${id} started`);
        this.#troubled.set(id, clock.nowSeconds() + bounds.promise);
        this.#watchHeads();
        return;
      } catch (error) {
        if (!isDiscoveryError(error)) throw error;
        this.#note(`${id} does not start: ${error.code}`);
        const isDamaged = [...dp.disks.values()].some((disk) => disk.damaged() > 0);
        // Whatever a damaged store of a DP is called: it is not served. A replica sets it aside.
        if (isDamaged && dp.identity.zones.length > 0) this.#counts.refusedStarts += 1;
        else if (error.code !== "STORE") throw error;
      }
    }
  }

  /** A holder adds an MSP, or leaves. */
  async #change(wanted?: Csi): Promise<void> {
    const csi = wanted ?? this.#csis[this.#random.below(this.#csis.length)];
    if (csi === undefined || this.#busy.has(csi)) return;
    this.#busy.add(csi);
    try {
      await this.#register(csi);
    } finally {
      this.#busy.delete(csi);
    }
  }

  async #register(csi: Csi): Promise<void> {
    const { people, clock } = this.#federation;
    const { holder, opening } = people.person(csi);
    const previous = this.#memories.get(csi);
    const stands = (zone: ZoneName): readonly string[] =>
      previous?.get(zone)?.items.map(({ mspId }) => mspId) ?? [];
    const zones = this.#zonesOf(csi);
    const leaves = previous !== undefined && this.#random.below(3) === 0;
    const msp = this.#random.pick(msps);
    const versions = new Map<string, Version>();
    for (const zone of zones) {
      const after = leaves ? [] : new Set([...stands(zone), msp]);
      versions.set(zone, this.#slot(csi, zone).sent(mspText(after), clock.nowSeconds()));
    }
    this.#note(`${csi} ${leaves ? "leaves" : `registers with ${msp}`}`);
    const common = { csi, holder, ...(previous === undefined ? {} : { previous }) };
    try {
      const registrant = people.registrant();
      const changed = leaves
        ? await registrant.change({ ...common, keep: () => [] })
        : await registrant.register({
            ...common,
            opening,
            credential: people.credential({ csi }),
            msp: people.msp(msp, [csi]),
          });
      this.#memories.set(csi, changed.memory);
      this.#counts.inDoubt += changed.failed.length;
      for (const { zone, statementSha256 } of changed.registered) {
        this.#counts.accepted += 1;
        this.#note(`${csi} accepted by ${zone}`);
        const version = versions.get(zone);
        if (version === undefined) continue;
        const promised = { csi, zone, statementSha256, version };
        void this.#hold(promised).catch((error: unknown) => this.#report(String(error)));
      }
    } catch (error) {
      if (!isDiscoveryError(error)) throw error;
      this.#counts.inDoubt += zones.length;
      this.#note(`${csi} in doubt: ${error.code}`);
    }
  }

  /** A promise: kept in time by a DP that can, forgotten by none. */
  async #hold(promised: {
    readonly csi: Csi;
    readonly zone: ZoneName;
    readonly statementSha256: Uint8Array;
    readonly version: Version;
  }): Promise<void> {
    const { csi, zone, statementSha256, version } = promised;
    const { clock } = this.#federation;
    const dp = this.#dpOf(zone);
    for (let waitMs = bounds.promise * 1_000; ; waitMs = 5_000) {
      await clock.sleep(waitMs);
      const now = clock.nowSeconds();
      const isDamaged = [...dp.disks.values()].some((disk) => disk.damaged() > 0);
      if (dp.isRunning && !isDamaged) {
        const { kind } = this.#federation.zone(zone).mapping.status(statementSha256);
        if (kind === "unknown") this.#violate(`${zone} has forgotten its promise to ${csi}`);
        if (kind === "published") {
          this.#slot(csi, zone).published(version, now);
          return;
        }
      }
      const excused =
        this.#faultsOn > 0 || !dp.isRunning || now <= (this.#troubled.get(dp.record.id) ?? 0);
      if (!excused) this.#violate(`${zone} has not kept its promise to ${csi} in time`);
    }
  }

  /** Somebody asks about somebody. */
  async #ask(): Promise<void> {
    const asker = this.#askers[this.#random.below(this.#askers.length)];
    const csi = this.#csis[this.#random.below(this.#csis.length)];
    if (asker === undefined || csi === undefined) return;
    await this.#lookUp(asker, csi, { refresh: this.#random.below(2) === 0 });
  }

  /** Whether the answer is the right one, fresh and whole. */
  async #lookUp(
    { name, resolver }: Asker,
    csi: Csi,
    { refresh }: { readonly refresh: boolean },
  ): Promise<boolean> {
    const { clock } = this.#federation;
    const begun = clock.nowSeconds();
    this.#counts.lookups += 1;
    let answer: Answer;
    try {
      answer = await resolver.lookup(csi, { refresh });
    } catch (error) {
      if (!isDiscoveryError(error)) throw error;
      this.#answered(error.code);
      this.#note(`${name} ${csi}: ${error.code}`);
      return false;
    }
    this.#answered(answer.status);
    const found = mspText(answer.mappings.map(({ msp }) => msp));
    const failed = answer.errors.map(({ code, upstream }) => ` ${code} ${upstream}`).join("");
    this.#note(`${name} ${csi}: ${answer.status} ${found}${failed}`);
    this.#judge({ name, csi, answer, found, begun, refresh });
    if (resolver.evidence().length > 0) {
      this.#violate(`${name} holds evidence: ${resolver.evidence()[0]?.text}`);
    }
    const isStale = answer.warnings.some(({ code }) => code === "STALE");
    return !isStale && answer.complete.answered === answer.complete.asked;
  }

  #judge(told: {
    readonly name: string;
    readonly csi: Csi;
    readonly answer: Answer;
    readonly found: string;
    readonly begun: number;
    readonly refresh: boolean;
  }): void {
    const { name, csi, answer, found, begun, refresh } = told;
    const isStale = answer.warnings.some(({ code }) => code === "STALE");
    const fresh = answer.status === "found" ? bounds.mapping : bounds.absence;
    // The step from one second to the next, and what a lookup itself takes, lie between begin and end.
    const ageSeconds = isStale ? bounds.stale : refresh ? 1 : fresh;
    // What was asked before all was well again may come from the cache.
    const lagSeconds = this.#isUnsettled || !refresh ? bounds.lag : 1;
    const ended = this.#federation.clock.nowSeconds();
    const parts = answer.dps.filter(({ outcome }) => outcome === "present" || outcome === "absent");
    const possible = parts.map(({ zone, outcome }) => {
      const all = this.#slot(csi, zone).possible({
        begun,
        ended,
        ageSeconds: ageSeconds + lagSeconds,
      });
      const fits = [...all].filter((msps) => (msps === "") === (outcome === "absent"));
      if (fits.length > 0) return fits;
      return this.#violate(
        `${name}: ${csi} is ${outcome} at ${zone}, where it is ${[...all].join(" or ")}`,
      );
    });
    const unions = possible.reduce<readonly string[]>(
      (before, fits) =>
        before.flatMap((left) =>
          fits.map((right) =>
            mspText(new Set([...left.split(" "), ...right.split(" ")].filter(Boolean))),
          ),
        ),
      [""],
    );
    const isOne = unions.includes(found) || possible.some((fits) => fits.includes(found));
    if (answer.status === "found" && !isOne) {
      this.#violate(`${name}: ${csi} found ${found}, which is none of ${unions.join(" or ")}`);
    }
    if (answer.status === "none" && parts.length < this.#zonesOf(csi).length) {
      this.#violate(`${name}: ${csi} is none although not all zones proved it`);
    }
  }

  /** Until everybody answers everything, fresh and whole; without a hand. */
  async #recover(): Promise<void> {
    const { clock } = this.#federation;
    const from = clock.nowSeconds();
    let left = this.#askers.flatMap((asker) => this.#csis.map((csi) => ({ asker, csi })));
    for (;;) {
      const outcomes = await Promise.all(
        left.map(({ asker, csi }) => this.#lookUp(asker, csi, { refresh: true })),
      );
      left = left.filter((_, place) => outcomes[place] !== true);
      const tookSeconds = clock.nowSeconds() - from;
      const behind = this.#behind();
      if (left.length === 0 && behind.length === 0) {
        this.#recoveries.push(tookSeconds);
        this.#isUnsettled = false;
        this.#note(`recovered after ${tookSeconds} s`);
        this.#check();
        return;
      }
      if (tookSeconds > recoverySecondsMax) {
        const who = left.map(({ asker, csi }) => `${asker.name} ${csi}`);
        this.#violate(`not recovered after ${tookSeconds} s: ${[...who, ...behind].join(", ")}`);
      }
      await clock.sleep(Math.max(1_000, tookSeconds * 100));
    }
  }

  /** Replicas that do not serve what their primary does; one epoch may be on its way. */
  #behind(): readonly string[] {
    return this.#federation.replicas.flatMap((host) => {
      if (!host.isRunning) return [`${host.record.id} is down`];
      return host.replicas.flatMap((replica) => {
        const { state, head } = replica.status();
        const primary = this.#dpOf(replica.zone);
        if (!primary.isRunning) return [`${primary.record.id} is down`];
        const { serial } = this.#federation.zone(replica.zone).mapping.head();
        if (state === "serving" && head !== undefined && head.serial >= serial - 1) return [];
        return [`${host.record.id} ${state} at ${head?.serial ?? 0} of ${serial}`];
      });
    });
  }

  /** With nothing wrong, what is registered is found in time, and what is asked twice is answered alike. */
  async #calm(): Promise<void> {
    const { clock } = this.#federation;
    await this.#change();
    await this.#ask();
    await clock.sleep(bounds.promise * 2_000);
    for (let n = 0; n < 3; n += 1) await this.#ask();
  }

  #check(): void {
    this.#watchHeads();
    if (this.#violation !== undefined) throw this.#violation;
  }

  #watchHeads(): void {
    for (const host of this.#federation.hosts) {
      if (!host.isRunning) continue;
      const heads = [
        ...host.zones.map(({ mapping }) => mapping.head()),
        ...host.replicas.flatMap((replica) => replica.status().head ?? []),
      ];
      for (const head of heads) this.#heads.see(host.record.id, head);
    }
  }

  #zonesOf(csi: Csi): readonly ZoneName[] {
    return this.#federation.directory.delegation(csi).authorities.map(({ zone }) => zone);
  }

  #dpOf(zone: ZoneName): FederationDp {
    return this.#federation.dp(zone.slice(zone.indexOf("@") + 1));
  }

  #slot(csi: Csi, zone: ZoneName): SlotReference {
    const key = `${csi} ${zone}`;
    const slot = this.#slots.get(key) ?? new SlotReference();
    this.#slots.set(key, slot);
    return slot;
  }

  #answered(status: string): void {
    this.#answers[status] = (this.#answers[status] ?? 0) + 1;
  }

  #note(text: string): void {
    const line = `${(this.#federation.clock.monotonicMs() / 1_000).toFixed(3)} ${text}`;
    this.#trace.update(line);
    this.#tail.push(line);
    if (this.#tail.length > traceLinesMax) this.#tail.shift();
  }

  #violate(text: string): never {
    throw this.#report(text);
  }

  /** For where nobody waits for a thrower: the next check ends the run. */
  #report(text: string): Violation {
    const at = this.#federation.clock.monotonicMs() / 1_000;
    this.#violation ??= new Violation(`at ${at} s: ${text}`);
    return this.#violation;
  }
}

function cpuSecondsSince(from: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(from);
  return (user + system) / 1e6;
}

/** What a failure shows of what came before. */
const traceLinesMax = 60;
