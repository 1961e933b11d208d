// The other process of the ceilings: a bare protobuf echo on grpc-js over TLS with client certificates, and a
// second core for raw curve arithmetic. Started by ceilings.ts; knows nothing of whither's own transports.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import { EchoMessageSchema, type EchoMessage } from "../../packages/rpc/test/gen/echo_pb.js";
import { host, type Certificates } from "./federation.js";
import { openRawWork, type RawOrder } from "./raw-work.js";

export const echoPath = "/whither.test.Echo/Exchange";
export const windowBytes = 4 * 1024 * 1024;

/** What the parent asks for. */
export type CeilingOrder =
  | { readonly kind: "serve"; readonly certificates: Certificates }
  | { readonly kind: "work"; readonly order: RawOrder };

const zeros = new Uint8Array(1024 * 1024);

/** Answers with as many octets as `command` says. */
function serveEcho({ caPem, server }: Certificates): Promise<number> {
  const grpc = new Server({
    "grpc-node.flow_control_window": windowBytes,
    "grpc.max_receive_message_length": windowBytes,
  });
  grpc.register(
    echoPath,
    (call: ServerDuplexStream<EchoMessage, EchoMessage>) => {
      call.on("data", ({ id, command }: EchoMessage) => {
        call.write(create(EchoMessageSchema, { id, body: zeros.subarray(0, Number(command)) }));
      });
      call.on("end", () => call.end());
    },
    (message: EchoMessage) => Buffer.from(toBinary(EchoMessageSchema, message)),
    (bytes: Buffer) => fromBinary(EchoMessageSchema, bytes),
    "bidi",
  );
  const pair = { private_key: Buffer.from(server.keyPem), cert_chain: Buffer.from(server.certPem) };
  const tls = ServerCredentials.createSsl(Buffer.from(caPem), [pair], true);
  return new Promise((resolve, reject) => {
    grpc.bindAsync(`${host}:0`, tls, (error, port) =>
      error === null ? resolve(port) : reject(error),
    );
  });
}

async function obey(order: CeilingOrder): Promise<number> {
  if (order.kind === "serve") return await serveEcho(order.certificates);
  const work = await openRawWork();
  work(order.order);
  return 0;
}

process.on("message", (order: CeilingOrder) => {
  void obey(order).then((port) => process.send?.({ port }));
});
