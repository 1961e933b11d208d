// The choice of a transport as one value: an engine is handed a Transport and never learns whether
// sockets or a simulated network carry its calls.
import { limits } from "@whither/protocol";
import { systemClock } from "@whither/runtime";
import type { Clock } from "@whither/runtime";
import type { Channel } from "./calls.js";
import { openChannel } from "./grpc-channel.js";
import type { TlsIdentity } from "./tls-identity.js";

/** A server as the signed directory names it. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
  /** SHA-256 of the SubjectPublicKeyInfos accepted, 32 bytes each. */
  readonly pins?: readonly Uint8Array[];
  /** Name in the server's certificate, if it is not `host`. */
  readonly serverName?: string;
}

export interface ConnectOptions {
  /** Whether the server learns who asks. `anonymous` never shares a connection with `identified`. */
  readonly as: "identified" | "anonymous";
}

export interface Transport {
  /** @throws TypeError if `identified` is asked for and the transport has no identity. */
  connect(endpoint: Endpoint, options: ConnectOptions): Channel & Disposable;
}

export interface GrpcTransportOptions {
  /** PEM bundle of the only CAs trusted. */
  readonly caPem: string;
  readonly identity?: TlsIdentity;
  readonly messageBytesMax?: number;
  readonly clock?: Clock;
}

export function createGrpcTransport(options: GrpcTransportOptions): Transport {
  const { caPem, identity, clock = systemClock } = options;
  const { messageBytesMax = limits.messageBytesMax } = options;
  return {
    connect(endpoint, { as }) {
      if (as === "anonymous") return openChannel({ ...endpoint, caPem, messageBytesMax, clock });
      if (identity === undefined) throw new TypeError("this transport has no client certificate");
      return openChannel({ ...endpoint, caPem, identity, messageBytesMax, clock });
    },
  };
}
