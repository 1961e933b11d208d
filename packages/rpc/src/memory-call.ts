// One call over the simulated network: two pipes, a status at the end, and whatever the link does to them.
import { DiscoveryError } from "@whither/protocol";
import type { Clock, Random, Scheduled } from "@whither/runtime";
import type {
  IncomingCall,
  IncomingListener,
  OutgoingCall,
  OutgoingListener,
  OutgoingOptions,
} from "./calls.js";
import type { CallContext, Peer } from "./context.js";
import { errorOfStatus, statusOf } from "./errors.js";
import { delayOf, isDropped } from "./memory-faults.js";
import type { FaultTable, TapRecord, Travel } from "./memory-faults.js";
import { createPipe } from "./memory-pipe.js";
import type { Pipe } from "./memory-pipe.js";
import type { Router } from "./router.js";
import type { MethodRegistration } from "./service.js";

/** A server of the network. */
export interface MemoryServed {
  readonly router: Router;
  readonly wantsCertificates: boolean;
  readonly spkiSha256: Uint8Array | undefined;
  readonly messageBytesMax: number;
  /** Calls in progress and the end of their handlers. */
  readonly open: Map<AbortController, Promise<void>>;
  /** As in CallContext. */
  readonly draining: AbortSignal;
  drain(): void;
  abortAll(reason: DiscoveryError): void;
}

export interface MemoryCall extends OutgoingCall {
  readonly link: Link;
  /** Looks at the link again: a refused one ends the call, a silent one that heals delivers what it held. */
  onFaultsChanged(): void;
  /** The server's process is gone: it sends nothing more, and the client learns it when the link lets it. */
  onServerGone(): void;
}

/** Name of the client, and `host:port` of the server. */
interface Link {
  readonly from: string;
  readonly to: string;
}

/** Silence after which a connection counts as lost: the keep-alive of grpc-channel.ts and its time-out. */
const silenceMsMax = 80_000;

export interface MemoryCallOptions {
  readonly server: MemoryServed | undefined;
  readonly link: Link;
  readonly method: string;
  readonly peer: Peer;
  readonly pins: readonly Uint8Array[] | undefined;
  readonly options: OutgoingOptions;
  readonly listener: OutgoingListener;
  readonly faults: FaultTable;
  readonly clock: Clock;
  readonly random: Random;
  /** Undefined while nobody listens. */
  readonly record: () => ((entry: TapRecord) => void) | undefined;
  readonly onOver: () => void;
}

export function startMemoryCall(given: MemoryCallOptions): MemoryCall {
  const { link, listener, clock, options } = given;
  let over = false;
  const controller = new AbortController();
  const fail = (error: DiscoveryError): void => close(error);
  const close = (error: DiscoveryError | undefined): void => {
    if (over) return;
    over = true;
    timer?.cancel();
    silence.drop();
    responses.cut();
    // Never inside the caller's own `start` or `send`.
    soon(() => {
      given.onOver();
      listener.onClose(error);
    });
  };
  const silence = silenceOf(given, () => {
    lost();
    controller.abort(new DiscoveryError("CANCELLED", "the client left"));
  });
  const lost = (): void => fail(refused(link.to));
  let gone = false;
  const crossToServer = crossing(given, silence);
  const requests: Pipe = createPipe({
    cross: crossToServer,
    onMessage: (message) => {
      const bytes = arrive(given, "request", message);
      if (bytes === undefined) {
        requests.cut();
        silence.stick();
      } else incoming.listener?.onMessage(bytes);
    },
    onDrain: () => {
      if (!over) listener.onDrain();
    },
  });
  const responses: Pipe = createPipe({
    cross: crossing(given, silence),
    onMessage: (message) => {
      const bytes = arrive(given, "response", message);
      if (bytes === undefined) {
        responses.cut();
        silence.stick();
      } else listener.onMessage(bytes);
    },
    onDrain: () => incoming.listener?.onDrain(),
  });
  const incoming = incomingCall({ requests, responses, upstream: link.to, onStatus: close });
  responses.resume();
  const timer =
    options.timeoutMs === undefined
      ? undefined
      : clock.schedule(options.timeoutMs, () => {
          fail(
            new DiscoveryError("DEADLINE", "no answer within the time allowed", {
              upstream: link.to,
            }),
          );
          controller.abort(new DiscoveryError("DEADLINE", "the client's deadline has passed"));
        });
  // Past the messages still waiting for a reader, as a reset overtakes them.
  const leave = (): void => {
    crossToServer(() => {
      requests.cut();
      controller.abort(new DiscoveryError("CANCELLED", "the client left"));
    });
  };
  const refusal = refusalOf(given);
  if (refusal !== undefined) fail(refusal);
  else requests.finish(() => serve(given, incoming.call, controller));
  return {
    link,
    send(message) {
      if (over) return false;
      const { messageBytesMax } = given.server ?? { messageBytesMax: Infinity };
      if (message.length > messageBytesMax) {
        const text = `a request is over ${messageBytesMax} bytes`;
        fail(new DiscoveryError("TOO_LARGE", text, { upstream: link.to }));
        leave();
        return false;
      }
      return requests.send(new Uint8Array(message));
    },
    halfClose() {
      if (!over) requests.finish(() => incoming.listener?.onHalfClose());
    },
    cancel() {
      if (over) return;
      fail(new DiscoveryError("CANCELLED", "the call was cancelled", { upstream: link.to }));
      leave();
    },
    pause: () => responses.pause(),
    resume: () => responses.resume(),
    onFaultsChanged() {
      const { partition } = given.faults.of(link.from, link.to);
      if (partition === "silent") {
        silence.begin();
        return;
      }
      if (partition !== "refused") {
        silence.end();
        if (gone) lost();
        return;
      }
      lost();
      controller.abort(new DiscoveryError("CANCELLED", "the client left"));
    },
    onServerGone() {
      gone = true;
      requests.cut();
      responses.cut();
      if (given.faults.of(link.from, link.to).partition === undefined) lost();
    },
  };
}

/** Why no call can be opened, as a TLS handshake would find out. */
function refusalOf({
  server,
  link,
  peer,
  pins,
  faults,
}: MemoryCallOptions): DiscoveryError | undefined {
  const { partition } = faults.of(link.from, link.to);
  if (partition === "silent") return undefined;
  if (server === undefined || partition === "refused") return refused(link.to);
  const { spkiSha256 } = server;
  if (pins !== undefined && spkiSha256 !== undefined) {
    const pinned = pins.some((pin) => Buffer.compare(pin, spkiSha256) === 0);
    if (!pinned) {
      return new DiscoveryError("PIN_MISMATCH", "the server's key is not the pinned one", {
        upstream: link.to,
      });
    }
  }
  if (server.wantsCertificates && peer.kind === "anonymous") {
    return new DiscoveryError("UNAUTHENTICATED", "the server wants a client certificate", {
      upstream: link.to,
    });
  }
  return undefined;
}

function refused(upstream: string): DiscoveryError {
  return new DiscoveryError("NETWORK", "the connection failed", { upstream });
}

/** What a silent link holds back until it heals, as a sender's retransmissions do. */
interface Silence {
  begin(): void;
  /** Something is lost for good: nothing that follows it arrives, a keep-alive no more than a message. */
  stick(): void;
  /** Delivers what was held, in the order of arrival. */
  end(): void;
  hold(deliver: () => void): void;
  /** Nobody waits for it any more. */
  drop(): void;
}

function silenceOf({ link, faults, clock }: MemoryCallOptions, onLost: () => void): Silence {
  let held: (() => void)[] = [];
  let timer: Scheduled | undefined;
  let stuck: Scheduled | undefined;
  const silence: Silence = {
    begin() {
      timer ??= clock.schedule(silenceMsMax, onLost);
    },
    stick() {
      stuck ??= clock.schedule(silenceMsMax, onLost);
    },
    end() {
      timer?.cancel();
      timer = undefined;
      const waiting = held;
      held = [];
      for (const deliver of waiting) soon(deliver);
    },
    hold: (deliver) => void held.push(deliver),
    drop() {
      timer?.cancel();
      stuck?.cancel();
      held = [];
    },
  };
  if (faults.of(link.from, link.to).partition === "silent") silence.begin();
  return silence;
}

/** After what runs now; as queueMicrotask, which makes an asynchronous resource of every message. */
function soon(act: () => void): void {
  void Promise.resolve().then(act);
}

/** Carries the items of one direction over the link: after its delay, in order, or never. */
function crossing(
  { link, faults, clock, random }: MemoryCallOptions,
  silence: Silence,
): (deliver: () => void) => void {
  let lastAtMs = 0;
  return (deliver) => {
    const fault = faults.of(link.from, link.to);
    const nowMs = clock.monotonicMs();
    lastAtMs = Math.max(lastAtMs, nowMs + delayOf(fault, random));
    const arrive = (): void => {
      const { partition } = faults.of(link.from, link.to);
      if (partition === undefined) deliver();
      else if (partition === "silent") silence.hold(deliver);
    };
    if (lastAtMs <= nowMs) soon(arrive);
    else clock.schedule(lastAtMs - nowMs, arrive);
  };
}

/** One message that has crossed, changed and recorded as the link wants; undefined if it is lost. */
function arrive(
  { link, method, faults, random, record }: MemoryCallOptions,
  direction: Travel["direction"],
  message: Uint8Array,
): Uint8Array | undefined {
  const fault = faults.of(link.from, link.to);
  if (isDropped(fault, random)) return undefined;
  const travel: Travel = { ...link, method, direction };
  const bytes = fault.tamper?.(new Uint8Array(message), travel) ?? message;
  record()?.({ ...travel, kind: "message", bytes: new Uint8Array(bytes) });
  return bytes;
}

interface IncomingParts {
  readonly requests: Pipe;
  readonly responses: Pipe;
  readonly upstream: string;
  readonly onStatus: (error: DiscoveryError | undefined) => void;
}

interface Incoming {
  readonly call: IncomingCall;
  listener: IncomingListener | undefined;
}

function incomingCall({ requests, responses, upstream, onStatus }: IncomingParts): Incoming {
  let over = false;
  const incoming: Incoming = {
    listener: undefined,
    call: {
      listen(listener) {
        incoming.listener = listener;
        requests.resume();
      },
      pause: () => requests.pause(),
      resume: () => requests.resume(),
      send: (message) => !over && responses.send(new Uint8Array(message)),
      close(error) {
        if (over) return;
        over = true;
        // Through the wire form and back, so that bounds and trailers are those of a socket.
        const status = error === undefined ? { code: 0, text: "OK", details: [] } : statusOf(error);
        responses.finish(() => onStatus(errorOfStatus(status, upstream)));
      },
    },
  };
  return incoming;
}

function serve(given: MemoryCallOptions, call: IncomingCall, controller: AbortController): void {
  const { server, link, peer, options, clock, record } = given;
  if (server === undefined || controller.signal.aborted) return;
  const registration = server.router.methods.get(given.method);
  if (registration === undefined) {
    call.close(new DiscoveryError("NOT_AVAILABLE", "the server does not offer that method"));
    return;
  }
  const seen: Peer = server.wantsCertificates ? peer : { kind: "anonymous" };
  const { draining } = server;
  const context = contextOf({
    registration,
    peer: seen,
    link,
    options,
    clock,
    controller,
    draining,
  });
  const { from, to } = link;
  const { metadata, method } = context;
  record()?.({ kind: "open", from, to, method, direction: "request", peer, metadata });
  const done = server.router.run(registration, call, context).finally(() => {
    server.open.delete(controller);
  });
  server.open.set(controller, done);
}

interface ContextParts {
  readonly registration: MethodRegistration;
  readonly peer: Peer;
  readonly link: { readonly from: string };
  readonly options: OutgoingOptions;
  readonly clock: Clock;
  readonly controller: AbortController;
  readonly draining: AbortSignal;
}

function contextOf(parts: ContextParts): CallContext {
  const { registration, peer, link, options, clock, controller, draining } = parts;
  const { timeoutMs, metadata } = options;
  return {
    peer,
    address: link.from,
    signal: controller.signal,
    draining,
    deadlineMs: timeoutMs === undefined ? undefined : clock.nowMs() + timeoutMs,
    metadata: new Map(metadata),
    method: registration.path,
    methodKind: registration.kind,
  };
}
