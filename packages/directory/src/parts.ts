// From one directory to the next: where a node's authority is a directory itself, its part is walked at its
// own servers, under its own keys, below the node's prefix and nowhere else (ADR on parts). Each step down is
// strictly longer than the one before, so the way ends; how much of it a query pays for is its budget's.

import { equalBytes } from "@whither/crypto/node";
import {
  DiscoveryError,
  limits,
  type Authority,
  type Csi,
  type Node,
  type Prefix,
  type ZoneName,
} from "@whither/protocol";
import type { ReferAnswer } from "@whither/wire";
import {
  atRegisteredEndpoints,
  delegationOf,
  verifyPartTrust,
  type Delegation,
  type PartTrust,
  type PlacedNode,
  type Registry,
  type SignatureVerifier,
} from "@whither/zone";
import type { DelegationOptions, SignalOption } from "./follower.js";
import type { PartMarks } from "./part-marks.js";
import { PartServers, type PartServersOptions } from "./part-servers.js";
import { DirectoryWalk, type WalkedZone } from "./walk.js";

export interface PartWalksOptions extends PartServersOptions {
  readonly verifier: SignatureVerifier;
  readonly marks: PartMarks;
  /** Told when a part has shown a newer head than before. */
  readonly onNewer: () => void;
  /** The root's: who is a DP, and where. */
  readonly registry: (options: SignalOption) => Promise<Registry>;
}

export class PartWalks implements Disposable {
  readonly #options: PartWalksOptions;
  /** By zone and apex, the one used last at the end. */
  readonly #parts = new Map<string, Part>();

  constructor(options: PartWalksOptions) {
    this.#options = options;
  }

  /**
   * The delegation that the root's nodes and the parts below them amount to. Throws as `delegation`, and
   * TOO_LARGE for more parts one below the other than a path may have.
   */
  async follow(
    csi: Csi,
    root: readonly PlacedNode[],
    options: DelegationOptions,
  ): Promise<Delegation> {
    let steps = root;
    let delegation = delegationOf(steps);
    for (let parts = 0; ; parts++) {
      const [authority] = delegation.authorities;
      if (authority?.kind !== "directory") return delegation;
      checkStep(authority, { steps, parts });
      const { zone } = authority;
      const part = this.#part(authority, delegation.prefix);
      const nodes = await part.path(csi, options);
      steps = [...steps, ...nodes.map((node) => ({ zone, node }))];
      const registry = await this.#options.registry(options);
      const found = delegationOf(steps);
      delegation = { ...found, authorities: atRegisteredEndpoints(found.authorities, registry) };
    }
  }

  [Symbol.dispose](): void {
    for (const part of this.#parts.values()) part[Symbol.dispose]();
    this.#parts.clear();
  }

  #part(authority: Authority, apex: Prefix): Part {
    const key = `${authority.zone} ${apex}`;
    const held = this.#parts.get(key);
    this.#parts.delete(key);
    const part = held ?? new Part(authority, { ...this.#options, apex });
    this.#parts.set(key, part);
    part.update(authority);
    for (const [oldest, one] of this.#parts) {
      if (this.#parts.size <= limits.partsWalkedMax) break;
      if (one.isWalked) continue; // closing its channels would fail somebody's query
      this.#parts.delete(oldest);
      one[Symbol.dispose]();
    }
    return part;
  }
}

/** No way around in a circle, and none without an end. */
function checkStep(
  { zone, relayOnly }: Authority,
  { steps, parts }: { readonly steps: readonly PlacedNode[]; readonly parts: number },
): void {
  if (steps.some((step) => step.zone === zone)) {
    const text = "delegation: leads back to a directory above";
    throw new DiscoveryError("BOGUS", text, { upstream: zone });
  }
  if (parts >= limits.directoryPartsMax) {
    const text = `delegation: over ${limits.directoryPartsMax} directories below the root`;
    throw new DiscoveryError("TOO_LARGE", text, { upstream: zone });
  }
  if (relayOnly) {
    throw new DiscoveryError("NOT_AVAILABLE", "directory is asked through a relay only");
  }
}

interface PartOptions extends PartWalksOptions {
  readonly apex: Prefix;
}

/** One part under one apex: what its delegating node says of it now, and the walk below. */
class Part implements WalkedZone<PartTrust>, Disposable {
  readonly zone: ZoneName;
  readonly apex: Prefix;
  readonly #options: PartOptions;
  readonly #walk: DirectoryWalk<PartTrust>;
  #authority: Authority;
  #servers: PartServers;
  #known: PartTrust | undefined;
  #walking = 0;

  constructor(authority: Authority, options: PartOptions) {
    this.zone = authority.zone;
    this.apex = options.apex;
    this.#options = options;
    this.#authority = authority;
    this.#servers = new PartServers(authority, options);
    this.#walk = new DirectoryWalk({
      zone: this,
      servers: {
        ready: () => this.#servers.ready(),
        order: () => this.#servers.order(),
        learn: (server, failure) => this.#servers.learn(server, failure),
      },
      clock: options.clock,
      verifier: options.verifier,
      nodesMax: limits.partNodesMax,
    });
  }

  get isWalked(): boolean {
    return this.#walking > 0;
  }

  async path(csi: Csi, options: DelegationOptions): Promise<readonly Node[]> {
    this.#walking += 1;
    try {
      return await this.#walk.path(csi, options);
    } finally {
      this.#walking -= 1;
    }
  }

  /** What the delegating node says now. */
  update(authority: Authority): void {
    const before = this.#authority;
    if (authority === before) return;
    this.#authority = authority;
    if (JSON.stringify(authority.endpoints) !== JSON.stringify(before.endpoints)) {
      this.#servers[Symbol.dispose]();
      this.#servers = new PartServers(authority, this.#options);
    }
    // Nodes of keys that the parent has withdrawn are nobody's word any more.
    const known = this.#known?.manifestSha256;
    if (known === undefined) return;
    if (authority.manifestSha256.some((hash) => equalBytes(hash, known))) return;
    this.#known = undefined;
    this.#walk.clear();
  }

  verify(
    answer: ReferAnswer,
    check: { readonly nowSeconds: number; readonly verifier: SignatureVerifier },
  ): PartTrust {
    if (answer.manifest === undefined) {
      throw new DiscoveryError("KEY_MISSING", "referral: of a part, without its manifest");
    }
    const { manifest, head } = answer;
    const part = { apex: this.apex, authority: this.#authority };
    const previous = this.#options.marks.get(this.zone);
    const trust = verifyPartTrust({ ...check, manifest, head, part, previous, known: this.#known });
    this.#known = trust;
    return trust;
  }

  accept(trust: PartTrust): void {
    if (this.#options.marks.accept(trust)) this.#options.onNewer();
  }

  [Symbol.dispose](): void {
    this.#servers[Symbol.dispose]();
  }
}
