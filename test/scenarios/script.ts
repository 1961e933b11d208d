// Scenarios as text: one step a line, run against a federation in memory whose clock moves only when told.
// A word that is not known fails, and so does a DP that is asked without the script saying so.
//
//   dp dp-a.example de            prefix tel:+49 de@dp-a.example      before the first other step, and:
//   replica replica.example dp-a.example +49…                         follows that DP's first zone, where the number lies
//   register +49… wire.example    publish      stop dp-a.example      start dp-a.example
//   partition dp-a.example        heal dp-a.example                   advance 30s      at 2h (since the first step)
//   cut replica.example dp-a.example (the way from one to the other)  truncate dp-a.example (what it transfers; `heal`
//   lose dp-a.example (its disk, while it is stopped)                 ends all three)
//   state replica.example expect serving; current; logged zone forked
//   lookup +49… expect found wire.example; complete 1 of 2; warning STALE; hops 3; asked dp-a.example
//
// `hops` counts the questions that the lookup itself put to DPs and replicas; others may have been asked for the same
// by somebody else, or in the background. `state` is what a replica says of itself: empty, serving or expired; current or
// behind its primary, if that runs; and what it has logged since it was last asked so.

import { isDiscoveryError, parseCsi } from "@whither/protocol";
import type { Resolver } from "@whither/resolver";
import type { LinkFaults, Travel } from "@whither/rpc";
import { createFederation, type Federation } from "@whither/testkit";

interface Step {
  readonly line: number;
  readonly word: string;
  readonly rest: readonly string[];
  readonly text: string;
}

/** Runs a script; throws with the line that did not hold. */
export async function runScript(
  text: string,
  options: { readonly mirror: boolean },
): Promise<void> {
  const steps = parseSteps(text);
  const layout = steps.filter(({ word }) => ["dp", "prefix", "replica"].includes(word));
  await using federation = await createFederation(layoutOf(layout));
  const stage = new Stage(federation, options);
  for (const step of steps.filter((one) => !layout.includes(one))) {
    try {
      await stage.run(step);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new Error(`line ${step.line}: ${step.text}\n  ${why}`, { cause });
    }
  }
}

function parseSteps(text: string): readonly Step[] {
  return text.split("\n").flatMap((raw, at) => {
    const line = raw.replace(/#.*$/, "").trim();
    const [word, ...rest] = line.split(/\s+/);
    return word === undefined || word === "" ? [] : [{ line: at + 1, word, rest, text: line }];
  });
}

function layoutOf(steps: readonly Step[]) {
  const of = (word: string): readonly (readonly string[])[] =>
    steps.filter((step) => step.word === word).map(({ rest }) => rest);
  return {
    seed: 1,
    dps: of("dp").map(([id = "", ...zones]) => ({
      id,
      zones,
      replicas: of("replica")
        .filter(([, dp]) => dp === id)
        .map(([replica = "", , probe = ""]) => ({ id: replica, probe: parseCsi(probe) })),
    })),
    prefixes: of("prefix").map(
      ([prefix, ...zones]) => `"${prefix}": { zones: [${zones.join(", ")}] }`,
    ),
  };
}

class Stage {
  readonly #federation: Federation;
  readonly #mirror: boolean;
  #resolver: Resolver | undefined;
  #asked = new Set<string>();
  readonly #startMs: number;

  constructor(federation: Federation, { mirror }: { readonly mirror: boolean }) {
    this.#federation = federation;
    this.#mirror = mirror;
    this.#startMs = federation.clock.monotonicMs();
    federation.tap(({ to, from, direction }) => {
      if (direction === "request" && from === "resolver") this.#asked.add(hostOf(to));
    });
  }

  async run({ word, rest, text }: Step): Promise<void> {
    const [first = "", ...others] = rest;
    switch (word) {
      case "register":
        await this.#federation.register({ csi: parseCsi(first), msps: others });
        return;
      case "publish":
        await this.#federation.publish();
        return;
      case "stop":
        await (first === "root"
          ? this.#federation.stopDirectory()
          : this.#federation.host(first).stop());
        return;
      case "lose":
        for (const disk of this.#federation.host(first).disks.values()) await disk.clear();
        return;
      case "start":
        if (first === "root") this.#federation.startDirectory();
        else await this.#federation.host(first).start();
        return;
      case "partition":
        this.#link(first, { partition: "silent" });
        return;
      case "cut":
        this.#link(others[0] ?? "", { partition: "refused" }, first);
        return;
      case "truncate":
        this.#link(first, { tamper: truncated });
        return;
      case "heal":
        this.#link(first, undefined);
        for (const { record } of this.#federation.hosts) this.#link(first, undefined, record.id);
        return;
      case "state":
        this.#state(first, text.slice(text.indexOf(" expect ") + 8));
        return;
      case "advance":
        await this.#federation.clock.advance(parseDuration(first));
        return;
      case "at":
        await this.#federation.clock.advance(this.#untilMs(first));
        return;
      case "lookup":
        await this.#lookup(first, text.slice(text.indexOf(" expect ") + 8));
        return;
      default:
        throw new TypeError(`no such step: ${word}`);
    }
  }

  /** Milliseconds from now to a time that is given since the first step. */
  #untilMs(text: string): number {
    const { clock } = this.#federation;
    const ms = this.#startMs + parseDuration(text) - clock.monotonicMs();
    if (ms < 0) throw new TypeError(`it is later than ${text} already`);
    return ms;
  }

  /** Faults on the links to a server: everybody's, or those of one client. */
  #link(server: string, faults: LinkFaults | undefined, from?: string): void {
    const { clientAddress, publicAddress } = this.#federation.host(server).identity;
    for (const to of [clientAddress, publicAddress]) {
      const ends = from === undefined ? { to } : { from, to };
      this.#federation.network.setFaults(ends, faults);
    }
  }

  #state(server: string, expectations: string): void {
    const { dps } = this.#federation;
    const host = this.#federation.host(server);
    const [replica] = host.replicas;
    if (replica === undefined) throw new TypeError(`${server} follows nothing`);
    const { state, head } = replica.status();
    const primary = dps.find(({ record }) => replica.zone.endsWith(`@${record.id}`));
    const newest = primary?.isRunning === true ? primary.zones[0]?.mapping.head() : undefined;
    const place = newest?.serial === head?.serial ? "current" : "behind";
    const logged = host.log.events.splice(0).map(({ event }) => `logged ${event}`);
    const facts = [state, ...(newest === undefined ? [] : [place]), ...new Set(logged)];
    requireAll(expectations, (one) => facts.includes(one), facts);
  }

  async #lookup(number: string, expectations: string): Promise<void> {
    this.#resolver ??= await this.#federation.resolver({ mirror: this.#mirror });
    this.#asked = new Set();
    const told = await this.#federation.during(this.#outcome(this.#resolver, number));
    const asked = [...this.#asked].filter((host) => host !== "root.example").sort();
    const facts = { ...told, asked: `asked ${asked.join(" ") || "nobody"}` };
    const all = Object.values(facts).flat();
    const holds = (one: string): boolean =>
      all.includes(one) || (one === "no warning" && told.warnings.length === 0);
    // A DP that the script does not expect to be asked is a failure, not a detail.
    const isScripted = /(^|;)\s*asked /.test(expectations);
    requireAll(isScripted ? expectations : `${expectations}; asked …`, holds, all);
  }

  async #outcome(resolver: Resolver, number: string) {
    try {
      const answer = await resolver.lookup(parseCsi(number));
      const { status, mappings, complete, warnings, hops } = answer;
      const asked = hops.filter(
        ({ from }) => from.includes(":") && hostOf(from) !== "root.example",
      );
      return {
        status: [status, ...mappings.map(({ msp }) => msp)].join(" "),
        complete: `complete ${complete.answered} of ${complete.asked}`,
        warnings: warnings.map(({ code }) => `warning ${code}`),
        hops: `hops ${asked.length}`,
      };
    } catch (error) {
      if (!isDiscoveryError(error)) throw error;
      return { status: error.code, complete: "", warnings: [], hops: "" };
    }
  }
}

/** Throws unless everything that is expected, part by part, holds. */
function requireAll(
  expectations: string,
  holds: (expected: string) => boolean,
  facts: readonly string[],
): void {
  const wanted = expectations.split(";").map((one) => one.trim());
  const missing = wanted.filter((one) => !holds(one));
  if (missing.length > 0) {
    throw new Error(`expected ${missing.join("; ")}, got ${facts.join("; ")}`);
  }
}

/** Half of every message of a transfer, as from a server that dies while it sends. */
function truncated(message: Uint8Array, { method, direction }: Travel): Uint8Array {
  const isHit = direction === "response" && method.endsWith("Zone/Transfer");
  return isHit ? message.slice(0, message.length / 2) : message;
}

function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(":"));
}

function parseDuration(text: string): number {
  const [, count, unit] = /^(\d+)(s|m|h)$/.exec(text) ?? [];
  const units: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000 };
  const ms = units[unit ?? ""];
  if (ms === undefined) throw new TypeError(`expected a duration such as 30s, got ${text}`);
  return Number(count) * ms;
}
