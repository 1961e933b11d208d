import { expect } from "chai";
import { createMemoryNetwork, encodeMessage, type OutgoingListener } from "@whither/rpc";
import {
  createSeededRandom,
  createSimulatedClock,
  fixedBytes,
  makeRegistrationParties,
} from "@whither/testkit";
import { ExchangeResponseSchema } from "@whither/wire";
import { Peers, type Server } from "./peers.js";
import { codeOf, ScriptedZone } from "./scripted-zone.test.js";

const parties = makeRegistrationParties();
const { zone, manifest } = parties;

describe("a client certificate replaced", () => {
  const kid = manifest.voprfKeys[0]!.kid;
  const server: Server = { key: "dp:1", host: "dp", port: 1, pins: [fixedBytes("pin")] };
  const evaluate = { zone, kid, blinded: new Uint8Array(32) };

  /** Calls that nobody answers unless told; each connection with the certificate it shows. */
  function setUp() {
    const calls: {
      readonly shown: string;
      readonly listener: OutgoingListener;
      closed: boolean;
    }[] = [];
    const closedChannels: string[] = [];
    const clock = createSimulatedClock();
    const peers = new Peers({
      openChannel: ({ host, port, identity }) => {
        const shown = identity?.certPem ?? "nobody";
        return {
          upstream: `${host}:${port}`,
          start: (_path, _options, listener) => {
            const call = { shown, listener, closed: false };
            calls.push(call);
            const ignore = (): void => undefined;
            return {
              send: () => true,
              halfClose: ignore,
              cancel: () => (call.closed = true),
              pause: ignore,
              resume: ignore,
            };
          },
          close: () => closedChannels.push(shown),
        };
      },
      caPem: "",
      identity: { certPem: "old", keyPem: "old key" },
      clock,
      random: createSeededRandom(3),
    });
    const answer = (call: number, id: bigint): void => {
      const response = { case: "evaluate", value: {} } as const;
      calls[call]!.listener.onMessage(encodeMessage(ExchangeResponseSchema, { id, response }));
    };
    const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
    return { peers, calls, closedChannels, answer, turn, clock };
  }

  it("is shown by what is asked from then on, while what has been asked is answered on the old", async () => {
    const { peers, calls, closedChannels, answer, turn } = setUp();
    const { signal } = new AbortController();
    const before = peers.evaluate(server, evaluate, { signal });
    const head = codeOf(peers.fetch(server, { case: "head", value: { zone, kid } }, { signal }));
    await turn();
    peers.replaceIdentity({ certPem: "new", keyPem: "new key" });
    const after = peers.evaluate(server, evaluate, { signal });
    await turn();
    expect(calls.map(({ shown }) => shown)).to.deep.equal(["old", "nobody", "new"]);
    expect(closedChannels).to.deep.equal([]);
    answer(2, 1n);
    answer(0, 1n);
    await Promise.all([before, after]);
    expect(closedChannels, "the anonymous one shows nothing that could change").to.deep.equal([
      "old",
    ]);
    peers.close();
    expect(await head).to.equal("CANCELLED");
    expect(closedChannels).to.have.members(["old", "nobody", "new"]);
  });

  it("opens nothing anew when it is the same", async () => {
    const { peers, calls, closedChannels, answer, turn } = setUp();
    const { signal } = new AbortController();
    for (const id of [1n, 2n]) {
      const asked = peers.evaluate(server, evaluate, { signal });
      await turn();
      answer(0, id);
      await asked;
      peers.replaceIdentity({ certPem: "old", keyPem: "old key" });
    }
    expect([calls.length, closedChannels]).to.deep.equal([1, []]);
    peers.close();
  });

  it("keeps the new connection when the old one falls silent", async () => {
    const { peers, closedChannels, answer, turn, clock } = setUp();
    const leaving = new AbortController();
    const silent = codeOf(peers.evaluate(server, evaluate, { signal: leaving.signal }));
    await turn();
    peers.replaceIdentity({ certPem: "new", keyPem: "new key" });
    const { signal } = new AbortController();
    const after = peers.evaluate(server, evaluate, { signal });
    await turn();
    await clock.advance(1_500);
    leaving.abort();
    expect([await silent, closedChannels]).to.deep.equal(["CANCELLED", ["old"]]);
    answer(1, 1n);
    await after;
    peers.close();
  });

  it("is the first, where there was none, and none after the close", async () => {
    const { peers, closedChannels, turn } = setUp();
    const waiting = codeOf(
      peers.evaluate(server, evaluate, { signal: new AbortController().signal }),
    );
    await turn();
    peers.replaceIdentity({ certPem: "new", keyPem: "new key" });
    peers.close();
    expect(await waiting, "what was still owed").to.equal("CANCELLED");
    expect(closedChannels).to.deep.equal(["old"]);
    peers.replaceIdentity({ certPem: "third", keyPem: "third key" });
    expect(peers.identity?.certPem).to.equal("new");
  });
});

describe("connections to a DP", () => {
  it("are made anew when the directory pins other keys for the same address", async () => {
    const clock = createSimulatedClock();
    const random = createSeededRandom(1);
    const network = createMemoryNetwork({ clock, random });
    new ScriptedZone({ parties, contacts: [] }).serve(network);
    const opened: string[] = [];
    const peers = new Peers({
      openChannel: ({ host, port, pins = [] }) => {
        opened.push(`${port} ${pins.map((pin) => Buffer.from(pin).toString("hex")).join()}`);
        return network.connect(`${host}:${port}`);
      },
      caPem: "",
      identity: { certPem: "cert", keyPem: "key" },
      clock,
      random,
    });
    const at = (port: number, pin: string): Server => ({
      key: `dp-a.example:${port}`,
      host: "dp-a.example",
      port,
      pins: [fixedBytes(pin)],
    });
    const { signal } = new AbortController();
    const kid = manifest.voprfKeys[0]!.kid;
    for (const pin of ["old key", "old key", "new key"]) {
      await peers.fetch(at(7364, pin), { case: "head", value: { zone, kid } }, { signal });
      const evaluate = { zone, kid, blinded: new Uint8Array(32) };
      await codeOf(peers.evaluate(at(7354, pin), evaluate, { signal }));
    }
    peers.close();
    const hex = (pin: string) => Buffer.from(fixedBytes(pin)).toString("hex");
    expect(opened).to.deep.equal([
      `7364 ${hex("old key")}`,
      `7354 ${hex("old key")}`,
      `7364 ${hex("new key")}`,
      `7354 ${hex("new key")}`,
    ]);
  });

  it("are made anew after a silence: the old one may stand while nothing comes through it", async () => {
    const clock = createSimulatedClock();
    const random = createSeededRandom(2);
    const network = createMemoryNetwork({ clock, random });
    new ScriptedZone({ parties, contacts: [] }).serve(network);
    const opened: number[] = [];
    const peers = new Peers({
      openChannel: ({ host, port }) => {
        opened.push(port);
        return network.connect(`${host}:${port}`);
      },
      caPem: "",
      identity: { certPem: "cert", keyPem: "key" },
      clock,
      random,
    });
    const at = (port: number): Server => ({
      key: `dp-a.example:${port}`,
      host: "dp-a.example",
      port,
      pins: [fixedBytes("pin")],
    });
    const kid = manifest.voprfKeys[0]!.kid;
    const askBoth = async (signal: AbortSignal): Promise<readonly string[]> => {
      const evaluate = { zone, kid, blinded: new Uint8Array(32) };
      return await Promise.all([
        codeOf(peers.fetch(at(7364), { case: "head", value: { zone, kid } }, { signal })),
        codeOf(peers.evaluate(at(7354), evaluate, { signal })),
      ]);
    };
    await askBoth(new AbortController().signal);
    network.setFaults({}, { partition: "silent" });
    const waiting = new AbortController();
    const silence = askBoth(waiting.signal);
    await clock.advance(1_500);
    waiting.abort();
    expect(await silence).to.deep.equal(["CANCELLED", "CANCELLED"]);
    network.setFaults({}, undefined);
    await askBoth(new AbortController().signal);
    peers.close();
    expect(opened.toSorted((a, b) => a - b)).to.deep.equal([7354, 7354, 7364, 7364]);
  });
});
