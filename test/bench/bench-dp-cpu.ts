// `dp-cpu`: what an evaluated element costs the server, from the socket to the socket, against the raw batched
// evaluation of the same backend. CPU only: how long a client waits is `new`.

import { loadSodiumVoprf, utf8 } from "@whither/crypto/node";
import { decodeMessage, encodeMessage, openRawDuplex, type Channel } from "@whither/rpc";
import { systemRandom } from "@whither/runtime";
import { Discovery, ExchangeRequestSchema, ExchangeResponseSchema } from "@whither/wire";
import { openFederation, type Federation } from "./federation.js";
import { interleave, peakMemoryMib, type Measured, type Side, type Work } from "./measure.js";
import type { BenchReport, Ratio } from "./report.js";
import type { BenchOptions } from "./main.js";

/** Elements of an Evaluate, and Evaluates in flight: as a batch asks, and as single contacts do. */
const shapes = [
  { elements: 500, inFlight: 2 },
  { elements: 1, inFlight: 64 },
] as const;
type Shape = (typeof shapes)[number];

export async function benchDpCpu({ quick }: BenchOptions): Promise<BenchReport> {
  const elementsARound = quick ? 1_000 : 4_000;
  await using federation = await openFederation({ slots: 1_000, csis: [], bodies: false });
  using channel = federation.openChannel();
  const raw = await openRawEvaluate(federation);
  const sides = shapes.flatMap((shape): Side[] => {
    const requests = Math.ceil(elementsARound / shape.elements);
    const blinded = raw.blind(shape.elements);
    return [
      {
        name: `dpd, ${shape.elements} an Evaluate`,
        serverPid: federation.pid,
        run: () => evaluateMany(channel, federation, { shape, requests, blinded }),
      },
      {
        name: `raw, ${shape.elements} a batch`,
        run: () => {
          for (let n = 0; n < requests; n += 1) raw.evaluate(blinded);
          return { operations: requests * shape.elements };
        },
      },
    ];
  });
  const measured = await interleave(sides, { rounds: quick ? 1 : 5 });
  return {
    name: "dp-cpu",
    title: "server CPU of one evaluated element, against the raw batched evaluation",
    layout:
      "client and whither-dpd, one TLS stream with a client certificate; the raw side in the bench process",
    parameters: { "elements a round": elementsARound, "VOPRF threads": 1 },
    sides: measured,
    ratios: shapes.map(({ elements }, at) =>
      cpuRatio(`CPU, ${elements} an Evaluate`, measured[2 * at], measured[2 * at + 1]),
    ),
    peakMib: { bench: peakMemoryMib(), dpd: peakMemoryMib(federation.pid) },
    notes: ["the daemon's CPU is counted in ticks of 10 ms over the whole round"],
  };
}

function cpuRatio(name: string, ours: Measured | undefined, raw: Measured | undefined): Ratio {
  const server = ours?.serverCpuUs;
  const own = raw?.clientCpuUs;
  if (server === undefined || own === undefined) throw new TypeError("two sides were measured");
  return {
    name,
    value: server.median / own.median,
    lowest: server.min / own.max,
    highest: server.max / own.min,
    target: 1.15,
    direction: "at most",
  };
}

async function openRawEvaluate({ parties }: Federation) {
  const voprf = await loadSodiumVoprf();
  const randomBytes = (length: number): Uint8Array => systemRandom.bytes(length);
  const { secretKey, publicKey } = parties.voprfKeys;
  return {
    blind: (count: number): readonly Uint8Array[] => {
      const inputs = Array.from({ length: count }, (_, n) => utf8(`contact ${n}`));
      return voprf.blind(inputs, randomBytes).blinded;
    },
    evaluate: (blinded: readonly Uint8Array[]): void => {
      voprf.evaluateBlinded({ secretKey, publicKey, blinded, randomBytes });
    },
  };
}

/** The same elements again and again: the server cannot know, and the client's work stays small. */
function evaluateMany(
  channel: Channel,
  { parties }: Federation,
  of: {
    readonly shape: Shape;
    readonly requests: number;
    readonly blinded: readonly Uint8Array[];
  },
): Promise<Work> {
  const { shape, requests } = of;
  const { zone, manifest } = parties;
  const kid = manifest.voprfKeys[0]?.kid ?? new Uint8Array();
  const value = { zone, kid, blinded: new Uint8Array(Buffer.concat(of.blinded)) };
  return new Promise((resolve, reject) => {
    let sent = 0;
    let received = 0;
    const send = (): void => {
      if (sent === requests) return;
      sent += 1;
      const request = { id: BigInt(sent), request: { case: "evaluate", value } } as const;
      stream.send(encodeMessage(ExchangeRequestSchema, request));
    };
    const stream = openRawDuplex(
      { channel, method: Discovery.method.exchange },
      {
        onMessage: (bytes) => {
          const { response } = decodeMessage(ExchangeResponseSchema, bytes);
          if (response.case !== "evaluate") reject(new TypeError(`bench: got ${response.case}`));
          received += 1;
          if (received === requests) stream.end();
          else send();
        },
        onDrain: () => undefined,
        onClose: (error) => {
          if (error === undefined && received === requests) {
            resolve({ operations: requests * shape.elements });
          } else reject(error ?? new TypeError("bench: the stream ended early"));
        },
      },
    );
    for (let n = 0; n < shape.inFlight; n += 1) send();
  });
}
