// The byte-level seam between transports (gRPC, memory) and everything above them: one call is an
// ordered stream of messages each way, then one outcome. Nothing here knows protobuf or HTTP/2.
import type { DiscoveryError } from "@whither/protocol";
import type { CallMetadata } from "./context.js";

export interface IncomingListener {
  onMessage(message: Uint8Array): void;
  /** The client will send nothing more. */
  onHalfClose(): void;
  /** The queue has fallen below its mark after `send` returned false. */
  onDrain(): void;
}

/** A call as the server's transport hands it to the router. */
export interface IncomingCall {
  /** Starts reading. Called once. */
  listen(listener: IncomingListener): void;
  pause(): void;
  resume(): void;
  /** False: queued, but above a mark of send-meter.ts; wait for `onDrain`. Ignored after `close`. */
  send(message: Uint8Array): boolean;
  /** Ends the call, with OK or with an error. Later calls do nothing. */
  close(error: DiscoveryError | undefined): void;
}

export interface OutgoingListener {
  onMessage(message: Uint8Array): void;
  onDrain(): void;
  /** Exactly once, last: undefined for status OK. */
  onClose(error: DiscoveryError | undefined): void;
}

export interface OutgoingOptions {
  readonly timeoutMs?: number;
  readonly metadata?: CallMetadata;
}

/** A call as the client's transport hands it out. */
export interface OutgoingCall {
  send(message: Uint8Array): boolean;
  /** Nothing more will be sent; the server may still answer. */
  halfClose(): void;
  /** Tells the server that nobody waits; `onClose` follows with CANCELLED unless the call is over. */
  cancel(): void;
  pause(): void;
  resume(): void;
}

/** A connection, or the promise of one, to one server. Safe for any number of concurrent calls. */
export interface Channel {
  /** `host:port`; stands in every error of this channel as its upstream. */
  readonly upstream: string;
  start(path: string, options: OutgoingOptions, listener: OutgoingListener): OutgoingCall;
  /** Ends the connection; calls in progress fail with CANCELLED. */
  close(): void;
}
