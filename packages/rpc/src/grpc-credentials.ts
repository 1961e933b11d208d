// TLS for grpc-js: version 1.3 only, client certificates, SPKI pins. grpc-js has no option for the
// version, so both sides subclass its credentials, which is also where a failed handshake can be told
// apart. The one module that touches grpc-js's underscored members; the version is pinned exactly.
import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import type { Socket } from "node:net";
import { checkServerIdentity, connect, createSecureContext } from "node:tls";
import type { PeerCertificate, SecureContext } from "node:tls";
import { CallCredentials, ChannelCredentials, ServerCredentials } from "@grpc/grpc-js";
import type { ChannelOptions } from "@grpc/grpc-js";
import { DiscoveryError } from "@whither/protocol";
import { checkIdentity, spkiSha256 } from "./tls-identity.js";
import type { TlsIdentity } from "./tls-identity.js";

const minVersion = "TLSv1.3";
/** A client that has not finished its handshake by then is dropped. */
const handshakeTimeoutMs = 10_000;
/** Headers of one call: pairs and bytes. Ours are about ten pairs and 500 bytes. */
const headerPairsMax = 64;
const headerBytesMax = 16 * 1024;

export interface ServerTlsOptions {
  readonly identity: TlsIdentity;
  /** PEM bundle of the CAs whose client certificates are demanded; undefined demands none. */
  readonly clientCaPem: string | undefined;
  /** Streams that one connection may have open. */
  readonly streamsMax: number;
}

export class ServerTls extends ServerCredentials {
  readonly #clientCaPem: string | undefined;

  constructor({ identity, clientCaPem, streamsMax }: ServerTlsOptions) {
    super(
      {
        minVersion,
        requestCert: clientCaPem !== undefined,
        rejectUnauthorized: true,
        handshakeTimeout: handshakeTimeoutMs,
        maxHeaderListPairs: headerPairsMax,
        settings: {
          enablePush: false,
          maxConcurrentStreams: streamsMax,
          maxHeaderListSize: headerBytesMax,
        },
      },
      serverContext(identity, clientCaPem),
    );
    this.#clientCaPem = clientCaPem;
  }

  /** New connections get this identity; those that are open keep theirs. @throws CONFIG */
  replaceIdentity(identity: TlsIdentity): void {
    this.updateSecureContextOptions(serverContext(identity, this.#clientCaPem));
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

function serverContext(identity: TlsIdentity, clientCaPem: string | undefined) {
  checkIdentity(identity);
  const { certPem, keyPem } = identity;
  const context = { minVersion, cert: certPem, key: keyPem } as const;
  return clientCaPem === undefined ? context : { ...context, ca: trustAnchors(clientCaPem) };
}

export interface ChannelTlsOptions {
  readonly caPem: string;
  readonly pins: readonly Uint8Array[] | undefined;
  readonly identity: TlsIdentity | undefined;
  /** Name or IP address that the server's certificate must bear. */
  readonly serverName: string;
  /** Told each handshake's outcome: undefined when it succeeded. */
  readonly onHandshake: (failure: DiscoveryError | undefined) => void;
  readonly upstream: string;
}

export class ChannelTls extends ChannelCredentials {
  readonly #options: ChannelTlsOptions;
  readonly #context: SecureContext;

  constructor(options: ChannelTlsOptions) {
    super();
    this.#options = options;
    const { identity } = options;
    if (identity !== undefined) checkIdentity(identity);
    this.#context = createSecureContext({
      minVersion,
      ca: trustAnchors(options.caPem),
      ...(identity === undefined ? {} : { cert: identity.certPem, key: identity.keyPem }),
    });
  }

  override _isSecure(): boolean {
    return true;
  }

  // Never equal: equal credentials would let grpc-js put the anonymous path on the identified connection.
  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(
    _target: unknown,
    _options: ChannelOptions,
    callCredentials: CallCredentials = CallCredentials.createEmpty(),
  ) {
    return {
      connect: (socket: Socket) => handshake(socket, this.#context, this.#options),
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => callCredentials,
      destroy: () => undefined,
    };
  }
}

function handshake(
  socket: Socket,
  secureContext: SecureContext,
  { serverName, pins, onHandshake, upstream }: ChannelTlsOptions,
): Promise<{ socket: Socket; secure: boolean }> {
  return new Promise((resolve, reject) => {
    const verify = (_host: string, certificate: PeerCertificate): Error | undefined => {
      const misnamed = checkServerIdentity(serverName, certificate);
      if (misnamed !== undefined) return misnamed;
      return matchesPin(certificate, pins) ? undefined : pinMismatch(upstream);
    };
    const secure = connect(
      {
        socket,
        secureContext,
        minVersion,
        rejectUnauthorized: true,
        ALPNProtocols: ["h2"],
        host: serverName,
        // RFC 6066 section 3: no IP address in server_name.
        ...(isIP(serverName) === 0 ? { servername: serverName } : {}),
        checkServerIdentity: verify,
      },
      () => {
        onHandshake(undefined);
        resolve({ socket: secure, secure: true });
      },
    );
    // Stays: in TLS 1.3 the server judges our certificate after the handshake is done for us.
    secure.on("error", (cause: Error) => {
      const failure = handshakeFailure(cause, upstream);
      onHandshake(failure);
      reject(failure);
    });
  });
}

function matchesPin(
  certificate: PeerCertificate,
  pins: readonly Uint8Array[] | undefined,
): boolean {
  if (pins === undefined) return true;
  const actual = Buffer.from(spkiSha256(new X509Certificate(certificate.raw)));
  return pins.some((pin) => actual.equals(pin));
}

function pinMismatch(upstream: string): DiscoveryError {
  return new DiscoveryError("PIN_MISMATCH", "the server's key is not the pinned one", { upstream });
}

function handshakeFailure(cause: Error, upstream: string): DiscoveryError {
  if (cause instanceof DiscoveryError) return cause;
  const code = "code" in cause ? cause.code : undefined;
  if (code === "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED") {
    return new DiscoveryError("UNAUTHENTICATED", "the server wants a client certificate", {
      upstream,
      cause,
    });
  }
  return new DiscoveryError("NETWORK", "no TLS connection to a trusted server", {
    upstream,
    cause,
  });
}

/** @throws TypeError: without anchors Node would fall back to the Web's, which may vouch for anyone. */
function trustAnchors(caPem: string): string {
  if (!caPem.includes("-----BEGIN CERTIFICATE-----")) {
    throw new TypeError("expected at least one CA certificate in PEM");
  }
  return caPem;
}
