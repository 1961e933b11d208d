// Connections of a registrant to the DPs that the directory names: Registrar with its client certificate,
// the manifest without one. Held open between registrations; endpoints are tried in the directory's order.

import { toHex } from "@whither/crypto/node";
import type { OpenChannel } from "@whither/directory";
import {
  DiscoveryError,
  isDiscoveryError,
  type Authority,
  type Endpoint,
  type ErrorCode,
  type SignedObject,
} from "@whither/protocol";
import {
  checkCertificatePeriod,
  checkIdentity,
  createClient,
  type Channel,
  type Client,
  type TlsIdentity,
} from "@whither/rpc";
import type { Clock } from "@whither/runtime";
import { Registrar, Zone, signedObjectFromWire } from "@whither/wire";

export interface DpConnectionsOptions {
  readonly openChannel: OpenChannel;
  /** PEM bundle of the only CAs trusted, from the anchors. */
  readonly caPem: string;
  /** Client certificate: the registrar learns who brings a registration, never who looks up. */
  readonly identity: TlsIdentity;
  readonly clock: Clock;
}

/** A connection of the registrar, and how many calls are under way on it. */
interface IdentifiedChannel {
  readonly channel: Channel;
  calls: number;
  /** Under an identity before: closed when the last call has ended. */
  isRetired: boolean;
}

interface Bounds {
  readonly signal?: AbortSignal | undefined;
}

/** Channels held of each kind; the oldest is closed. */
const channelsMax = 256;

export class DpConnections implements Disposable {
  readonly #options: DpConnectionsOptions;
  #identity: TlsIdentity;
  /** Without a certificate. */
  readonly #channels = new Map<string, Channel>();
  readonly #identified = new Map<string, IdentifiedChannel>();
  readonly #retired = new Set<IdentifiedChannel>();

  constructor(options: DpConnectionsOptions) {
    this.#options = options;
    this.#identity = options.identity;
  }

  /** Connections opened from now on show this one; calls under way end on those before. Throws CONFIG. */
  replaceIdentity(identity: TlsIdentity): void {
    checkIdentity(identity);
    checkCertificatePeriod(identity.certPem, this.#options.clock.nowSeconds());
    this.#identity = identity;
    for (const held of this.#identified.values()) {
      held.isRetired = true;
      this.#retired.add(held);
      this.#closeIfIdle(held);
    }
    this.#identified.clear();
  }

  /**
   * Calls the zone's Registrar: the next endpoint after one that cannot be had. What is asked may be asked again: one
   * of them is the primary, which knows a statement again, and the others take none. Throws the first failure of one
   * that might have taken it, else the last.
   */
  registrar<T>(
    authority: Authority,
    call: (client: Client<typeof Registrar>) => Promise<T>,
  ): Promise<T> {
    return eachEndpoint(
      authority,
      ({ port }) => port > 0,
      async (endpoint) => {
        const held = this.#identifiedChannel(endpoint);
        held.calls += 1;
        try {
          return await call(createClient(Registrar, held.channel));
        } finally {
          held.calls -= 1;
          this.#closeIfIdle(held);
        }
      },
    );
  }

  /** The zone's manifest of that hash as a server has it, not verified. */
  async manifest(
    authority: Authority,
    sha256: Uint8Array,
    { signal }: Bounds,
  ): Promise<SignedObject> {
    const request = { zone: authority.zone, manifestSha256: sha256 };
    const response = await eachEndpoint(
      authority,
      ({ publicPort }) => publicPort > 0,
      (endpoint) => {
        const channel = this.#anonymousChannel(endpoint);
        return createClient(Zone, channel).getManifest(request, bounded(signal));
      },
    );
    return signedObjectFromWire(response.manifest);
  }

  [Symbol.dispose](): void {
    for (const { channel } of [...this.#identified.values(), ...this.#retired]) channel.close();
    for (const channel of this.#channels.values()) channel.close();
    this.#identified.clear();
    this.#retired.clear();
    this.#channels.clear();
  }

  #closeIfIdle(held: IdentifiedChannel): void {
    if (!held.isRetired || held.calls > 0) return;
    held.channel.close();
    this.#retired.delete(held);
  }

  #identifiedChannel(endpoint: Endpoint): IdentifiedChannel {
    const { host, port, spkiSha256: pins } = endpoint;
    const key = channelKey(endpoint, port);
    const held = this.#identified.get(key);
    if (held !== undefined) return held;
    const { openChannel, caPem } = this.#options;
    const channel = openChannel({ host, port, pins, caPem, identity: this.#identity });
    const opened = { channel, calls: 0, isRetired: false };
    forgetOldest(this.#identified, channelsMax)?.channel.close();
    this.#identified.set(key, opened);
    return opened;
  }

  #anonymousChannel(endpoint: Endpoint): Channel {
    const { host, publicPort: port, spkiSha256: pins } = endpoint;
    const key = channelKey(endpoint, port);
    const held = this.#channels.get(key);
    if (held !== undefined) return held;
    const { openChannel, caPem } = this.#options;
    const channel = openChannel({ host, port, pins, caPem });
    forgetOldest(this.#channels, channelsMax)?.close();
    this.#channels.set(key, channel);
    return channel;
  }
}

/** With the pins: a channel keeps those it was opened with, and the directory may name others since. */
function channelKey({ host, spkiSha256 }: Endpoint, port: number): string {
  return [host, port, ...spkiSha256.map(toHex)].join(" ");
}

/** Longest one call may take at the server, in milliseconds; the caller's signal is usually earlier. */
const callTimeoutMs = 10_000;

export function bounded(signal: AbortSignal | undefined) {
  return signal === undefined ? { timeoutMs: callTimeoutMs } : { timeoutMs: callTimeoutMs, signal };
}

/** After these another endpoint may do: it cannot be had, says nothing, sheds load, or is a secondary. */
const goOnAfter: ReadonlySet<ErrorCode> = new Set([
  "NETWORK",
  "DEADLINE",
  "OVERLOADED",
  "UNREACHABLE",
  "NOT_AUTHORITATIVE",
]);

async function eachEndpoint<T>(
  authority: Authority,
  fits: (endpoint: Endpoint) => boolean,
  call: (endpoint: Endpoint) => Promise<T>,
): Promise<T> {
  const failures: DiscoveryError[] = [];
  for (const endpoint of authority.endpoints.filter(fits)) {
    try {
      return await call(endpoint);
    } catch (error) {
      if (!isDiscoveryError(error) || !goOnAfter.has(error.code)) throw error;
      failures.push(error);
    }
  }
  // That a secondary takes no registration says nothing of the primary.
  const telling = failures.find(({ retryable }) => retryable) ?? failures.at(-1);
  if (telling !== undefined) throw telling;
  throw new DiscoveryError("UNREACHABLE", "the zone has no such endpoint", {
    upstream: authority.zone,
  });
}

function forgetOldest<T>(held: Map<string, T>, max: number): T | undefined {
  const oldest = held.size < max ? undefined : held.entries().next().value;
  if (oldest === undefined) return undefined;
  held.delete(oldest[0]);
  return oldest[1];
}
