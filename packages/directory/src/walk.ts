// Walking one zone of the signed directory: Refer one label deeper, only while there is something deeper and
// never below what may be disclosed, each answer verified before the next question (RFC 9156, Req 14). From
// zone to zone leads parts.ts.

import {
  disclosureLimit,
  DiscoveryError,
  isDiscoveryError,
  isWithin,
  prefixDepth,
  prefixesOfCsi,
  type Csi,
  type Node,
  type Prefix,
  type ZoneName,
} from "@whither/protocol";
import type { Clock } from "@whither/runtime";
import type { ReferAnswer } from "@whither/wire";
import {
  childLabel,
  deniesByItself,
  verifyReferral,
  type NodeTrust,
  type SignatureVerifier,
  type VerifiedReferral,
} from "@whither/zone";
import { namingUpstream, type DirectoryServer } from "./directory-server.js";
import type { DelegationOptions, Hop } from "./follower.js";
import { NodeCache } from "./node-cache.js";
import { SingleFlight } from "./single-flight.js";

/** Whom a walk believes. */
export interface WalkedZone<T extends NodeTrust = NodeTrust> {
  readonly zone: ZoneName;
  /** Where its nodes begin. */
  readonly apex: Prefix;
  /** Verifies what vouches for an answer, never older than what was seen. Throws as verifyTrust. */
  verify(
    answer: ReferAnswer,
    check: { readonly nowSeconds: number; readonly verifier: SignatureVerifier },
  ): T;
  /** Keeps in mind what an answer that verified whole has shown. Throws ROLLBACK, FORKED. */
  accept(trust: T): void;
}

/** Whom a walk asks. */
export interface WalkServers {
  /** Before each question; by each query for itself: finding a server is a step that it is told of. */
  ready(options: Pick<DelegationOptions, "onHop" | "signal">): Promise<void>;
  /** In the order in which they are tried; never empty. */
  order(): readonly DirectoryServer[];
  /** How the last attempt at one of them went. */
  learn(server: DirectoryServer, failure?: DiscoveryError): void;
}

/** A verified referral and what finding it cost. */
interface Referred {
  readonly referral: VerifiedReferral;
  /** `host:port` of who answered. */
  readonly from: string;
  readonly verifications: number;
  readonly bytes: number;
  readonly rttMs: number;
}

export interface WalkOptions<T extends NodeTrust> {
  readonly zone: WalkedZone<T>;
  readonly servers: WalkServers;
  readonly clock: Clock;
  readonly verifier: SignatureVerifier;
  /** Nodes kept. */
  readonly nodesMax: number;
}

export class DirectoryWalk<T extends NodeTrust> {
  readonly #options: WalkOptions<T>;
  readonly #cache: NodeCache;
  readonly #flights = new SingleFlight<Referred>();

  constructor(options: WalkOptions<T>) {
    this.#options = options;
    this.#cache = new NodeCache(options.nodesMax);
  }

  /** Existing nodes towards the identifier: of the root from its scheme down, of a part from its apex. */
  async path(csi: Csi, options: DelegationOptions): Promise<readonly Node[]> {
    const path = (await this.#descend(csi, options)) ?? (await this.#descend(csi, options));
    if (path !== undefined) return path;
    throw new DiscoveryError("BOGUS", "referral: points upward", { upstream: this.#name() });
  }

  /** Who is asked first. */
  #name(): string {
    const { zone, servers } = this.#options;
    return servers.order()[0]?.name ?? zone.zone;
  }

  /** Forgets every node: what vouched for them does no more. */
  clear(): void {
    this.#cache.clear();
  }

  /** Undefined if the tree changed meanwhile. */
  async #descend(csi: Csi, options: DelegationOptions): Promise<readonly Node[] | undefined> {
    // The root says nothing that its schemes do not; an apex speaks for itself.
    const levels = prefixesOfCsi(csi).slice(Math.max(1, prefixDepth(this.#options.zone.apex)));
    const deepest = prefixDepth(disclosureLimit(csi));
    const path: Node[] = [];
    for (const prefix of levels) {
      const parent = path.at(-1);
      const held = this.#held(prefix, parent);
      if (held.kind === "absent") break;
      if (held.kind === "node") {
        path.push(held.node);
        options.onHop?.(hopOf(held.node, { from: "cache", told: "nothing", prefix, rttMs: 0 }));
        continue;
      }
      if (prefixDepth(prefix) > deepest) {
        throw new DiscoveryError(
          "NOT_AVAILABLE",
          "asking deeper would tell too much: needs a relay",
        );
      }
      const { node, exact } = await this.#ask(prefix, options);
      if (parent !== undefined && !isWithin(node.prefix, parent.prefix)) {
        // Nodes held are gone, or the server leads in a circle: once more without them tells.
        for (const held of path) {
          if (!isWithin(node.prefix, held.prefix)) this.#cache.delete(held.prefix);
        }
        return undefined;
      }
      if (!exact) path.pop(); // the answer is the parent again, perhaps newer
      path.push(node);
      if (!exact) break;
    }
    return path;
  }

  #held(prefix: Prefix, parent: Node | undefined): Held {
    const nowSeconds = this.#options.clock.nowSeconds();
    if (parent !== undefined) {
      const label = childLabel(parent.prefix, prefix);
      if (deniesByItself(parent, label)) return { kind: "absent" };
      if (this.#cache.cover(parent.prefix, label, nowSeconds) !== undefined) {
        return { kind: "absent" };
      }
    }
    const node = this.#cache.get(prefix, nowSeconds);
    return node === undefined ? { kind: "unknown" } : { kind: "node", node };
  }

  async #ask(prefix: Prefix, options: DelegationOptions): Promise<VerifiedReferral> {
    const { spend, onHop, signal } = options;
    spend?.("referral", 1);
    spend?.("rpc", 1);
    const own = { began: false };
    const start = (signal: AbortSignal): Promise<Referred> => {
      own.began = true;
      return this.#refer(prefix, { ...options, signal });
    };
    let found: Referred;
    try {
      await this.#options.servers.ready({ signal, onHop });
      found = await this.#flights.run(prefix, start, { signal });
    } catch (error) {
      // Whoever began has told of each attempt.
      if (!own.began) onHop?.(failedHop(prefix, { error, from: this.#name(), rttMs: 0 }));
      throw error;
    }
    spend?.("verification", found.verifications);
    spend?.("bytes", found.bytes);
    const { node } = found.referral;
    onHop?.(hopOf(node, { from: found.from, told: prefix, prefix, rttMs: found.rttMs }));
    return found.referral;
  }

  /** From the first server that answers and is believed; each further one is an RPC of who began. */
  async #refer(
    asked: Prefix,
    options: DelegationOptions & { readonly signal: AbortSignal },
  ): Promise<Referred> {
    const { servers } = this.#options;
    let failure: DiscoveryError | undefined;
    for (const server of servers.order()) {
      if (failure !== undefined && !maySpend(options)) break;
      try {
        const found = await this.#referOf(server, { asked, options });
        servers.learn(server);
        return found;
      } catch (error) {
        if (!(error instanceof DiscoveryError) || options.signal.aborted) throw error;
        servers.learn(server, error);
        failure ??= error;
        // One's own clock is wrong whoever is asked.
        if (error.code === "CLOCK_SKEW") break;
      }
    }
    throw failure ?? new TypeError("there is a server to ask");
  }

  async #referOf(
    server: DirectoryServer,
    of: {
      readonly asked: Prefix;
      readonly options: DelegationOptions & { readonly signal: AbortSignal };
    },
  ): Promise<Referred> {
    const { clock, verifier } = this.#options;
    const { asked, options } = of;
    const startMs = clock.monotonicMs();
    let verifications = 0;
    const counting: SignatureVerifier = {
      verify: (check) => {
        verifications += 1;
        return verifier.verify(check);
      },
    };
    try {
      const { answer, bytes } = await server.refer(asked, { signal: options.signal });
      const rttMs = clock.monotonicMs() - startMs;
      const from = server.name;
      const referral = namingUpstream(from, () => this.#verify(asked, answer, counting));
      return { referral, from, verifications, bytes, rttMs };
    } catch (error) {
      const rttMs = clock.monotonicMs() - startMs;
      options.onHop?.(failedHop(asked, { error, from: server.name, rttMs }));
      throw error;
    }
  }

  #verify(asked: Prefix, response: ReferAnswer, verifier: SignatureVerifier): VerifiedReferral {
    const { zone, clock } = this.#options;
    const nowSeconds = clock.nowSeconds();
    const trust = zone.verify(response, { nowSeconds, verifier });
    const verified = verifyReferral({ asked, response, trust, nowSeconds, verifier });
    zone.accept(trust);
    const place = { epoch: trust.head.epoch, nowSeconds };
    this.#cache.put(verified.node, place);
    if (verified.cover !== undefined) this.#cache.put(verified.cover, place);
    return verified;
  }
}

type Held =
  { readonly kind: "absent" | "unknown" } | { readonly kind: "node"; readonly node: Node };

/** A further RPC of this query, unless its budget is used up: others who wait have one of their own. */
function maySpend({ spend }: DelegationOptions): boolean {
  try {
    spend?.("rpc", 1);
    return true;
  } catch (error) {
    if (isDiscoveryError(error, "BUDGET")) return false;
    throw error;
  }
}

function failedHop(
  asked: Prefix,
  of: {
    readonly error: unknown;
    /** Where no server is to blame. */
    readonly from: string;
    readonly rttMs: number;
  },
): Hop {
  const { error, from, rttMs } = of;
  const failure = isDiscoveryError(error) ? error : undefined;
  return {
    prefix: asked,
    from: failure?.upstream ?? from,
    told: asked,
    learnt: "nothing",
    serial: 0,
    verdict: failure?.code ?? "INTERNAL",
    rttMs,
  };
}

function hopOf(node: Node, hop: Pick<Hop, "from" | "told" | "prefix" | "rttMs">): Hop {
  return { ...hop, learnt: learntOf(node, hop.prefix), serial: node.serial, verdict: "verified" };
}

/** What a node says, for people. */
export function learntOf(node: Node, asked: Prefix): string {
  if (node.prefix !== asked) return `proven: nothing deeper than ${node.prefix}`;
  const below = node.firstChild === "" ? "nothing below" : "more below";
  switch (node.disposition) {
    case "delegated": {
      const zones = node.authorities
        .map(({ zone, withdrawnAt }) => (withdrawnAt === undefined ? zone : `${zone} (withdrawn)`))
        .join(", ");
      const [authority] = node.authorities;
      if (authority?.kind === "directory") return `its directory is that of ${zones}`;
      return `delegated to ${zones}; ${below}`;
    }
    case "unassigned":
      return `nobody serves it; ${below}`;
    case "parent":
      return `as the node above; ${below}`;
  }
}
