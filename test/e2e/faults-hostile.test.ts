// Clients that connect and do nothing, begin and never end, or ask and never read: the daemon's memory stays bounded,
// and everybody else is served meanwhile.

import { once } from "node:events";
import { readFile } from "node:fs/promises";
import {
  connect as connectHttp2,
  type ClientHttp2Session,
  type ClientHttp2Stream,
} from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { limits } from "@whither/protocol";
import { encodeMessage } from "@whither/rpc";
import { FetchRequestSchema, Zone } from "@whither/wire";
import { expect } from "chai";
import { dpId, FaultGround } from "../support/fault-ground.js";
import { whitherctlHere } from "../support/processes.js";

const idle = 200;
const readers = 10;
/** Of each reader: together 200,000 answers of a few hundred octets, none of which anybody takes. */
const asks = 20_000;
/** Streams of one address that are opened, more than it may have of each kind. */
const watches = limits.watchersPerAddressMax + 8;
const transfers = limits.transfersPerAddressMax + 4;
/** Heads pushed meanwhile: more than are kept for a reader. */
const pushes = 20;
/** Far below what the answers would take, with room for a garbage collector that is in no hurry. */
const growthMibMax = 128;

describe("clients that are slow on purpose", function () {
  this.timeout(120_000);
  let ground: FaultGround;
  let started: FaultGround | undefined;
  const sockets: Socket[] = [];
  const sessions: ClientHttp2Session[] = [];

  before(async () => {
    started = await FaultGround.start({ hasReplica: false });
    ground = started;
    await ground.recovered();
  });
  afterEach(() => {
    for (const session of sessions.splice(0)) session.destroy();
    for (const socket of sockets.splice(0)) socket.destroy();
  });
  after(async () => {
    await started?.[Symbol.asyncDispose]();
  });

  const dp = () => ground.files.dps[0]!;
  /** Resident memory of the DP's process. */
  const memoryMib = async (): Promise<number> => {
    const pid = ground.federation.dpds.get(dpId)?.pid;
    const status = await readFile(`/proc/${pid}/status`, "utf8");
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
  };
  const open = async (port: number): Promise<Socket> => {
    const socket = connectTcp(port, "127.0.0.1");
    socket.on("error", () => undefined);
    sockets.push(socket);
    await once(socket, "connect");
    return socket;
  };

  for (const [title, bytes] of [
    ["say nothing", []],
    ["begin a handshake and never end it", [0x16, 0x03, 0x01, 0x02, 0x00, 0x01]],
  ] as const) {
    it(`that ${title}: ${2 * idle} of them keep nobody out`, async () => {
      const before = await memoryMib();
      for (const port of [dp().port, dp().publicPort]) {
        for (let n = 0; n < idle; n += 1) (await open(port)).write(Buffer.from(bytes));
      }
      await ground.freshResolver();
      expect(await ground.askBoth()).to.deep.equal(["found", "none"]);
      const grown = (await memoryMib()) - before;
      console.log(`      ${Math.round(grown)} MiB more`);
      expect(grown).to.be.at.most(growthMibMax);
    });
  }

  /** One connection, which lets the DP send one octet a stream and no more. */
  const greedy = async (): Promise<ClientHttp2Session> => {
    const tls = connectTls({
      host: "127.0.0.1",
      port: dp().publicPort,
      servername: "localhost",
      ca: await readFile(ground.files.path("pki", "ca.pem")),
      ALPNProtocols: ["h2"],
    });
    await once(tls, "secureConnect");
    const session = connectHttp2(`https://127.0.0.1:${dp().publicPort}`, {
      createConnection: () => tls,
      settings: { initialWindowSize: 1 },
    });
    session.on("error", () => undefined);
    sessions.push(session);
    return session;
  };
  const call = (session: ClientHttp2Session, method: string): ClientHttp2Stream => {
    const stream = session.request({
      ":method": "POST",
      ":path": `/whither.v1.Zone/${method}`,
      "content-type": "application/grpc",
      te: "trailers",
    });
    stream.on("error", () => undefined);
    return stream;
  };

  it(`that ask and never read: ${readers} streams with ${asks} questions each`, async () => {
    const before = await memoryMib();
    const zone = dp().plan.zones[0] ?? "";
    for (let n = 0; n < readers; n += 1) {
      const requests = Array.from({ length: asks }, (_, id) => headRequest(zone, id + 1));
      call(await greedy(), "Fetch").write(Buffer.concat(requests));
    }
    await ground.freshResolver();
    let most = 0;
    for (let n = 0; n < 20; n += 1) {
      expect(await ground.askBoth()).to.deep.equal(["found", "none"]);
      most = Math.max(most, (await memoryMib()) - before);
    }
    console.log(`      ${Math.round(most)} MiB more`);
    expect(most).to.be.at.most(growthMibMax);
  });

  it(`that watch and transfer and never read: as many as an address may, and no more`, async () => {
    const before = await memoryMib();
    const zone = dp().plan.zones[0] ?? "";
    const watch = framed(encodeMessage(Zone.method.watch.input, { zone }));
    const transfer = framed(encodeMessage(Zone.method.transfer.input, { from: { zone } }));
    const config = ground.files.path(`${dpId}.yaml`);
    const refused: string[] = [];
    for (const [method, request, count] of [
      ["Watch", watch, watches],
      ["Transfer", transfer, transfers],
    ] as const) {
      const session = await greedy();
      for (let n = 0; n < count; n += 1) {
        const stream = call(session, method);
        // Refused, a call is nothing but trailers, which no window holds back.
        stream.once("response", (headers) => {
          if (headers["grpc-status"] !== undefined) refused.push(method);
        });
        stream.end(request);
      }
    }
    let most = 0;
    for (let n = 0; n < pushes; n += 1) {
      const pushed = await whitherctlHere(["notify", zone, "--config", config]);
      expect(pushed.status, pushed.stderr).to.equal(0);
      expect(await ground.askBoth()).to.deep.equal(["found", "none"]);
      most = Math.max(most, (await memoryMib()) - before);
    }
    expect(refused.filter((method) => method === "Watch")).to.have.length.at.least(
      watches - limits.watchersPerAddressMax,
    );
    expect(refused.filter((method) => method === "Transfer")).to.have.length.at.least(
      transfers - limits.transfersPerAddressMax,
    );
    console.log(`      ${Math.round(most)} MiB more`);
    expect(most).to.be.at.most(growthMibMax);
  });

  it("when they have gone, all is as before", async () => {
    expect(await ground.recovered()).to.be.at.least(0);
    expect(ground.federation.dpds.get(dpId)?.exited).to.equal(false);
  });
});

/** A question for the zone's head. */
function headRequest(zone: string, id: number): Buffer {
  const request = { case: "head", value: { zone } } as const;
  return framed(encodeMessage(FetchRequestSchema, { id: BigInt(id), request }));
}

/** As gRPC carries a message. */
function framed(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}
