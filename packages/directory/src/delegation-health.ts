// Delegation health: whether the authorities that a directory names can be asked as it says. Probes all of
// them in rounds, a few at a time; remembers since when each is as it is, and tells of changes.

import {
  DiscoveryError,
  isDiscoveryError,
  type Authority,
  type Endpoint,
  type ErrorCode,
  type Prefix,
  type ZoneName,
} from "@whither/protocol";
import { openChannel as openGrpcChannel } from "@whither/rpc";
import {
  formatHostPort,
  type Clock,
  type Logger,
  type Random,
  type Scheduled,
} from "@whither/runtime";
import type { Anchors, Directory } from "@whither/zone";
import { caBundle } from "./ca-bundle.js";
import type { OpenChannel } from "./follower.js";
import { probeEndpoint } from "./probe.js";

/** What is known of one endpoint of one zone. */
export interface AuthorityHealth {
  /** The first prefix that names it, and how many do. */
  readonly prefix: Prefix;
  readonly prefixes: number;
  readonly zone: ZoneName;
  /** `host:port` of its public port. */
  readonly endpoint: string;
  /** `lame`: does not answer as the directory says; `unknown`: not probed yet. */
  readonly state: "unknown" | "healthy" | "lame";
  /** Unix seconds; 0 while unknown. */
  readonly sinceSeconds: number;
  /** Why it is lame, or was before. */
  readonly lastError: ErrorCode | undefined;
  /** Age of the last good head when it was seen, in seconds. */
  readonly headAgeSeconds: number | undefined;
  /** Held back in the directory that names it: since then, Unix seconds. */
  readonly withdrawnAt: number | undefined;
}

export interface DelegationHealth extends AsyncDisposable {
  /** By prefix, zone and endpoint, in the order of the directory. */
  list(): readonly AuthorityHealth[];
  /** Looks at the authorities of this directory from now on; what is known of those it still names stays. */
  watch(directory: Directory): void;
  /** Probes everything now; a round under way is waited for. */
  probe(options?: { readonly signal?: AbortSignal }): Promise<void>;
  /** Begins to probe every interval ±10 %. */
  start(): void;
  close(): Promise<void>;
}

export interface DelegationHealthOptions {
  readonly anchors: Pick<Anchors, "tlsCaPem">;
  readonly intervalSeconds: number;
  /** Endpoints probed at once. */
  readonly concurrency: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly openChannel?: OpenChannel;
  /** Hears what is known after each round in which all of them were probed. */
  readonly onRound?: (found: readonly AuthorityHealth[]) => void;
}

/** Endpoints probed in all; a directory that names more is probed in part. */
const targetsMax = 10_000;

interface Target {
  readonly authority: Authority;
  readonly endpoint: Endpoint;
  health: AuthorityHealth;
}

export function createDelegationHealth(options: DelegationHealthOptions): DelegationHealth {
  return new Prober(options);
}

class Prober implements DelegationHealth {
  readonly #options: DelegationHealthOptions;
  readonly #closing = new AbortController();
  #targets: ReadonlyMap<string, Target> = new Map();
  #timer: Scheduled | undefined;
  #round: Promise<void> | undefined;

  constructor(options: DelegationHealthOptions) {
    this.#options = options;
  }

  list(): readonly AuthorityHealth[] {
    return [...this.#targets.values()].map(({ health }) => health);
  }

  watch(directory: Directory): void {
    this.#targets = targetsOf(directory, this.#targets);
  }

  start(): void {
    this.#schedule(this.#options.random.uint32() / 2 ** 32 / 10);
  }

  async probe({ signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    this.#round ??= this.#probeAll(
      AbortSignal.any([this.#closing.signal, ...(signal === undefined ? [] : [signal])]),
    ).finally(() => (this.#round = undefined));
    await this.#round;
  }

  async close(): Promise<void> {
    this.#closing.abort(new DiscoveryError("CANCELLED", "probing has ended"));
    this.#timer?.cancel();
    await this.#round;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** After this part of an interval. */
  #schedule(part: number): void {
    if (this.#closing.signal.aborted) return;
    const { clock, random, intervalSeconds } = this.#options;
    this.#timer = clock.schedule(Math.round(part * intervalSeconds * 1000), () => {
      void this.probe().finally(() => this.#schedule(0.9 + (0.2 * random.uint32()) / 2 ** 32));
    });
  }

  /** Never rejects: what a probe finds is its result. */
  async #probeAll(signal: AbortSignal): Promise<void> {
    const targets = this.#targets;
    const waiting = [...targets.values()];
    const next = async (): Promise<void> => {
      for (let one = waiting.shift(); one !== undefined && !signal.aborted; one = waiting.shift()) {
        await this.#probeOne(one, signal);
      }
    };
    await Promise.all(Array.from({ length: this.#options.concurrency }, next));
    // What was found of another directory's servers says nothing about those of this one.
    if (!signal.aborted && this.#targets === targets) this.#options.onRound?.(this.list());
  }

  async #probeOne(target: Target, signal: AbortSignal): Promise<void> {
    const { openChannel = openGrpcChannel, anchors, clock } = this.#options;
    const caPem = caBundle(anchors);
    try {
      const { prefix } = target.health;
      const by = { openChannel, caPem, clock, signal };
      const ageSeconds = await probeEndpoint({ ...target, ...by, prefix });
      this.#learn(target, { state: "healthy", headAgeSeconds: ageSeconds });
    } catch (error) {
      if (signal.aborted) return;
      const lastError = isDiscoveryError(error) ? error.code : "INTERNAL";
      this.#learn(target, { state: "lame", lastError });
    }
  }

  #learn(target: Target, found: Partial<AuthorityHealth> & Pick<AuthorityHealth, "state">): void {
    const { clock, logger } = this.#options;
    const before = target.health;
    const isChanged = before.state !== found.state;
    const sinceSeconds = isChanged ? clock.nowSeconds() : before.sinceSeconds;
    target.health = { ...before, ...found, sinceSeconds };
    if (!isChanged) return;
    const { zone, endpoint, prefix } = before;
    if (found.state === "lame") {
      logger.warn("authority lame", { zone, endpoint, prefix, code: found.lastError });
    } else if (before.state === "lame") {
      logger.info("authority healthy again", { zone, endpoint, prefix });
    }
  }
}

function targetsOf(
  directory: Directory,
  before: ReadonlyMap<string, Target>,
): ReadonlyMap<string, Target> {
  const targets = new Map<string, Target>();
  for (const { node } of directory.nodes()) {
    for (const authority of node.authorities) {
      for (const endpoint of authority.endpoints.filter(({ publicPort }) => publicPort !== 0)) {
        const at = formatHostPort({ host: endpoint.host, port: endpoint.publicPort });
        const key = `${authority.zone} ${at}`;
        const known = targets.get(key);
        if (known !== undefined) {
          const { prefixes, withdrawnAt = authority.withdrawnAt } = known.health;
          known.health = { ...known.health, prefixes: prefixes + 1, withdrawnAt };
        } else if (targets.size < targetsMax) {
          const { zone, withdrawnAt } = authority;
          const named = { prefix: node.prefix, prefixes: 1, zone, endpoint: at, withdrawnAt };
          const old = before.get(key)?.health ?? neverProbed;
          targets.set(key, { authority, endpoint, health: { ...old, ...named } });
        }
      }
    }
  }
  return targets;
}

const neverProbed = {
  state: "unknown",
  sinceSeconds: 0,
  lastError: undefined,
  headAgeSeconds: undefined,
} as const;
