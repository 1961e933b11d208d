// Pipelined echo over one mutually authenticated TLS stream: the rpc package against grpc-js used by
// hand with the same protobuf codec. Two processes a side, rounds interleaved, ratio of the medians.
// Run: node --conditions=whither-source --import tsx test/bench/rpc-echo.ts [messages] [rounds]
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Client, Server, ServerCredentials, credentials } from "@grpc/grpc-js";
import type { ServerDuplexStream } from "@grpc/grpc-js";
import {
  createRpcServer,
  implementService,
  notAvailable,
  openChannel,
  openDuplex,
} from "@whither/rpc";
import { createTestCa } from "../../packages/rpc/test/certificates.js";
import { Echo, EchoMessageSchema } from "../../packages/rpc/test/gen/echo_pb.js";
import type { EchoMessage } from "../../packages/rpc/test/gen/echo_pb.js";

const host = "127.0.0.1";
const path = "/whither.test.Echo/Exchange";
const window = 64;
const bodyBytes = 300;

interface Certificates {
  readonly caPem: string;
  readonly server: { readonly certPem: string; readonly keyPem: string };
  readonly client: { readonly certPem: string; readonly keyPem: string };
}
type Side = "rpc" | "hand";

const serialize = (message: EchoMessage): Buffer =>
  Buffer.from(toBinary(EchoMessageSchema, message));
const deserialize = (bytes: Buffer): EchoMessage => fromBinary(EchoMessageSchema, bytes);

async function serveRpc({ caPem, server }: Certificates): Promise<number> {
  const service = implementService(Echo, {
    unary: notAvailable,
    download: notAvailable,
    upload: notAvailable,
    exchange: {
      callback: (_context, stream) => stream.onMessage((message) => stream.send(message)),
    },
  });
  const rpc = createRpcServer({
    identity: server,
    clients: { kind: "required", caPem },
    services: [service],
  });
  return (await rpc.listen({ host, port: 0 })).port;
}

function serveByHand({ caPem, server }: Certificates): Promise<number> {
  const grpc = new Server();
  const pair = { private_key: Buffer.from(server.keyPem), cert_chain: Buffer.from(server.certPem) };
  grpc.register(
    path,
    (call: ServerDuplexStream<EchoMessage, EchoMessage>) => {
      call.on("data", (message: EchoMessage) => call.write(message));
      call.on("end", () => call.end());
    },
    serialize,
    deserialize,
    "bidi",
  );
  return new Promise((resolve, reject) => {
    const tls = ServerCredentials.createSsl(Buffer.from(caPem), [pair], true);
    grpc.bindAsync(`${host}:0`, tls, (error, port) =>
      error === null ? resolve(port) : reject(error),
    );
  });
}

const body = new Uint8Array(bodyBytes).fill(7);
const request = (id: number): EchoMessage => create(EchoMessageSchema, { id: BigInt(id), body });

/** Keeps `window` requests in flight until `count` answers have come. */
function pump(count: number, send: (message: EchoMessage) => void, done: () => void): () => void {
  let sent = 0;
  let received = 0;
  const next = (): void => {
    if (sent < count) send(request((sent += 1)));
  };
  setImmediate(() => {
    while (sent < window) next();
  });
  return () => {
    received += 1;
    if (received === count) done();
    else next();
  };
}

interface Runner {
  readonly run: (count: number) => Promise<void>;
  readonly close: () => void;
}

function openRpc(port: number, { caPem, client }: Certificates): Runner {
  const channel = openChannel({ host, port, caPem, identity: client });
  const run = (count: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const onAnswer = pump(
        count,
        (message) => void duplex.send(message),
        () => duplex.end(),
      );
      const duplex = openDuplex(
        { channel, method: Echo.method.exchange },
        {
          onMessage: onAnswer,
          onClose: (error) => (error === undefined ? resolve() : reject(error)),
        },
      );
    });
  return { run, close: () => channel.close() };
}

function openByHand(port: number, { caPem, client }: Certificates): Runner {
  const [ca, key, cert] = [caPem, client.keyPem, client.certPem].map((pem) => Buffer.from(pem));
  const grpc = new Client(`${host}:${port}`, credentials.createSsl(ca, key, cert));
  const run = (count: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const call = grpc.makeBidiStreamRequest(path, serialize, deserialize);
      const onAnswer = pump(
        count,
        (message) => void call.write(message),
        () => call.end(),
      );
      call.on("data", onAnswer).on("end", resolve).on("error", reject);
    });
  return { run, close: () => grpc.close() };
}

async function runServer(side: Side): Promise<void> {
  const [certificates] = (await once(process, "message")) as [Certificates]; // sent by startServer
  const port = side === "rpc" ? await serveRpc(certificates) : await serveByHand(certificates);
  process.send?.({ port });
}

async function startServer(
  side: Side,
  certificates: Certificates,
): Promise<[ChildProcess, number]> {
  const child = fork(fileURLToPath(import.meta.url), ["serve", side], {
    execArgv: process.execArgv,
  });
  child.send(certificates);
  const [{ port }] = (await once(child, "message")) as [{ port: number }]; // sent by runServer
  return [child, port];
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

async function main(count: number, rounds: number): Promise<void> {
  const ca = await createTestCa("bench CA");
  const certificates = {
    caPem: ca.caPem,
    server: await ca.issue([{ type: "ip", value: host }]),
    client: await ca.issue([{ type: "dns", value: "msp.example" }]),
  };
  const [rpcServer, rpcPort] = await startServer("rpc", certificates);
  const [handServer, handPort] = await startServer("hand", certificates);
  const sides = { rpc: openRpc(rpcPort, certificates), hand: openByHand(handPort, certificates) };
  const rates: Record<Side, number[]> = { rpc: [], hand: [] };
  for (let round = 0; round <= rounds; round += 1) {
    for (const side of ["rpc", "hand"] as const) {
      const startMs = performance.now();
      await sides[side].run(count);
      const rate = (count * 1000) / (performance.now() - startMs);
      if (round > 0) rates[side].push(rate); // the first warms up
    }
  }
  for (const side of ["rpc", "hand"] as const) {
    const [low, high] = [Math.min(...rates[side]), Math.max(...rates[side])].map(Math.round);
    console.log(`${side.padEnd(5)} median ${Math.round(median(rates[side]))}/s  (${low}..${high})`);
  }
  console.log(`ratio ${(median(rates.rpc) / median(rates.hand)).toFixed(2)}  (reach ≥ 0.9)`);
  for (const { close } of Object.values(sides)) close();
  rpcServer.kill();
  handServer.kill();
}

const [mode, side] = process.argv.slice(2);
if (mode === "serve") {
  await runServer(side === "rpc" ? "rpc" : "hand");
} else {
  await main(Number(mode ?? 30_000), Number(side ?? 5));
}
