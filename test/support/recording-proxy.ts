// Stands between clients and a daemon with the daemon's own certificate, passes every HTTP/2 stream on and
// keeps all of it: headers, messages, and whether the client showed a certificate. Asks every client for one,
// so that a client that would show it unasked-for is seen.

import {
  connect,
  constants,
  createSecureServer,
  type ClientHttp2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import type { TLSSocket } from "node:tls";

/** One call, as the server's side of the connection saw it. */
export interface RecordedCall {
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
  readonly hasClientCertificate: boolean;
  /** Which connection it came on. */
  readonly connection: number;
  /** All octets of the call's body, frames joined. */
  requestBytes(): Buffer;
  responseBytes(): Buffer;
}

export interface RecordingProxy extends AsyncDisposable {
  readonly calls: readonly RecordedCall[];
}

interface RecordingProxyOptions {
  readonly port: number;
  readonly upstreamPort: number;
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly caFile: string;
  /** Certificate for the daemon's port that demands one. */
  readonly client?: { readonly certificateFile: string; readonly keyFile: string };
}

export async function startRecordingProxy(options: RecordingProxyOptions): Promise<RecordingProxy> {
  const { port, upstreamPort, client } = options;
  const [cert, key, ca] = await Promise.all(
    [options.certificateFile, options.keyFile, options.caFile].map((path) => readFile(path)),
  );
  if (ca === undefined) throw new TypeError("no ca");
  const own =
    client === undefined
      ? {}
      : { cert: await readFile(client.certificateFile), key: await readFile(client.keyFile) };
  const server = createSecureServer({
    cert,
    key,
    ca,
    requestCert: true,
    rejectUnauthorized: false,
  });
  const calls: RecordedCall[] = [];
  const upstreams = new Set<ClientHttp2Session>();
  let connections = 0;
  server.on("session", (session) => {
    connections += 1;
    const connection = connections;
    const upstream = connect(`https://127.0.0.1:${upstreamPort}`, { ca, ...own });
    upstreams.add(upstream);
    upstream.on("error", () => session.destroy());
    session.on("error", () => upstream.destroy());
    session.on("close", () => {
      upstream.destroy();
      upstreams.delete(upstream);
    });
    const socket = session.socket as TLSSocket; // the server is a TLS server
    const hasClientCertificate = Object.keys(socket.getPeerCertificate()).length > 0;
    session.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      if (upstream.destroyed) {
        stream.close(constants.NGHTTP2_REFUSED_STREAM);
        return;
      }
      const recorded = pass({ stream, headers, upstream });
      const method = headers[":path"] ?? "";
      calls.push({ method, headers, hasClientCertificate, connection, ...recorded });
    });
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    calls,
    async [Symbol.asyncDispose]() {
      for (const upstream of upstreams) upstream.destroy();
      const closed = once(server, "close");
      server.close();
      await closed;
    },
  };
}

/** Carries one stream both ways, trailers included. */
function pass(of: {
  readonly stream: ServerHttp2Stream;
  readonly headers: IncomingHttpHeaders;
  readonly upstream: ClientHttp2Session;
}): Pick<RecordedCall, "requestBytes" | "responseBytes"> {
  const { stream, headers, upstream } = of;
  const requests: Buffer[] = [];
  const responses: Buffer[] = [];
  const out = upstream.request({ ...headers }, { endStream: false });
  const end = (): void => {
    if (!stream.destroyed) stream.close(constants.NGHTTP2_CANCEL);
    if (!out.destroyed) out.close(constants.NGHTTP2_CANCEL);
  };
  stream.on("data", (chunk: Buffer) => {
    requests.push(chunk);
    out.write(chunk);
  });
  stream.on("end", () => out.end());
  stream.on("error", end);
  stream.on("aborted", end);
  out.on("error", end);
  let trailers: IncomingHttpHeaders = {};
  out.on("trailers", (received: IncomingHttpHeaders) => void (trailers = received));
  out.on("response", (response, flags) => {
    if (stream.destroyed) return;
    const isWhole = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    stream.respond({ ...response }, isWhole ? { endStream: true } : { waitForTrailers: true });
    // Only from here on: data that came with the headers would be heard before them.
    out.on("data", (chunk: Buffer) => {
      responses.push(chunk);
      if (!stream.destroyed) stream.write(chunk);
    });
    out.on("end", () => {
      if (!stream.writableEnded) stream.end();
    });
  });
  stream.on("wantTrailers", () => stream.sendTrailers({ ...trailers }));
  return {
    requestBytes: () => Buffer.concat(requests),
    responseBytes: () => Buffer.concat(responses),
  };
}

/** The messages of a gRPC body: one octet of flags, four of length, then the message. */
export function messagesOf(body: Buffer): readonly Buffer[] {
  const messages: Buffer[] = [];
  for (let at = 0; at + 5 <= body.length;) {
    const length = body.readUInt32BE(at + 1);
    if (body[at] !== 0) throw new Error("a compressed message");
    messages.push(body.subarray(at + 5, at + 5 + length));
    at += 5 + length;
  }
  return messages;
}
