import { expect } from "chai";
import { createMemoryNetwork } from "@whither/rpc";
import {
  createSeededRandom,
  createSimulatedClock,
  fixedBytes,
  makeRegistrationParties,
} from "@whither/testkit";
import { Peers, type Server } from "./peers.js";
import { codeOf, ScriptedZone } from "./scripted-zone.test.js";

const parties = makeRegistrationParties();
const { zone, manifest } = parties;

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
