import { expect } from "chai";
import { DiscoveryError } from "@whither/protocol";
import { createClient, createMemoryNetwork } from "@whither/rpc";
import { createLogger, createMetrics } from "@whither/runtime";
import { createSeededRandom, createSimulatedClock } from "@whither/testkit";
import { Control, Switch } from "@whither/wire";
import { commonControl } from "./common-control.js";
import { createControlService } from "./control-service.js";
import { createQueryLog } from "./query-log.js";

/** A daemon of which only its operator's view is real. */
function start(config: object, { reloadFailure }: { readonly reloadFailure?: unknown } = {}) {
  const clock = createSimulatedClock();
  const random = createSeededRandom(1);
  const logger = createLogger({ clock, destination: { write: () => undefined } });
  const queryLog = createQueryLog({ clock, random, logger });
  const handlers = commonControl({
    name: "whither-dnsd",
    version: "1.2.3",
    configPath: "/etc/whither/dnsd.yaml",
    config: () => config,
    zones: () => [],
    expiries: () => [],
    metrics: createMetrics(),
    queryLog,
    logger,
    clock,
    reload: () => Promise.resolve({ restartNeeded: [], zones: [] }),
    reloadFailure: () => reloadFailure,
    drain: () => Promise.resolve(),
    stop: () => undefined,
  });
  const network = createMemoryNetwork({ clock, random });
  const services = [createControlService({ name: "whither-dnsd", handlers })];
  network.serve("control:1", { services, clients: { kind: "none" } });
  return { queryLog, client: createClient(Control, network.connect("control:1")) };
}

describe("what every daemon answers its operator", () => {
  it("shows the configuration in its order, keys as the file spells them, whole", async () => {
    const template = { service: "E2U+sip", uri: "sip:{number}@{msp}" };
    const { client } = start({
      logLevel: "info",
      identity: { certificateFile: "/etc/whither/a.pem", keyFile: "/etc/whither/a-key.pem" },
      services: { default: [template], byMsp: new Map([["wireExample.example", [template]]]) },
      cacheBytes: 5,
    });
    const { path, json } = await client.showConfig({});
    expect(path).to.equal("/etc/whither/dnsd.yaml");
    expect(json).to.equal(
      '{"log_level":"info","identity":{"certificate_file":"/etc/whither/a.pem",' +
        '"key_file":"/etc/whither/a-key.pem"},"services":{"default":[{"service":"E2U+sip",' +
        '"uri":"sip:{number}@{msp}"}],"by_msp":{"wireExample.example":[{"service":"E2U+sip",' +
        '"uri":"sip:{number}@{msp}"}]}},"cache_bytes":5}',
    );
  });

  it("counts the lines of the query log, and those left out, over its switching", async () => {
    const { client, queryLog } = start({});
    const note = (count: number): void => {
      for (let n = 0; n < count; n += 1) {
        const query = { method: "DNS/udp", client: "192.0.2.1", code: "NOERROR" };
        queryLog.note({ ...query, peer: "anonymous", durationMs: undefined });
      }
    };
    note(5);
    expect(await client.queryLog({})).to.include({ enabled: false, lines: 0n, droppedLines: 0n });
    expect(await client.queryLog({ set: Switch.ON })).to.include({ enabled: true, lines: 0n });
    note(1_200);
    const off = await client.queryLog({ set: Switch.OFF });
    expect(off).to.include({ enabled: false, lines: 1_000n, droppedLines: 200n });
    note(5);
    expect(await client.queryLog({}), "asking changes nothing").to.deep.equal(off);
  });

  it("says for as long as it is so that the last reload changed nothing, and why", async () => {
    expect((await start({}).client.status({})).reloadProblem).to.equal("");
    const reloadFailure = new DiscoveryError("CONFIG", "the certificate has ended");
    expect((await start({}, { reloadFailure }).client.status({})).reloadProblem).to.contain(
      "the certificate has ended",
    );
    const defect = await start({}, { reloadFailure: new TypeError("secret") }).client.status({});
    expect(defect.reloadProblem).to.equal("the daemon failed: see its log");
  });

  it("says of what it has not who has it", async () => {
    const { client } = start({});
    const failure: unknown = await client.transfer({ zone: "x" }).catch((error: unknown) => error);
    expect(String(failure)).to.contain("whither-dnsd has no zone with a primary");
  });
});
