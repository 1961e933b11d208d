// The registry for those who hold no mirror: all records of each kind, verified one by one, complete by
// the head's count (protocol.md section 3).

import { DiscoveryError, type Party } from "@whither/protocol";
import type { Clock } from "@whither/runtime";
import {
  compareParties,
  createRegistry,
  isLate,
  verifyRecord,
  verifyTrust,
  type Anchors,
  type DirectoryTrust,
  type Registry,
  type SignatureVerifier,
} from "@whither/zone";
import type { RecordsAnswer } from "@whither/wire";
import type { DirectoryMemory } from "./directory-memory.js";
import {
  namingUpstream,
  namingUpstreamLater,
  type DirectoryServer,
  type RecordKind,
} from "./directory-server.js";
import type { SignalOption } from "./follower.js";
import { SingleFlight } from "./single-flight.js";
import { runSliced } from "./sliced.js";

const kinds: readonly RecordKind[] = ["dp", "msp", "prover", "relay"];

interface Held {
  readonly registry: Registry;
  readonly trust: DirectoryTrust;
  /** Unix seconds after which it is asked for again. */
  readonly fresh: number;
}

export interface RecordsOptions {
  readonly server: DirectoryServer;
  readonly anchors: Anchors;
  readonly memory: DirectoryMemory;
  readonly clock: Clock;
  readonly verifier: SignatureVerifier;
  readonly onNewer: (trust: DirectoryTrust) => void;
}

export class RegistryRecords {
  readonly #options: RecordsOptions;
  readonly #flights = new SingleFlight<Held>();
  #held: Held | undefined;

  constructor(options: RecordsOptions) {
    this.#options = options;
  }

  /** Asked for anew every `refresh_s`; used to its end while the server cannot be reached. */
  async registry({ signal }: SignalOption): Promise<Registry> {
    const nowSeconds = this.#options.clock.nowSeconds();
    const held = this.#held;
    if (held !== undefined && nowSeconds < held.fresh) return held.registry;
    try {
      this.#held = await this.#flights.run("registry", (own) => this.#fetchTwice(own), { signal });
      return this.#held.registry;
    } catch (error) {
      const isDown = error instanceof DiscoveryError && error.retryable;
      if (!isDown || held === undefined || isLate(held.trust.head, nowSeconds)) throw error;
      return held.registry;
    }
  }

  /** A directory that is replaced between two questions has two heads: the second try has one. */
  async #fetchTwice(signal: AbortSignal): Promise<Held> {
    const held = (await this.#fetch(signal)) ?? (await this.#fetch(signal));
    if (held !== undefined) return held;
    throw new DiscoveryError("BOGUS", "registry: its head changes with every answer", {
      upstream: this.#options.server.name,
    });
  }

  async #fetch(signal: AbortSignal): Promise<Held | undefined> {
    const { server, anchors, memory, clock, verifier, onNewer } = this.#options;
    const parties: Party[] = [];
    let trust: DirectoryTrust | undefined;
    for (const kind of kinds) {
      const { answer } = await server.records(kind, { signal });
      const nowSeconds = clock.nowSeconds();
      const found = namingUpstream(server.name, () => {
        const { previous, known } = memory;
        const verified = verifyTrust({ ...answer, anchors, nowSeconds, verifier, previous, known });
        if (memory.accept(verified)) onNewer(verified);
        return verified;
      });
      if (trust !== undefined && found.head.serial !== trust.head.serial) return undefined;
      trust = found;
      const work = verifyRecords({ answer, kind, trust, nowSeconds, verifier });
      parties.push(...(await namingUpstreamLater(server.name, runSliced(work, { signal }))));
    }
    if (trust === undefined) throw new TypeError("there are kinds of records");
    if (parties.length !== trust.head.recordCount) {
      throw new DiscoveryError("BOGUS", "registry: fewer records than the head counts", {
        upstream: server.name,
      });
    }
    const fresh = clock.nowSeconds() + trust.head.refreshSeconds;
    return { registry: createRegistry(parties, trust.head.registryVersion), trust, fresh };
  }
}

function* verifyRecords(check: {
  readonly answer: RecordsAnswer;
  readonly kind: RecordKind;
  readonly trust: DirectoryTrust;
  readonly nowSeconds: number;
  readonly verifier: SignatureVerifier;
}): Generator<undefined, readonly Party[]> {
  const { answer, kind, trust, nowSeconds, verifier } = check;
  if (answer.records.length > trust.head.recordCount) {
    throw new DiscoveryError("BOGUS", "registry: more records than the head counts");
  }
  const parties: Party[] = [];
  const bits = new Set<number>();
  for (const object of answer.records) {
    const { party } = verifyRecord({ object, trust, nowSeconds, verifier });
    const last = parties.at(-1);
    if (party.kind !== kind || (last !== undefined && compareParties(last, party) >= 0)) {
      throw new DiscoveryError("BOGUS", "registry: records of another kind or out of order");
    }
    if (party.kind === "msp") {
      if (bits.has(party.bit)) throw new DiscoveryError("BOGUS", "registry: a bit used twice");
      bits.add(party.bit);
    }
    parties.push(party);
    yield;
  }
  return parties;
}
