import { DiscoveryError } from "@whither/protocol";
import { createSeededRandom, createSimulatedClock } from "@whither/testkit";
import { expect } from "chai";
import { createLogger, makeLogTag, silentLogger, type LogLevel } from "./logger.js";

function make(level: LogLevel = "info") {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  const clock = createSimulatedClock({ startMs: 1_800_000_000_000 });
  const logger = createLogger({ level, destination, clock });
  const last = (): Record<string, unknown> =>
    JSON.parse(lines.at(-1) ?? "null") as Record<string, unknown>; // our own line
  return { logger, lines, last };
}

describe("logger", () => {
  it("writes one JSON object a line, `event` first", () => {
    const { logger, lines } = make();
    logger.info("listening", { port: 7353 });
    expect(lines).to.deep.equal([
      '{"event":"listening","level":"info","time_ms":1800000000000,"port":7353}\n',
    ]);
  });

  it("stays one line of JSON whatever the event and fields hold", () => {
    const { logger, lines, last } = make();
    logger.warn('a"b\n', { text: 'x"\ny\u2028', nested: { deep: [1, { two: 2 }] } });
    expect(lines.at(-1)?.indexOf("\n")).to.equal((lines.at(-1)?.length ?? 0) - 1);
    expect(last()).to.deep.include({ event: 'a"b\n', text: 'x"\ny\u2028' });
  });

  it("adds a child's fields to every line, the line's own winning", () => {
    const { logger, last } = make();
    const child = logger.child({ zone: "rest@dp-c", peer: "a" }).child({ stream: 3 });
    child.error("evaluate refused", { peer: "b" });
    expect(last()).to.include({ zone: "rest@dp-c", peer: "b", stream: 3, level: "error" });
  });

  it("writes nothing below its level, and follows a change of it", () => {
    const { logger, lines } = make("warn");
    const child = logger.child({});
    child.info("quiet");
    child.debug("quiet");
    expect(lines).to.have.length(0);
    logger.setLevel("debug");
    child.debug("loud");
    expect(lines).to.have.length(1);
    logger.setLevel("silent");
    child.error("quiet");
    expect(lines).to.have.length(1);
  });

  const secrets: readonly (readonly [string, Record<string, unknown>])[] = [
    ["a CSI", { csi: "tel:+15550100123" }],
    ["a list of CSIs", { csis: ["tel:+15550100123"] }],
    ["a CSI one level down", { request: { csi: "tel:+15550100123" } }],
    ["a key", { key: "15550100123" }],
    ["a secret key", { secretKey: "15550100123" }],
    ["bytes", { blinded: Buffer.from("15550100123") }],
    ["bytes in a list", { elements: [Buffer.from("15550100123")] }],
  ];
  for (const [title, fields] of secrets) {
    it(`never writes ${title}`, () => {
      const { logger, lines } = make();
      logger.info("probe", fields);
      logger.child(fields).info("probe");
      expect(lines).to.have.length(2);
      expect(lines.join("")).to.not.contain("5550100123");
      expect(lines.join("")).to.not.contain(Buffer.from("15550100123").toString("base64"));
    });
  }

  it("writes an error by code, number and text, and the cause of a local one", () => {
    const { logger, last } = make();
    const cause = new Error("disk full");
    logger.error("commit failed", { error: new DiscoveryError("STORE", "no", { cause }) });
    expect(last()["error"]).to.deep.equal({
      code: "STORE",
      number: 49162,
      text: "no",
      cause: "disk full",
    });
    logger.error("peer failed", {
      error: new DiscoveryError("BOGUS", "no", { cause: new RangeError("tel:+15550100123") }),
    });
    expect(last()["error"]).to.deep.include({ code: "BOGUS", cause: "RangeError" });
  });

  it("writes u64 values as numbers while they are exact", () => {
    const { logger, last } = make();
    logger.info("published", { serial: 7n, large: 2n ** 64n - 1n });
    expect(last()).to.include({ serial: 7, large: "18446744073709551615" });
  });
});

describe("makeLogTag", () => {
  it("is the same for a text within a run and another in the next", () => {
    const tag = makeLogTag(createSeededRandom(1));
    expect(tag("tel:+15550100123")).to.match(/^[0-9a-f]{16}$/);
    expect(tag("tel:+15550100123")).to.equal(tag("tel:+15550100123"));
    expect(tag("tel:+15550100123")).to.not.equal(tag("tel:+15550100124"));
    expect(makeLogTag(createSeededRandom(2))("x")).to.not.equal(tag("x"));
  });
});

describe("silentLogger", () => {
  it("has children that say nothing either", () => {
    expect(silentLogger.child({ a: 1 })).to.equal(silentLogger);
  });
});
