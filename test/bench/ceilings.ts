// Ceilings that need a second process: a pipelined protobuf echo with messages of given sizes, and raw
// arithmetic spread over two processes.

import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Client, credentials } from "@grpc/grpc-js";
import { EchoMessageSchema, type EchoMessage } from "../../packages/rpc/test/gen/echo_pb.js";
import { echoPath, windowBytes, type CeilingOrder } from "./ceiling-process.js";
import { host, type Certificates } from "./federation.js";
import { openRawWork, type RawOrder } from "./raw-work.js";

/** Requests in flight, as the resolver's. */
export const inFlight = 64;

export interface Exchange {
  /** Octets of the body of each request. */
  readonly requestBytes: number;
  /** Octets of the body of each answer, one exchange each. */
  readonly answers: readonly number[];
}

export interface Ceilings extends AsyncDisposable {
  readonly pid: number;
  /** All exchanges, `inFlight` of them at a time, over one stream. */
  readonly echo: (exchange: Exchange) => Promise<void>;
  /** The order's work, half of it in each process. */
  readonly raw: (order: RawOrder) => Promise<void>;
}

export async function openCeilings(certificates: Certificates): Promise<Ceilings> {
  const child = fork(new URL("ceiling-process.ts", import.meta.url), [], {
    execArgv: process.execArgv,
  });
  const { pid } = child;
  if (pid === undefined) throw new TypeError("a started process has a pid");
  const port = await ask(child, { kind: "serve", certificates });
  const [ca, key, cert] = [
    certificates.caPem,
    certificates.client.keyPem,
    certificates.client.certPem,
  ].map((pem) => Buffer.from(pem));
  const client = new Client(`${host}:${port}`, credentials.createSsl(ca, key, cert), {
    "grpc-node.flow_control_window": windowBytes,
    "grpc.max_receive_message_length": windowBytes,
  });
  const work = await openRawWork();
  return {
    pid,
    echo: (exchange) => echo(client, exchange),
    raw: async ({ contacts, verifications }) => {
      const own = Math.ceil(contacts / 2);
      const order = { contacts: contacts - own, verifications };
      const other = ask(child, { kind: "work", order });
      work({ contacts: own, verifications });
      await other;
    },
    [Symbol.asyncDispose]: async () => {
      client.close();
      child.kill();
      if (child.exitCode === null) await once(child, "exit");
    },
  };
}

async function ask(child: ChildProcess, order: CeilingOrder): Promise<number> {
  child.send(order);
  const [{ port }] = (await once(child, "message")) as [{ port: number }]; // what ceiling-process sends
  return port;
}

const serialize = (message: EchoMessage): Buffer =>
  Buffer.from(toBinary(EchoMessageSchema, message));
const deserialize = (bytes: Buffer): EchoMessage => fromBinary(EchoMessageSchema, bytes);

function echo(client: Client, { requestBytes, answers }: Exchange): Promise<void> {
  const body = new Uint8Array(requestBytes).fill(7);
  return new Promise((resolve, reject) => {
    const call = client.makeBidiStreamRequest(echoPath, serialize, deserialize);
    let sent = 0;
    let received = 0;
    const next = (): void => {
      const bytes = answers[sent];
      if (bytes === undefined) return;
      sent += 1;
      call.write(create(EchoMessageSchema, { id: BigInt(sent), body, command: String(bytes) }));
    };
    call.on("data", () => {
      received += 1;
      if (received === answers.length) call.end();
      else next();
    });
    call.on("end", resolve).on("error", reject);
    while (sent < Math.min(inFlight, answers.length)) next();
  });
}
