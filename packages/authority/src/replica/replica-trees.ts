// The trees that a replica holds, one for each VOPRF key, and which of them the zone calls current.

import { toHex } from "@whither/crypto/node";
import { DiscoveryError, limits, type Head, type ZoneName } from "@whither/protocol";
import type { Clock } from "@whither/runtime";
import type { ReplicaTree } from "./replica-tree.js";

export const noKid = new Uint8Array(0);

export class ReplicaTrees {
  readonly #zone: ZoneName;
  readonly #clock: Clock;
  readonly #byKid: Map<string, ReplicaTree>;
  #current: ReplicaTree | undefined;

  constructor(
    trees: readonly ReplicaTree[],
    of: { readonly zone: ZoneName; readonly clock: Clock },
  ) {
    this.#zone = of.zone;
    this.#clock = of.clock;
    this.#byKid = new Map(trees.map((tree) => [toHex(tree.published.head.kid), tree]));
    this.chooseCurrent();
  }

  /** Whether it is served or not; undefined before the first transfer. */
  get current(): ReplicaTree | undefined {
    return this.#current;
  }

  all(): readonly ReplicaTree[] {
    return [...this.#byKid.values()];
  }

  /** The tree of a kid, or the current one for an empty kid. */
  find(kid: Uint8Array): ReplicaTree | undefined {
    return kid.length === 0 ? this.#current : this.#byKid.get(toHex(kid));
  }

  /** The same, if readers may see it. Throws UNREACHABLE before the first transfer, UNKNOWN_KID, STALE. */
  served(kid: Uint8Array): ReplicaTree {
    const upstream = this.#zone;
    if (this.#current === undefined || this.#current.isLost) {
      throw new DiscoveryError("UNREACHABLE", "the replica has not been filled yet", { upstream });
    }
    const tree = this.find(kid);
    if (tree === undefined || tree.isLost) {
      throw new DiscoveryError("UNKNOWN_KID", "no tree of that kid");
    }
    if (this.isExpired(tree.published.head)) {
      throw new DiscoveryError("STALE", "the replica has expired", { upstream });
    }
    return tree;
  }

  /** Past that, every reader refuses the head. */
  isExpired({ notAfter }: Head): boolean {
    return this.#clock.nowSeconds() > notAfter + limits.clockSkewSeconds;
  }

  add(tree: ReplicaTree): void {
    this.#byKid.set(toHex(tree.published.head.kid), tree);
  }

  /** The one of the first key in the newest manifest. */
  chooseCurrent(): void {
    const newest = this.all().toSorted((a, b) => b.manifest.version - a.manifest.version)[0];
    const first = newest?.manifest.voprfKeys[0]?.kid;
    this.#current = first === undefined ? undefined : (this.#byKid.get(toHex(first)) ?? newest);
  }

  /** Kids of the manifest that the zone is under. */
  listed(): readonly Uint8Array[] {
    return (this.#current?.manifest.voprfKeys ?? []).map(({ kid }) => kid);
  }

  /**
   * Gives up those that the manifest lists no more, and those that have ended: the zone's own are gone by then, and a
   * server that only hides a tree loses its reader nothing before. Gives them, retired.
   */
  async dropUnlisted(): Promise<readonly ReplicaTree[]> {
    const listed = new Set(this.listed().map((kid) => toHex(kid)));
    const dropped = [...this.#byKid].filter(
      ([kid, tree]) =>
        !listed.has(kid) || (tree !== this.#current && this.isExpired(tree.published.head)),
    );
    for (const [kid, tree] of dropped) {
      this.#byKid.delete(kid);
      await tree.retire();
    }
    return dropped.map(([, tree]) => tree);
  }

  /** Their store is about to go. */
  async lose(): Promise<void> {
    for (const tree of this.all()) await tree.lose();
  }

  async retire(): Promise<void> {
    for (const tree of this.all()) await tree.retire();
  }
}
