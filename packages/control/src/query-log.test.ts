import { expect } from "chai";
import { DiscoveryError } from "@whither/protocol";
import type { CallContext } from "@whither/rpc";
import { createLogger } from "@whither/runtime";
import { createSimulatedClock, createSeededRandom } from "@whither/testkit";
import { createQueryLog } from "./query-log.js";

const context = (address: string): CallContext => ({
  peer: { kind: "anonymous" },
  address,
  signal: new AbortController().signal,
  draining: new AbortController().signal,
  deadlineMs: undefined,
  metadata: new Map([["x-what", "tel:+15550100"]]),
  method: "/whither.v1.Zone/Bucket",
  methodKind: "unary",
});

describe("the query log", () => {
  function start(seed: number) {
    const clock = createSimulatedClock();
    const lines: Record<string, unknown>[] = [];
    const write = (line: string): void =>
      void lines.push(JSON.parse(line) as Record<string, unknown>); // our own lines
    const logger = createLogger({ clock, destination: { write } });
    const random = createSeededRandom(seed);
    const log = createQueryLog({ clock, random, logger });
    const call = (address: string, work = (): Promise<void> => Promise.resolve()) =>
      log.interceptor(context(address), work);
    return { clock, lines, log, call };
  }

  it("is silent until it is switched on, and again when off", async () => {
    const { lines, log, call } = start(1);
    await call("192.0.2.1");
    log.set(true);
    await call("192.0.2.1");
    log.set(false);
    await call("192.0.2.1");
    expect(lines).to.have.length(1);
    expect(log.state()).to.deep.equal({ enabled: false, lines: 1, droppedLines: 0 });
  });

  it("tells clients apart by a keyed hash of this run, and nothing of whom or what", async () => {
    const { lines, log, call } = start(1);
    const other = start(2);
    log.set(true);
    other.log.set(true);
    for (const address of ["192.0.2.1", "192.0.2.1", "192.0.2.2"]) await call(address);
    await other.call("192.0.2.1");
    const [a, b, c] = lines.map(({ client }) => client);
    expect(a)
      .to.equal(b)
      .and.to.match(/^[0-9a-f]{16}$/);
    expect(c).not.to.equal(a);
    expect(other.lines[0]?.["client"], "another run, another key").not.to.equal(a);
    expect(JSON.stringify(lines)).not.to.match(/192\.0\.2|5550100/);
  });

  it("names how a call ended and passes its failure on", async () => {
    const { lines, log, call } = start(1);
    log.set(true);
    const refuse = (): Promise<void> => Promise.reject(new DiscoveryError("LIMITED", "slow down"));
    const failure: unknown = await call("192.0.2.1", refuse).catch((error: unknown) => error);
    expect(failure).to.be.instanceOf(DiscoveryError);
    expect(lines[0]).to.include({ method: "/whither.v1.Zone/Bucket", code: "LIMITED" });
  });

  it("takes a query that came another way, as one of a call", () => {
    const { lines, log } = start(1);
    const query = { method: "DNS/udp", client: "192.0.2.1", code: "NXDOMAIN", durationMs: 0.12345 };
    log.note({ ...query, peer: "anonymous" });
    expect(lines, "off").to.deep.equal([]);
    log.set(true);
    log.note({ ...query, peer: "anonymous" });
    expect(lines[0]).to.include({ method: "DNS/udp", code: "NXDOMAIN", duration_ms: 0.123 });
    expect(JSON.stringify(lines)).not.to.contain("192.0.2");
  });

  it("writes a thousand lines a second at most and counts the rest", async () => {
    const { clock, lines, log, call } = start(1);
    log.set(true);
    for (let n = 0; n < 1_500; n += 1) await call("192.0.2.1");
    expect([lines.length, log.state().droppedLines]).to.deep.equal([1_000, 500]);
    await clock.advance(100);
    for (let n = 0; n < 200; n += 1) await call("192.0.2.1");
    expect(lines).to.have.length(1_100);
  });
});
