// Incoming grpc-js calls as IncomingCall: reading one message at a time, queued bytes counted, the peer
// taken from its certificate, the end of the call told once.
import { X509Certificate } from "node:crypto";
import { setMaxListeners } from "node:events";
import { Metadata, ServerInterceptingCall, status as grpcStatus } from "@grpc/grpc-js";
import type { Server, ServerInterceptingCallInterface, ServerInterceptor } from "@grpc/grpc-js";
import { DiscoveryError } from "@whither/protocol";
import type { Clock } from "@whither/runtime";
import type { IncomingCall, IncomingListener } from "./calls.js";
import type { CallContext, CallMetadata, Peer } from "./context.js";
import { errorTrailer, statusOf } from "./errors.js";
import { boundHealthCall } from "./health.js";
import type { Router } from "./router.js";
import { createSendMeter } from "./send-meter.js";
import type { MethodRegistration } from "./service.js";
import { peerOfCertificate } from "./tls-identity.js";

export interface TakeOverOptions {
  readonly router: Router;
  /** Whether the listener demands client certificates: then a call without one is a fault, never anonymous. */
  readonly wantsCertificates: boolean;
  readonly clock: Clock;
}

export interface Incoming {
  readonly interceptor: ServerInterceptor;
  /** grpc-js routes only what is registered; the interceptor then has the call. */
  register(server: Server, path: string): void;
  /** Tells every stream that is open, and those still to come, to end once it owes nothing. */
  drain(): void;
  abortAll(reason: DiscoveryError): void;
  /** Resolves when no call is open any more. */
  settled(): Promise<void>;
}

export function takeOver({ router, wantsCertificates, clock }: TakeOverOptions): Incoming {
  const open = new Map<AbortController, Promise<void>>();
  const draining = new AbortController();
  setMaxListeners(0, draining.signal); // one of each open stream
  const peerOf = createPeerReader(wantsCertificates);
  const serve = (call: ServerInterceptingCallInterface, method: MethodRegistration): void => {
    const controller = new AbortController();
    const { signal } = controller;
    receive(call, {
      onStart(stream, metadata) {
        const peer = peerOf(call);
        if (peer === undefined) {
          stream.close(new DiscoveryError("UNAUTHENTICATED", "a client certificate is required"));
          return;
        }
        const parts = { method, metadata, peer, signal, draining: draining.signal };
        const context = contextOf(call, parts);
        const done = router.run(method, stream, context).finally(() => open.delete(controller));
        open.set(controller, done);
      },
      onCancel() {
        const late = Number(call.getDeadline()) <= clock.nowMs();
        controller.abort(
          late
            ? new DiscoveryError("DEADLINE", "the client's deadline has passed")
            : new DiscoveryError("CANCELLED", "the client left"),
        );
      },
    });
  };
  return {
    interceptor(definition, call) {
      const method = router.methods.get(definition.path);
      if (method === undefined) return boundHealthCall(call);
      return new ServerInterceptingCall(call, { start: () => serve(call, method) });
    },
    register(server, path) {
      const bytes = (message: Buffer): Buffer => message;
      server.register(path, unreachable, bytes, bytes, "bidi");
    },
    drain: () => draining.abort(),
    abortAll(reason) {
      for (const controller of open.keys()) controller.abort(reason);
    },
    async settled() {
      await Promise.all(open.values());
    },
  };
}

function unreachable(): never {
  throw new TypeError("the interceptor takes every registered call over");
}

interface Receiver {
  readonly onStart: (stream: IncomingCall, metadata: Metadata) => void;
  /** The client left or its deadline passed before the call was closed. */
  readonly onCancel: () => void;
}

function receive(call: ServerInterceptingCallInterface, { onStart, onCancel }: Receiver): void {
  let listener: IncomingListener | undefined;
  let paused = false;
  let reading = false;
  let pulling = false;
  let over = false;
  const meter = createSendMeter(() => {
    if (!over) listener?.onDrain();
  });
  // grpc-js answers startRead from its queue synchronously: a loop, not a recursion, however long the queue.
  const pull = (): void => {
    if (pulling) return;
    pulling = true;
    while (listener !== undefined && !paused && !reading && !over) {
      reading = true;
      call.startRead();
    }
    pulling = false;
  };
  const stream: IncomingCall = {
    listen(given) {
      listener = given;
      pull();
    },
    pause() {
      paused = true;
    },
    resume() {
      paused = false;
      pull();
    },
    send(message) {
      if (over) return false;
      const { length } = message;
      const free = meter.add(length);
      call.sendMessage(Buffer.from(message.buffer, message.byteOffset, length), () => {
        meter.taken(length);
      });
      return free;
    },
    close(error) {
      if (over) return;
      over = true;
      if (error === undefined) call.sendStatus({ code: grpcStatus.OK, details: "OK" });
      // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- gRPC's own numbers, from errors.ts
      else call.sendStatus(failedStatus(error));
    },
  };
  call.start({
    onReceiveMetadata: (metadata) => onStart(stream, metadata),
    onReceiveMessage(message: unknown) {
      reading = false;
      if (!over && message instanceof Uint8Array) {
        // A plain view: protobuf-es would otherwise make every bytes field a Buffer.
        listener?.onMessage(new Uint8Array(message.buffer, message.byteOffset, message.byteLength));
      }
      pull();
    },
    onReceiveHalfClose() {
      if (!over) listener?.onHalfClose();
    },
    onCancel() {
      if (over) return;
      over = true;
      onCancel();
    },
  });
}

function failedStatus(error: DiscoveryError) {
  const { code, text, details } = statusOf(error);
  const metadata = new Metadata();
  for (const detail of details) metadata.add(errorTrailer, Buffer.from(detail));
  return { code, details: text, metadata };
}

interface ContextParts {
  readonly method: MethodRegistration;
  readonly metadata: Metadata;
  readonly signal: AbortSignal;
  readonly draining: AbortSignal;
  readonly peer: Peer;
}

function contextOf(
  call: ServerInterceptingCallInterface,
  { method, metadata, signal, draining, peer }: ContextParts,
): CallContext {
  const deadlineMs = Number(call.getDeadline());
  return {
    peer,
    address: call.getConnectionInfo().remoteAddress ?? "unknown",
    signal,
    draining,
    deadlineMs: Number.isFinite(deadlineMs) ? deadlineMs : undefined,
    metadata: metadataMap(metadata),
    method: method.path,
    methodKind: method.kind,
  };
}

function metadataMap(metadata: Metadata): CallMetadata {
  return new Map(
    Object.entries(metadata.getMap()).map(([key, value]) => [
      key,
      typeof value === "string" ? value : new Uint8Array(value),
    ]),
  );
}

/** Certificates parsed lately, by the SHA-256 of their bytes. */
const peersMax = 1024;

/** Reads the peer of a call; undefined if it must have a certificate and none can be read. */
function createPeerReader(
  wantsCertificates: boolean,
): (call: ServerInterceptingCallInterface) => Peer | undefined {
  const known = new Map<string, Peer>();
  return (call) => {
    if (!wantsCertificates) return { kind: "anonymous" };
    const certificate = call.getAuthContext().sslPeerCertificate; // only if verified against the CA
    if (certificate === undefined) return undefined;
    const before = known.get(certificate.fingerprint256);
    if (before !== undefined) return before;
    try {
      const peer = peerOfCertificate(new X509Certificate(certificate.raw));
      if (known.size >= peersMax) known.clear();
      known.set(certificate.fingerprint256, peer);
      return peer;
    } catch {
      return undefined; // a kind of key that this runtime cannot read
    }
  };
}
