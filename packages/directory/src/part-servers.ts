// The servers of one part of the directory: those of the authority that the delegating node names, the ones
// that failed lately last. One that failed is let alone for 5 s, doubling to 300 s, while another answers.

import { DiscoveryError, limits, type Authority } from "@whither/protocol";
import type { Clock } from "@whither/runtime";
import { DirectoryServer } from "./directory-server.js";
import type { OpenChannel } from "./follower.js";
import type { WalkServers } from "./walk.js";

export interface PartServersOptions {
  readonly openChannel: OpenChannel;
  /** PEM bundle of the only CAs trusted. */
  readonly caPem: string;
  readonly clock: Clock;
}

interface Known {
  readonly server: DirectoryServer;
  failures: number;
  /** Monotonic milliseconds. */
  againMs: number;
}

export class PartServers implements WalkServers, Disposable {
  readonly #known: readonly Known[];
  readonly #clock: Clock;

  /** Throws UNREACHABLE when the authority has no public port. */
  constructor(authority: Authority, { openChannel, caPem, clock }: PartServersOptions) {
    this.#clock = clock;
    const { zone } = authority;
    this.#known = authority.endpoints
      .filter(({ publicPort }) => publicPort !== 0)
      .map(({ host, publicPort: port, spkiSha256: pins }) => {
        const from = { host, port };
        const part = { zone, pins };
        const server = new DirectoryServer({ from, caPem, openChannel, clock, part });
        return { server, failures: 0, againMs: 0 };
      });
    if (this.#known.length > 0) return;
    throw new DiscoveryError("UNREACHABLE", "the directory has no public port", { upstream: zone });
  }

  /** While all are down, the one whose turn comes first: a dead part costs one RPC a question, not four. */
  order(): readonly DirectoryServer[] {
    const nowMs = this.#clock.monotonicMs();
    const up = this.#known.filter(({ againMs }) => againMs <= nowMs);
    const down = this.#known.filter(({ againMs }) => againMs > nowMs);
    down.sort((a, b) => a.againMs - b.againMs);
    const most = up.length === 0 ? 1 : limits.serversPerQuestionMax;
    return [...up, ...down].slice(0, most).map(({ server }) => server);
  }

  ready(): Promise<void> {
    return Promise.resolve(); // the delegating node has named them
  }

  learn(server: DirectoryServer, failure?: DiscoveryError): void {
    const known = this.#known.find((one) => one.server === server);
    if (known === undefined) return;
    const isGood = failure === undefined;
    known.failures = isGood ? 0 : known.failures + 1;
    const { failureTtlSecondsMin, failureTtlSecondsMax } = limits;
    const seconds = Math.min(
      failureTtlSecondsMin * 2 ** (known.failures - 1),
      failureTtlSecondsMax,
    );
    known.againMs = isGood ? 0 : this.#clock.monotonicMs() + seconds * 1000;
  }

  [Symbol.dispose](): void {
    for (const { server } of this.#known) server[Symbol.dispose]();
  }
}
