import { EventEmitter } from "node:events";
import { DiscoveryError } from "@whither/protocol";
import { createSimulatedClock } from "@whither/testkit";
import { expect } from "chai";
import { configError } from "./config-issues.js";
import { runDaemon, type DaemonProcess, type DaemonScope } from "./lifecycle.js";
import { createLogger } from "./logger.js";

/** A process that takes signals from the test and notes what is printed. */
function makeProcess() {
  const signals = new EventEmitter();
  const printed: string[] = [];
  const self: DaemonProcess = {
    on: (signal, listener) => signals.on(signal, listener),
    off: (signal, listener) => signals.off(signal, listener),
    stderr: { write: (text) => printed.push(text) },
  };
  const clock = createSimulatedClock();
  const events: string[] = [];
  const destination = {
    write: (line: string) => void events.push((JSON.parse(line) as { event: string }).event),
  };
  const logger = createLogger({ destination, clock });
  const run = (start: (scope: DaemonScope) => Promise<void>): Promise<void> =>
    runDaemon(start, { process: self, logger, clock, drainMs: 1_000 });
  return { self, signals, printed, clock, events, run };
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("runDaemon", () => {
  for (const signal of ["SIGTERM", "SIGINT"]) {
    it(`drains on ${signal}: aborts its signal, closes in reverse order, exits 0`, async () => {
      const { self, signals, events, run } = makeProcess();
      const closed: string[] = [];
      const running = run(async (scope) => {
        scope.defer(() => void closed.push(`store ${scope.signal.aborted}`));
        scope.defer(() => void closed.push("server"));
        await Promise.resolve();
        scope.listening({ port: 1 });
      });
      await settle();
      expect(closed, "it stays until told").to.deep.equal([]);
      signals.emit(signal);
      await running;
      expect(closed).to.deep.equal(["server", "store true"]);
      expect(events).to.deep.equal(["listening", "draining", "stopped"]);
      expect(self.exitCode).to.equal(0);
      expect(signals.eventNames(), "signals have their default action again").to.deep.equal([]);
    });
  }

  it("tells a supervisor that it is ready, and serves also where that cannot be told", async () => {
    const { self, signals, events, run } = makeProcess();
    const env = { NOTIFY_SOCKET: "/run/systemd/notify", PATH: "/nonexistent" };
    Object.assign(self, { env, pid: 4711 });
    const running = run(async (scope) => {
      await Promise.resolve();
      scope.listening({});
    });
    while (!events.includes("readiness not told")) await settle();
    expect(events).to.deep.equal(["listening", "readiness not told"]);
    signals.emit("SIGTERM");
    await running;
    expect(self.exitCode).to.equal(0);
  });

  it("prints every configuration mistake and a hint, closes what was open and exits 1", async () => {
    const { self, printed, events, run } = makeProcess();
    let closed = false;
    await run((scope) => {
      scope.defer(() => void (closed = true));
      const issue = { file: "dpd.yaml", line: 3, expected: "a size" };
      throw configError([
        { ...issue, key: "cache", got: "7" },
        { ...issue, line: 4, key: "queue", got: "" },
      ]);
    });
    expect(printed.join("")).to.equal(
      "error: dpd.yaml:3: cache: got 7, expected a size\n" +
        "error: dpd.yaml:4: queue: got nothing, expected a size\n" +
        "hint: check a file without starting: --check\n",
    );
    expect(closed).to.be.true;
    expect(events).to.deep.equal([]);
    expect(self.exitCode).to.equal(1);
  });

  it("tells a second process on one store what to do", async () => {
    const { self, printed, run } = makeProcess();
    await run(() => Promise.reject(new DiscoveryError("STORE_LOCKED", "in use by process 7")));
    expect(printed.join("")).to.match(/^error: in use by process 7\nhint: stop the other process/);
    expect(self.exitCode).to.equal(1);
  });

  it("ends quietly when a signal comes during the start", async () => {
    const { self, signals, printed, run } = makeProcess();
    const running = run(async ({ signal }) => {
      await new Promise<void>((_resolve, reject) => {
        signal.addEventListener("abort", () => reject(new Error("start was cut short")));
      });
    });
    signals.emit("SIGTERM");
    await running;
    expect(printed).to.deep.equal([]);
    expect(self.exitCode).to.equal(0);
  });

  it("drains when told to stop from inside", async () => {
    const { self, run } = makeProcess();
    await run(async (scope) => {
      await Promise.resolve();
      scope.stop();
    });
    expect(self.exitCode).to.equal(0);
  });

  it("exits 1 when something fails to close, after closing the rest", async () => {
    const { self, signals, events, run } = makeProcess();
    let closed = false;
    const running = run(async (scope) => {
      scope.defer(() => void (closed = true));
      scope.defer(() => Promise.reject(new Error("stuck")));
      await Promise.resolve();
    });
    await settle();
    signals.emit("SIGTERM");
    await running;
    expect(closed).to.be.true;
    expect(events).to.include("close failed");
    expect(self.exitCode).to.equal(1);
  });

  it("lets a second signal kill once the drain is overdue, not before, and says 1 until it has closed", async () => {
    const { signals, clock, events, run, self } = makeProcess();
    let finish = (): void => undefined;
    const running = run(async (scope) => {
      scope.defer(() => new Promise<void>((resolve) => (finish = resolve)));
      await Promise.resolve();
    });
    await settle();
    signals.emit("SIGTERM");
    await clock.advance(999);
    expect(signals.listenerCount("SIGTERM")).to.equal(1);
    await clock.advance(1);
    expect(signals.listenerCount("SIGTERM")).to.equal(0);
    expect(events).to.include("drain overdue");
    expect(self.exitCode).to.equal(1);
    finish();
    await running;
    expect(self.exitCode).to.equal(0);
  });

  it("reloads on SIGHUP, one at a time, and once more for requests meanwhile", async () => {
    const { signals, events, run } = makeProcess();
    let running = 0;
    let most = 0;
    let count = 0;
    const done = run(async (scope) => {
      scope.onReload(async () => {
        running += 1;
        most = Math.max(most, running);
        await settle();
        count += 1;
        running -= 1;
      });
      await Promise.resolve();
    });
    signals.emit("SIGHUP");
    await Promise.resolve();
    for (let n = 0; n < 5; n += 1) signals.emit("SIGHUP");
    signals.emit("SIGTERM");
    await done;
    expect([most, count]).to.deep.equal([1, 2]);
    expect(events.filter((event) => event === "reloaded")).to.have.length(2);
  });

  it("tells who asks for a reload what came of it", async () => {
    const { signals, events, run } = makeProcess();
    let ask: () => Promise<string> = () => Promise.reject(new TypeError("not started"));
    let failure = (): unknown => undefined;
    const outcomes = [
      () => Promise.resolve("first"),
      () => Promise.reject(new DiscoveryError("CONFIG", "bad file")),
      () => Promise.resolve("third"),
    ];
    const done = run(async (scope) => {
      ask = scope.onReload(() => outcomes.shift()?.() ?? Promise.reject(new TypeError("too many")));
      failure = () => scope.reloadFailure();
      await Promise.resolve();
    });
    const first = await ask();
    expect(failure()).to.equal(undefined);
    const second = await ask().catch((error: unknown) => String(error));
    expect(String(failure())).to.equal(second);
    const third = await Promise.all([ask(), ask()]);
    expect([first, second, ...third]).to.deep.equal([
      "first",
      "DiscoveryError: CONFIG: bad file",
      "third",
      "third",
    ]);
    expect(failure(), "the last one counts").to.equal(undefined);
    expect(events).to.deep.equal(["reloaded", "reload failed", "reloaded"]);
    signals.emit("SIGTERM");
    await done;
  });

  it("stays up when a reload fails", async () => {
    const { self, signals, events, run } = makeProcess();
    const done = run(async (scope) => {
      scope.onReload(() => Promise.reject(new DiscoveryError("CONFIG", "bad file")));
      await Promise.resolve();
    });
    await settle();
    signals.emit("SIGHUP");
    await settle();
    expect(events).to.deep.equal(["reload failed"]);
    signals.emit("SIGTERM");
    await done;
    expect(self.exitCode).to.equal(0);
  });
});
