// The failures of a burst: which there are, how one begins and how it ends. Each is drawn from the seed.

import type { LinkFaults } from "@whither/rpc";
import type { Damage } from "@whither/store";
import type { Federation, FederationDp, NodeClock, SeededRandom } from "@whither/testkit";

export const faultKinds = [
  "partition",
  "delay and reorder",
  "loss",
  "duplicate",
  "crash",
  "resolver restart",
  "root crash",
  "disk full",
  "slow disk",
  "clock jump of a server",
  "clock jump of a resolver",
  "corrupt block",
] as const;
export type FaultKind = (typeof faultKinds)[number];

export interface Fault {
  readonly kind: FaultKind;
  /** For the trace. */
  readonly text: string;
  begin(): void;
  end(): void;
  /** Until the wall clocks are behind heads that were signed in the future: nothing else can heal that. */
  readonly healSeconds: number;
}

/** What faults act on. */
export interface Ground {
  readonly federation: Federation;
  readonly random: SeededRandom;
  readonly links: Links;
  readonly resolverClocks: readonly NodeClock[];
  /** One that remembers nothing takes its place. */
  restartResolver(place: number): void;
  /** Ends the process; its supervisor starts it again, not before `downMs`. */
  crash(host: FederationDp, downMs: number): void;
}

/** All links of a federation, with the faults that lie on each at the same time. */
export class Links {
  readonly #federation: Federation;
  readonly #clients: readonly string[];
  readonly #active = new Set<{ readonly node: string; readonly faults: LinkFaults }>();

  constructor(federation: Federation, clients: readonly string[]) {
    this.#federation = federation;
    this.#clients = clients;
  }

  /** Puts faults on every link of a node, or of all; gives the way to take them off. */
  add(node: string, faults: LinkFaults): () => void {
    const entry = { node, faults };
    this.#active.add(entry);
    this.#apply();
    return () => {
      this.#active.delete(entry);
      this.#apply();
    };
  }

  #apply(): void {
    const { dps, replicas, network, directoryAddress } = this.#federation;
    const servers = [...dps, ...replicas].flatMap(({ identity }) => [
      { node: identity.record.id, to: identity.clientAddress },
      { node: identity.record.id, to: identity.publicAddress },
    ]);
    for (const from of this.#clients) {
      for (const { node, to } of [...servers, { node: "root", to: directoryAddress }]) {
        const on = [...this.#active].filter((one) => [from, node, "*"].includes(one.node));
        const faults = Object.assign({}, ...on.map((one) => one.faults)) as LinkFaults; // of LinkFaults only
        network.setFaults({ from, to }, on.length === 0 ? undefined : faults);
      }
    }
  }
}

const minuteMs = 60_000;

/** One fault of a random kind. */
export function drawFault(ground: Ground): Fault {
  const kind = ground.random.pick(faultKinds);
  return { kind, healSeconds: 0, ...makers[kind](ground) };
}

type Made = Omit<Fault, "kind" | "healSeconds"> & { readonly healSeconds?: number };

function onLinks({ links }: Ground, node: string, faults: LinkFaults): Made {
  let heal = (): void => undefined;
  return {
    text: `${node} ${JSON.stringify(faults)}`,
    begin: () => {
      heal = links.add(node, faults);
    },
    end: () => heal(),
  };
}

function anyNode(ground: Ground): string {
  return ground.random.pick(["root", "resolver-1", "resolver-2", "app", anyHost(ground).record.id]);
}

/** The process of a DP or, as often, of a replica. */
function anyHost({ federation: { dps, replicas }, random }: Ground): FederationDp {
  const hosts = random.below(2) === 0 ? dps : replicas;
  const host = hosts[random.below(hosts.length)];
  if (host === undefined) throw new TypeError("a federation without DPs or replicas");
  return host;
}

function onDisks(ground: Ground, faults: { readonly full?: boolean; readonly syncMs?: number }) {
  const dp = anyHost(ground);
  const set = (now: typeof faults | undefined): void => {
    for (const disk of dp.disks.values()) disk.setFaults(now);
  };
  return {
    text: `${dp.record.id} ${JSON.stringify(faults)}`,
    begin: () => set(faults),
    end: () => set(undefined),
  };
}

/** Within the tolerance as often as far beyond it. */
function jumpMs(random: SeededRandom): number {
  const ms = 1_000 * (1 + random.below(random.pick([60, 290, 1_200])));
  return random.below(2) === 0 ? ms : -ms;
}

const makers: Readonly<Record<FaultKind, (ground: Ground) => Made>> = {
  partition: (ground) =>
    onLinks(ground, anyNode(ground), { partition: ground.random.pick(["silent", "refused"]) }),
  "delay and reorder": (ground) =>
    onLinks(ground, ground.random.pick(["*", anyNode(ground)]), {
      delayMs: { min: 0, max: 10 + ground.random.below(3_000) },
    }),
  loss: (ground) =>
    onLinks(ground, anyNode(ground), { dropRate: 0.05 + ground.random.below(50) / 100 }),
  duplicate: (ground) => onLinks(ground, "*", { duplicateRate: 0.5 }),
  crash: (ground) => {
    const dp = anyHost(ground);
    const downMs = ground.random.pick([0, 5_000, 10 * minuteMs]);
    return {
      text: `${dp.record.id} down ${downMs} ms`,
      begin: () => ground.crash(dp, downMs),
      end: () => undefined,
    };
  },
  "resolver restart": (ground) => {
    const place = ground.random.below(ground.resolverClocks.length);
    return {
      text: `resolver-${place + 1}`,
      begin: () => ground.restartResolver(place),
      end: () => undefined,
    };
  },
  "root crash": ({ federation }) => ({
    text: "root",
    begin: () => void federation.stopDirectory(),
    end: () => federation.startDirectory(),
  }),
  "disk full": (ground) => onDisks(ground, { full: true }),
  "slow disk": (ground) => onDisks(ground, { syncMs: 100 + ground.random.below(20_000) }),
  "clock jump of a server": (ground) => {
    const dp = anyHost(ground);
    const ms = jumpMs(ground.random);
    return {
      text: `${dp.record.id} ${ms} ms`,
      healSeconds: Math.max(0, ms / 1_000),
      begin: () => dp.shiftClock(ms),
      end: () => dp.shiftClock(0),
    };
  },
  "clock jump of a resolver": (ground) => {
    const place = ground.random.below(ground.resolverClocks.length);
    const clock = ground.resolverClocks[place];
    const ms = jumpMs(ground.random);
    return {
      text: `resolver-${place + 1} ${ms} ms`,
      begin: () => clock?.setOffset(ms),
      end: () => clock?.setOffset(0),
    };
  },
  "corrupt block": (ground) => {
    const { random } = ground;
    const dp = anyHost(ground);
    const damageOne = (): void => {
      const [disk] = dp.disks.values();
      const all = disk?.rows() ?? [];
      // The table first: journals are long, and most rows of a disk are theirs.
      const tables = [...new Set(all.map(([key]) => key[0]))];
      const table = tables[random.below(Math.max(1, tables.length))];
      const rows = all.filter(([key]) => key[0] === table);
      const row = rows[random.below(Math.max(1, rows.length))];
      if (disk === undefined || row === undefined) return;
      const [key, value] = row;
      const flipped = Uint8Array.from(value);
      const at = random.below(Math.max(1, flipped.length));
      flipped[at] = (flipped[at] ?? 0) ^ (1 << random.below(8));
      const damages: readonly [Damage, ...Damage[]] = [
        { kind: "changed", value: flipped },
        { kind: "lost" },
        { kind: "unreadable" },
      ];
      disk.damage(key, random.pick(damages));
    };
    return {
      text: dp.record.id,
      begin: () => {
        for (let n = 0; n < 3; n += 1) damageOne();
        // Half of the times it is found by a start, else by whoever reads.
        if (random.below(2) === 0) ground.crash(dp, 0);
      },
      // A hand replaces the disk of a DP: what waits there lies nowhere else. A replica mends itself.
      end: () => {
        if (dp.identity.zones.length === 0) return;
        for (const disk of dp.disks.values()) disk.mend();
      },
    };
  },
};
