import { expect } from "chai";
import { createDirectoryService } from "@whither/authority";
import { DiscoveryError, parsePrefix } from "@whither/protocol";
import { createMemoryNetwork, type Channel } from "@whither/rpc";
import {
  createSeededRandom,
  createSimulatedClock,
  directoryFixtureSeconds,
  makeArtefact,
  outcomeOfLater,
} from "@whither/testkit";
import { DirectoryServer } from "./directory-server.js";

const germany = parsePrefix("tel:+49");
const address = "root.example:7363";
const signal = new AbortController().signal;

/** A server, and one client whose connections have names: `connection 1`, `connection 2`. */
function setUp() {
  const clock = createSimulatedClock({ startMs: (directoryFixtureSeconds + 60) * 1_000 });
  const network = createMemoryNetwork({ clock, random: createSeededRandom(1) });
  const directory = createDirectoryService(makeArtefact());
  network.serve(address, { services: [directory.service], clients: { kind: "none" } });
  const opened: string[] = [];
  const closed: string[] = [];
  const server = new DirectoryServer({
    from: { host: "root.example", port: 7363 },
    caPem: "",
    clock,
    openChannel: ({ host, port }): Channel => {
      const from = `connection ${opened.length + 1}`;
      opened.push(from);
      const channel = network.connect(`${host}:${port}`, { from });
      const close = (): void => {
        closed.push(from);
        channel.close();
      };
      return { ...channel, close };
    },
  });
  return { clock, network, directory, server, opened, closed };
}

async function failureOf(work: Promise<unknown>): Promise<DiscoveryError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof DiscoveryError) return error;
    throw error;
  }
  throw new Error("expected a failure");
}

describe("the connection to a directory's server", () => {
  it("is one for all calls", async () => {
    const { server, opened, closed } = setUp();
    await server.refer(germany, { signal });
    await server.records("dp", { signal });
    expect([opened.length, closed.length]).to.deep.equal([1, 0]);
    server[Symbol.dispose]();
    expect(closed).to.deep.equal(["connection 1"]);
  });

  it("that is silently dead is taken down at the first deadline; the next call has another", async () => {
    const { clock, network, server, opened, closed } = setUp();
    await server.refer(germany, { signal });
    await clock.advance(1_000);
    network.setFaults({ from: "connection 1" }, { partition: "silent" });
    const waiting = failureOf(server.refer(germany, { signal }));
    await clock.advance(2_000);
    expect(await waiting).to.include({ code: "UNREACHABLE", upstream: address });
    expect(closed).to.deep.equal(["connection 1"]);
    await server.refer(germany, { signal });
    expect(opened).to.deep.equal(["connection 1", "connection 2"]);
  });

  it("takes the other calls over it along, as unreachable and not as given up", async () => {
    const { clock, network, server } = setUp();
    const watch = server.watch({ signal });
    await watch.next();
    await clock.advance(1_000);
    network.setFaults({ from: "connection 1" }, { partition: "silent" });
    const waiting = failureOf(server.refer(germany, { signal }));
    await clock.advance(1_000);
    const later = failureOf(server.records("dp", { signal }));
    const push = failureOf(watch.next());
    await clock.advance(1_000);
    for (const failure of [waiting, later, push])
      expect((await failure).code).to.equal("UNREACHABLE");
  });

  it("stays when something else came over it meanwhile: then one answer is late, and nothing dead", async () => {
    const { clock, network, directory, server, closed } = setUp();
    const watch = server.watch({ signal });
    await watch.next();
    network.setFaults({ from: "connection 1" }, { delayMs: 1_500 });
    await clock.advance(1_000);
    const late = failureOf(server.refer(germany, { signal })); // 3 s there and back
    const push = watch.next();
    directory.replace(makeArtefact());
    await clock.advance(2_000);
    await push;
    expect((await late).code).to.equal("UNREACHABLE");
    expect(closed).to.deep.equal([]);
  });

  it("stays when its caller leaves, whose time may have been short", async () => {
    const { clock, network, server, closed } = setUp();
    network.setFaults({ from: "connection 1" }, { partition: "silent" });
    const caller = new AbortController();
    const left = outcomeOfLater(server.refer(germany, { signal: caller.signal }));
    await clock.advance(500);
    caller.abort(new DiscoveryError("CANCELLED", "the caller left"));
    expect(await left).to.equal("CANCELLED");
    expect(closed).to.deep.equal([]);
  });
});
