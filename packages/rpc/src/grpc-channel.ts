// A Channel over grpc-js. Calls go to grpc-js's call objects directly, below its stream classes and
// its own interceptors, which this system does not use: that saves a stream per call and a hop per message.
import {
  Channel as GrpcChannel,
  ChannelCredentials,
  Metadata,
  status as grpcStatus,
} from "@grpc/grpc-js";
import type { StatusObject } from "@grpc/grpc-js";
import { DiscoveryError, limits } from "@whither/protocol";
import { systemClock } from "@whither/runtime";
import type { Clock } from "@whither/runtime";
import type { Channel, OutgoingCall, OutgoingListener, OutgoingOptions } from "./calls.js";
import { errorOfStatus, errorTrailer } from "./errors.js";
import { ChannelTls } from "./grpc-credentials.js";
import { createSendMeter } from "./send-meter.js";
import type { TlsIdentity } from "./tls-identity.js";

export interface ChannelOptions {
  /** DNS name or IP address to connect to. */
  readonly host: string;
  readonly port: number;
  /** PEM bundle of the only CAs trusted; there is no fall-back to the system's. */
  readonly caPem: string;
  /** SHA-256 of the SubjectPublicKeyInfos accepted, 32 bytes each; checked in addition to the CA. */
  readonly pins?: readonly Uint8Array[];
  /** Client certificate; without one the server sees an anonymous peer. */
  readonly identity?: TlsIdentity;
  /** Name in the server's certificate, if it is not `host`. */
  readonly serverName?: string;
  /** Largest message either way, in bytes. Default: limits.messageBytesMax. */
  readonly messageBytesMax?: number;
  readonly clock?: Clock;
}

/** Stream and connection window: 4 MiB raised 100 KB messages by 70 % over HTTP/2's 64 KiB. */
const flowControlWindowBytes = 4 * 1024 * 1024;
/** What grpc-js may hold of a call for one transparent retry; beyond it, writes wait for the socket. */
const retryBufferBytes = 256 * 1024;
const keepaliveTimeMs = 60_000;
const keepaliveTimeoutMs = 20_000;
const reconnectBackoffMs = { first: 200, longest: 10_000 } as const;

/**
 * Opens a channel: TLS 1.3 to `host:port`, connected at the first call and again after a loss.
 *
 * Failures of its calls: PIN_MISMATCH (wrong key), NETWORK (refused, lost, foreign CA or name),
 * UNAUTHENTICATED (the server wants a client certificate), DEADLINE, CANCELLED, and what the server says.
 *
 * @throws TypeError for an empty list of pins or no CA, DiscoveryError CONFIG for a broken identity.
 */
export function openChannel(options: ChannelOptions): Channel & Disposable {
  const { host, port, pins } = options;
  if (pins?.length === 0) throw new TypeError("an empty list of pins accepts nobody");
  const upstream = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  let tlsFailure: DiscoveryError | undefined;
  const credentials = new ChannelTls({
    caPem: options.caPem,
    pins,
    identity: options.identity,
    serverName: options.serverName ?? host,
    upstream,
    onHandshake: (failure) => (tlsFailure = failure),
  });
  return channelOver({
    ...options,
    target: targetOf(host, port),
    credentials,
    upstream,
    failure: (status) => failureOf(status, upstream, tlsFailure),
  });
}

/**
 * Opens a channel to a unix socket of this machine, without TLS: the file system says who may connect.
 *
 * Failures of its calls: NETWORK (nobody listens there, or not for this user), DEADLINE, CANCELLED, and
 * what the server says; their upstream is the path.
 */
export function openLocalChannel(options: {
  readonly path: string;
  readonly clock?: Clock;
}): Channel & Disposable {
  const upstream = options.path;
  return channelOver({
    ...options,
    target: `unix:${upstream}`,
    credentials: ChannelCredentials.createInsecure(),
    upstream,
    failure: (status) => failureOf(status, upstream, undefined),
  });
}

function channelOver(options: {
  readonly target: string;
  readonly credentials: ChannelCredentials;
  readonly upstream: string;
  readonly failure: (status: StatusObject) => DiscoveryError | undefined;
  readonly messageBytesMax?: number;
  readonly clock?: Clock;
}): Channel & Disposable {
  const { target, credentials, upstream, failure, clock = systemClock } = options;
  const messageBytesMax = options.messageBytesMax ?? limits.messageBytesMax;
  const channel = new GrpcChannel(target, credentials, {
    "grpc.service_config_disable_resolution": 1,
    "grpc.use_local_subchannel_pool": 1,
    "grpc.enable_http_proxy": 0,
    "grpc.enable_channelz": 0,
    "grpc.enable_retries": 0,
    "grpc.per_rpc_retry_buffer_size": retryBufferBytes,
    "grpc.max_receive_message_length": messageBytesMax,
    "grpc.max_send_message_length": messageBytesMax,
    "grpc.keepalive_time_ms": keepaliveTimeMs,
    "grpc.keepalive_timeout_ms": keepaliveTimeoutMs,
    "grpc.initial_reconnect_backoff_ms": reconnectBackoffMs.first,
    "grpc.max_reconnect_backoff_ms": reconnectBackoffMs.longest,
    "grpc-node.flow_control_window": flowControlWindowBytes,
  });
  const open = new Set<OutgoingCall>();
  const close = (): void => {
    for (const call of [...open]) call.cancel();
    channel.close();
  };
  return {
    upstream,
    start: (path, callOptions, listener) => {
      const { timeoutMs } = callOptions;
      const deadline = timeoutMs === undefined ? Infinity : clock.nowMs() + timeoutMs;
      const grpcCall = channel.createCall(path, deadline, undefined, null, undefined);
      const call = startCall(grpcCall, {
        options: callOptions,
        listener,
        failure,
        messageBytesMax,
        upstream,
        onOver: () => open.delete(call),
      });
      open.add(call);
      return call;
    },
    close,
    [Symbol.dispose]: close,
  };
}

/** An IP address is given as such, so that no resolver is asked; a name by DNS, addresses only. */
function targetOf(host: string, port: number): string {
  if (host.includes(":")) return `ipv6:[${host}]:${port}`;
  return /^\d+\.\d+\.\d+\.\d+$/.test(host) ? `ipv4:${host}:${port}` : `dns:${host}:${port}`;
}

function failureOf(
  { code, details, metadata }: StatusObject,
  upstream: string,
  tlsFailure: DiscoveryError | undefined,
): DiscoveryError | undefined {
  const trailer = metadata.get(errorTrailer);
  if (code === grpcStatus.UNAVAILABLE && trailer.length === 0) {
    // grpc-js words every connection failure as UNAVAILABLE and puts the cause's text into the details;
    // a handshake failure counts only if it is that cause, not one of an earlier attempt.
    if (tlsFailure !== undefined && details.includes(tlsFailure.message)) return tlsFailure;
    if (tlsFailure?.code === "UNAUTHENTICATED") return tlsFailure;
  }
  return errorOfStatus({ code, text: details, details: trailer }, upstream);
}

type GrpcCall = ReturnType<GrpcChannel["createCall"]>;

interface CallParts {
  readonly options: OutgoingOptions;
  readonly listener: OutgoingListener;
  readonly failure: (status: StatusObject) => DiscoveryError | undefined;
  readonly messageBytesMax: number;
  readonly upstream: string;
  readonly onOver: () => void;
}

function startCall(call: GrpcCall, parts: CallParts): OutgoingCall {
  const { options, listener, failure, messageBytesMax, upstream, onOver } = parts;
  let over = false;
  let paused = false;
  let reading = false; // grpc-js wants one read asked for at a time
  let localError: DiscoveryError | undefined;
  const cancel = (): void => {
    if (!over) call.cancelWithStatus(grpcStatus.CANCELLED, "cancelled");
  };
  const read = (): void => {
    if (over || paused || reading) return;
    reading = true;
    call.startRead();
  };
  const outbox = createOutbox(call, () => {
    if (!over) listener.onDrain();
  });
  call.start(metadataOf(options), {
    onReceiveMetadata: () => undefined,
    onReceiveMessage(message: unknown) {
      if (over || !(message instanceof Uint8Array)) return;
      reading = false;
      // A plain view: protobuf-es would otherwise make every bytes field a Buffer.
      listener.onMessage(new Uint8Array(message.buffer, message.byteOffset, message.byteLength));
      read();
    },
    onReceiveStatus(status) {
      if (over) return;
      over = true;
      onOver();
      listener.onClose(localError ?? failure(status));
    },
  });
  read();
  return {
    send(message) {
      if (over) return false;
      if (message.length > messageBytesMax) {
        localError = new DiscoveryError("TOO_LARGE", `a request is over ${messageBytesMax} bytes`, {
          upstream,
        });
        cancel();
        return false;
      }
      return outbox.send(message);
    },
    halfClose: () => outbox.end(),
    cancel,
    pause() {
      paused = true;
    },
    resume() {
      paused = false;
      read();
    },
  };
}

interface Outbox {
  send(message: Uint8Array): boolean;
  end(): void;
}

/** grpc-js takes one message at a time and calls back; the rest waits here, in order. */
function createOutbox(call: GrpcCall, onDrain: () => void): Outbox {
  const meter = createSendMeter(onDrain);
  let waiting: Buffer[] = [];
  let next = 0;
  let busy = false;
  let ended = false;
  const pump = (): void => {
    const message = waiting[next];
    if (message === undefined) {
      waiting = [];
      next = 0;
      if (ended) call.halfClose();
      return;
    }
    next += 1;
    busy = true;
    const callback = (): void => {
      busy = false;
      pump();
      meter.taken(message.length);
    };
    call.sendMessageWithContext({ callback }, message);
  };
  return {
    send(message) {
      if (ended) return false;
      waiting.push(Buffer.from(message.buffer, message.byteOffset, message.byteLength));
      const free = meter.add(message.length);
      if (!busy) pump();
      return free;
    },
    end() {
      if (ended) return;
      ended = true;
      if (!busy) pump();
    },
  };
}

function metadataOf({ metadata }: OutgoingOptions): Metadata {
  const result = new Metadata();
  for (const [key, value] of metadata ?? []) {
    result.set(key, typeof value === "string" ? value : Buffer.from(value));
  }
  return result;
}
