// grpc.health.v1 as a load balancer asks it, by hand: none of our own code in between.

import { connect as connectHttp2 } from "node:http2";
import { connect as connectTls, type ConnectionOptions } from "node:tls";

/** The serving status (1 SERVING, 2 NOT_SERVING, 0 UNKNOWN) of a service, or "refused" if no answer came. */
export async function healthOf(
  options: ConnectionOptions,
  service = "",
): Promise<number | "refused"> {
  return await new Promise((resolve) => {
    const session = connectHttp2(`https://127.0.0.1:${options.port}`, {
      createConnection: () =>
        connectTls({
          host: "127.0.0.1",
          servername: "localhost",
          ALPNProtocols: ["h2"],
          ...options,
        }),
    });
    const end = (status: number | "refused"): void => {
      session.destroy();
      resolve(status);
    };
    session.on("error", () => end("refused"));
    session.on("close", () => end("refused"));
    const call = session.request({
      ":method": "POST",
      ":path": "/grpc.health.v1.Health/Check",
      "content-type": "application/grpc",
      te: "trailers",
    });
    const chunks: Buffer[] = [];
    let isAnswered = false;
    call.on("response", (headers) => (isAnswered = headers["grpc-status"] === undefined));
    call.on("data", (chunk: Buffer) => chunks.push(chunk));
    call.on("error", () => end("refused"));
    // Prefix of five octets, then field 1 as a varint; a message without it means 0.
    call.on("end", () => end(isAnswered ? (Buffer.concat(chunks)[6] ?? 0) : "refused"));
    call.end(requestOf(service));
  });
}

/** Field 1 with a name of at most 127 octets, behind gRPC's prefix. */
function requestOf(service: string): Buffer {
  const name = Buffer.from(service);
  const message = name.length === 0 ? name : Buffer.concat([Buffer.of(0x0a, name.length), name]);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}
