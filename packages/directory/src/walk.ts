// Walking the signed directory: Refer one label deeper, only while there is something deeper and never
// below what may be disclosed, each answer verified before the next question (RFC 9156, Req 14).

import {
  disclosureLimit,
  DiscoveryError,
  isWithin,
  prefixDepth,
  prefixesOfCsi,
  type Csi,
  type ErrorCode,
  type Node,
  type Prefix,
} from "@whither/protocol";
import type { Clock } from "@whither/runtime";
import {
  childLabel,
  delegationOf,
  deniesByItself,
  verifyReferral,
  type Anchors,
  type Delegation,
  type DirectoryTrust,
  type SignatureVerifier,
  type VerifiedReferral,
} from "@whither/zone";
import type { DirectoryMemory } from "./directory-memory.js";
import { namingUpstream, type DirectoryServer } from "./directory-server.js";
import type { DelegationOptions, Hop } from "./follower.js";
import { NodeCache } from "./node-cache.js";
import { SingleFlight } from "./single-flight.js";

/** A verified referral and what finding it cost. */
interface Referred {
  readonly referral: VerifiedReferral;
  readonly verifications: number;
  readonly bytes: number;
  readonly rttMs: number;
}

export interface WalkOptions {
  readonly server: DirectoryServer;
  readonly anchors: Anchors;
  readonly memory: DirectoryMemory;
  readonly clock: Clock;
  readonly verifier: SignatureVerifier;
  /** Told of a head that is newer than all before. */
  readonly onNewer: (trust: DirectoryTrust) => void;
}

/** Codes that say that another server may tell the truth. */
const unbelievable: ReadonlySet<string> = new Set<ErrorCode>([
  "BOGUS",
  "KEY_MISSING",
  "DENIAL_MISSING",
  "EXPIRED",
  "ROLLBACK",
  "FORKED",
  "INVALID_DATA",
  "TOO_LARGE",
]);

export class DirectoryWalk {
  readonly #options: WalkOptions;
  readonly #cache = new NodeCache();
  readonly #flights = new SingleFlight<Referred>();

  constructor(options: WalkOptions) {
    this.#options = options;
  }

  async delegation(csi: Csi, options: DelegationOptions): Promise<Delegation> {
    const path = (await this.#descend(csi, options)) ?? (await this.#descend(csi, options));
    if (path === undefined) {
      throw new DiscoveryError("BOGUS", "referral: points upward", {
        upstream: this.#options.server.name,
      });
    }
    return delegationOf(path);
  }

  /** Existing nodes towards the identifier, from its scheme down; undefined if the tree changed meanwhile. */
  async #descend(csi: Csi, options: DelegationOptions): Promise<readonly Node[] | undefined> {
    const [, ...levels] = prefixesOfCsi(csi);
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
    const { server, clock } = this.#options;
    spend?.("referral", 1);
    spend?.("rpc", 1);
    let startMs = clock.monotonicMs();
    try {
      // By each query for itself: finding a server is a step that it is told of.
      await server.ready({ signal, onHop });
      startMs = clock.monotonicMs();
      const found = await this.#flights.run(prefix, (own) => this.#refer(prefix, own), { signal });
      spend?.("verification", found.verifications);
      spend?.("bytes", found.bytes);
      const { node } = found.referral;
      onHop?.(hopOf(node, { from: server.name, told: prefix, prefix, rttMs: found.rttMs }));
      return found.referral;
    } catch (error) {
      const failure = error instanceof DiscoveryError ? error : undefined;
      const verdict = failure?.code ?? "INTERNAL";
      const from = failure?.upstream ?? server.name;
      if (unbelievable.has(verdict)) server.avoid();
      const rttMs = clock.monotonicMs() - startMs;
      onHop?.({
        prefix,
        from,
        told: prefix,
        learnt: "nothing",
        serial: 0,
        verdict,
        rttMs,
      });
      throw error;
    }
  }

  async #refer(asked: Prefix, signal: AbortSignal): Promise<Referred> {
    const { server, anchors, memory, clock, verifier, onNewer } = this.#options;
    const startMs = clock.monotonicMs();
    const { answer, bytes } = await server.refer(asked, { signal });
    const rttMs = clock.monotonicMs() - startMs;
    const nowSeconds = clock.nowSeconds();
    let verifications = 0;
    const counting: SignatureVerifier = {
      verify: (check) => {
        verifications += 1;
        return verifier.verify(check);
      },
    };
    const referral = namingUpstream(server.name, () => {
      const verified = verifyReferral({
        asked,
        response: answer,
        anchors,
        nowSeconds,
        verifier: counting,
        previous: memory.previous,
        known: memory.known,
      });
      if (memory.accept(verified.trust)) onNewer(verified.trust);
      const place = { epoch: verified.trust.head.epoch, nowSeconds };
      this.#cache.put(verified.node, place);
      if (verified.cover !== undefined) this.#cache.put(verified.cover, place);
      return verified;
    });
    return { referral, verifications, bytes, rttMs };
  }
}

type Held =
  { readonly kind: "absent" | "unknown" } | { readonly kind: "node"; readonly node: Node };

function hopOf(node: Node, hop: Pick<Hop, "from" | "told" | "prefix" | "rttMs">): Hop {
  return { ...hop, learnt: learntOf(node, hop.prefix), serial: node.serial, verdict: "verified" };
}

/** What a node says, for people. */
export function learntOf(node: Node, asked: Prefix): string {
  if (node.prefix !== asked) return `proven: nothing deeper than ${node.prefix}`;
  const below = node.firstChild === "" ? "nothing below" : "more below";
  switch (node.disposition) {
    case "delegated":
      return `delegated to ${node.authorities.map(({ zone }) => zone).join(", ")}; ${below}`;
    case "unassigned":
      return `nobody serves it; ${below}`;
    case "parent":
      return `as the node above; ${below}`;
  }
}
