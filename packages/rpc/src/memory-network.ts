// A network inside one process for tests: real router, interceptors, codecs and error trailers, with a
// given clock and randomness, faults per link and taps. Messages cross it as bytes. Not for production.
import { X509Certificate } from "node:crypto";
import { setMaxListeners } from "node:events";
import { DiscoveryError, limits as protocolLimits } from "@whither/protocol";
import { randomBelow, silentLogger } from "@whither/runtime";
import type { Clock, Logger, Random } from "@whither/runtime";
import type { Channel, OutgoingListener } from "./calls.js";
import type { Peer } from "./context.js";
import { inFlightInterceptor } from "./interceptors.js";
import type { ServerInterceptor } from "./interceptors.js";
import { startMemoryCall } from "./memory-call.js";
import type { MemoryCall, MemoryServed } from "./memory-call.js";
import { createFaultTable, isDuplicated } from "./memory-faults.js";
import type { LinkEnds, LinkFaults, TapRecord } from "./memory-faults.js";
import { createRouter } from "./router.js";
import type { ServiceRegistration } from "./service.js";
import { peerOfCertificate } from "./tls-identity.js";
import type { TlsIdentity } from "./tls-identity.js";
import type { Transport } from "./transport.js";

export interface MemoryNetworkOptions {
  readonly clock: Clock;
  readonly random: Random;
}

export interface MemoryServerOptions {
  readonly services: readonly ServiceRegistration[];
  readonly clients: { readonly kind: "required" | "none" };
  readonly interceptors?: readonly ServerInterceptor[];
  /** The server's own key, for clients that pin it; absent: any pin matches. */
  readonly spkiSha256?: Uint8Array;
  readonly limits?: { readonly messageBytesMax?: number; readonly inFlightPerPeerMax?: number };
  readonly logger?: Logger;
}

export interface MemoryServer extends AsyncDisposable {
  /**
   * Ends streams that owe nothing, all other calls with OVERLOADED, and frees the address; resolves when their
   * handlers have ended.
   */
  close(): Promise<void>;
  /**
   * As a process that is killed: the address is free at once, its calls fail with NETWORK as soon as the link
   * lets the client know, and nobody waits for handlers.
   */
  kill(): void;
}

type CertificatePeer = Extract<Peer, { kind: "certificate" }>;

export interface MemoryConnectOptions {
  /** A certificate, or what a server would read from one. Without it the peer is anonymous. */
  readonly identity?: TlsIdentity | CertificatePeer;
  /** Name of the client for faults and taps, and its address in CallContext. Default `client`. */
  readonly from?: string;
  readonly pins?: readonly Uint8Array[];
}

export interface MemoryNetwork {
  /** @throws TypeError if `address` (`host:port`) is taken. */
  serve(address: string, options: MemoryServerOptions): MemoryServer;
  /** As with sockets, an address nobody serves shows only at the first call. */
  connect(address: string, options?: MemoryConnectOptions): Channel & Disposable;
  /** The same as a Transport for the engines. */
  transport(options: Omit<MemoryConnectOptions, "pins">): Transport;
  setFaults(ends: LinkEnds, faults: LinkFaults | undefined): void;
  /** Hears all that arrives anywhere, after tampering; returns the way to stop. */
  tap(listener: (record: TapRecord) => void): () => void;
}

export function createMemoryNetwork({ clock, random }: MemoryNetworkOptions): MemoryNetwork {
  const servers = new Map<string, MemoryServed>();
  const taps = new Set<(record: TapRecord) => void>();
  const calls = new Map<MemoryCall, MemoryServed | undefined>();
  const faults = createFaultTable(({ from, to }) => {
    for (const call of calls.keys()) {
      const { link } = call;
      if ((from ?? link.from) === link.from && (to ?? link.to) === link.to) call.onFaultsChanged();
    }
  });
  const tell = (entry: TapRecord): void => {
    for (const tap of taps) tap(entry);
  };
  const record = (): ((entry: TapRecord) => void) | undefined => (taps.size > 0 ? tell : undefined);
  const connect = (address: string, options: MemoryConnectOptions = {}): Channel & Disposable => {
    const { from = "client", pins } = options;
    if (pins?.length === 0) throw new TypeError("an empty list of pins accepts nobody");
    const peer = peerOf(options.identity);
    const own = new Set<MemoryCall>();
    let closed = false;
    const close = (): void => {
      closed = true;
      for (const call of [...own]) call.cancel();
    };
    return {
      upstream: address,
      start(method, callOptions, listener) {
        const start = (heard: OutgoingListener): MemoryCall => {
          const server = closed ? undefined : servers.get(address);
          const call = startMemoryCall({
            server,
            link: { from, to: address },
            method,
            peer,
            pins,
            options: callOptions,
            listener: heard,
            faults,
            clock,
            random,
            record,
            onOver: () => {
              own.delete(call);
              calls.delete(call);
            },
          });
          own.add(call);
          calls.set(call, server);
          return call;
        };
        const call = start(listener);
        const isUnary = servers.get(address)?.router.methods.get(method)?.kind === "unary";
        if (!isUnary || !isDuplicated(faults.of(from, address), random)) return call;
        return twice(call, { again: () => start(deaf), clock, random });
      },
      close,
      [Symbol.dispose]: close,
    };
  };
  return {
    serve(address, options) {
      if (servers.has(address)) throw new TypeError(`${address} is served already`);
      const served = serveMemory(options);
      servers.set(address, served);
      const close = async (): Promise<void> => {
        if (servers.get(address) === served) servers.delete(address);
        served.drain();
        served.abortAll(new DiscoveryError("OVERLOADED", "the server is shutting down"));
        await Promise.all(served.open.values());
      };
      const kill = (): void => {
        if (servers.get(address) === served) servers.delete(address);
        for (const [call, server] of calls) if (server === served) call.onServerGone();
      };
      return { close, kill, [Symbol.asyncDispose]: close };
    },
    connect,
    transport: (given) => ({
      connect({ host, port, pins }, { as }) {
        if (as === "identified" && given.identity === undefined) {
          throw new TypeError("this transport has no client certificate");
        }
        return connect(`${host}:${port}`, {
          ...(given.from === undefined ? {} : { from: given.from }),
          ...(as === "anonymous" || given.identity === undefined
            ? {}
            : { identity: given.identity }),
          ...(pins === undefined ? {} : { pins }),
        });
      },
    }),
    setFaults: (ends, given) => faults.set(ends, given),
    tap(listener) {
      taps.add(listener);
      return () => void taps.delete(listener);
    },
  };
}

/** Longest time between the two arrivals of a call that comes twice. */
const againMsMax = 5_000;

const deaf: OutgoingListener = {
  onMessage: () => undefined,
  onDrain: () => undefined,
  onClose: () => undefined,
};

/** A unary call whose request is sent once more, later; what comes back to that goes nowhere. */
function twice(
  call: MemoryCall,
  {
    again,
    clock,
    random,
  }: { readonly again: () => MemoryCall } & Pick<MemoryNetworkOptions, "clock" | "random">,
): MemoryCall {
  return {
    ...call,
    send(message) {
      const copy = Uint8Array.from(message);
      clock.schedule(randomBelow(random, againMsMax), () => {
        const second = again();
        second.send(copy);
        second.halfClose();
      });
      return call.send(message);
    },
  };
}

function serveMemory(options: MemoryServerOptions): MemoryServed {
  const { services, clients, limits = {}, logger = silentLogger } = options;
  const messageBytesMax = limits.messageBytesMax ?? protocolLimits.messageBytesMax;
  const perPeerMax = limits.inFlightPerPeerMax ?? protocolLimits.inFlightPerPeerMax;
  const open = new Map<AbortController, Promise<void>>();
  const draining = new AbortController();
  setMaxListeners(0, draining.signal); // one of each open stream
  return {
    router: createRouter({
      services,
      interceptors: [...(options.interceptors ?? []), inFlightInterceptor({ perPeerMax })],
      messageBytesMax,
      logger,
    }),
    wantsCertificates: clients.kind === "required",
    spkiSha256: options.spkiSha256,
    messageBytesMax,
    open,
    draining: draining.signal,
    drain: () => draining.abort(),
    abortAll(reason) {
      for (const controller of open.keys()) controller.abort(reason);
    },
  };
}

function peerOf(identity: TlsIdentity | CertificatePeer | undefined): Peer {
  if (identity === undefined) return { kind: "anonymous" };
  if ("kind" in identity) return identity;
  return peerOfCertificate(new X509Certificate(identity.certPem));
}
