import { DiscoveryError, isDiscoveryError } from "@whither/protocol";
import { expect } from "chai";
import { createWorkerPool, type WorkerPool } from "./worker-pool.js";

// A worker that does what its request says; `gate` waits on shared memory until the test opens it.
const source = `
  import { parentPort } from "node:worker_threads";
  parentPort.on("message", ({ request }) => {
    if (request.do === "die") process.exit(3);
    if (request.do === "throw") throw new Error("uncaught");
    if (request.do === "gate") Atomics.wait(request.gate, 0, 0);
    if (request.do === "fail") {
      parentPort.postMessage({ kind: "failed", code: request.code, text: "said the worker" });
      return;
    }
    parentPort.postMessage({ kind: "done", response: { n: request.n, bytes: request.bytes } });
  });`;
const url = new URL(`data:text/javascript,${encodeURIComponent(source)}`);

interface Request {
  readonly do: "echo" | "die" | "throw" | "gate" | "fail";
  readonly n?: number;
  readonly bytes?: Uint8Array;
  readonly code?: string | undefined;
  readonly gate?: Int32Array;
}
interface Response {
  readonly n?: number;
  readonly bytes?: Uint8Array;
}

let pool: WorkerPool<Request, Response>;
before(() => make(1));
const make = (threads: number, queueMax = 100): void => {
  pool = createWorkerPool<Request, Response>({ url, threads, queueMax });
};
afterEach(() => pool.close());

function makeGate(): { readonly gate: Int32Array; readonly open: () => void } {
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const open = (): void => {
    Atomics.store(gate, 0, 1);
    Atomics.notify(gate, 0);
  };
  return { gate, open };
}

const failureOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => expect.fail("expected a failure"),
    (error: unknown) => error,
  );

describe("worker pool", () => {
  it("answers each request with its own response, in order on one thread", async () => {
    make(1);
    const order: number[] = [];
    const answers = await Promise.all(
      [1, 2, 3, 4, 5].map(async (n) => {
        const answer = await pool.run({ do: "echo", n });
        order.push(n);
        return answer.n;
      }),
    );
    expect(answers).to.deep.equal([1, 2, 3, 4, 5]);
    expect(order).to.deep.equal([1, 2, 3, 4, 5]);
    expect(pool.depth()).to.equal(0);
  });

  it("runs as many requests at once as it has threads", async () => {
    make(2);
    const { gate, open } = makeGate();
    const blocked = pool.run({ do: "gate", gate, n: 1 });
    expect((await pool.run({ do: "echo", n: 2 })).n).to.equal(2);
    open();
    expect((await blocked).n).to.equal(1);
  });

  it("moves the buffers it is told to", async () => {
    make(1);
    const bytes = new Uint8Array([1, 2, 3]);
    const answer = await pool.run({ do: "echo", bytes }, { transfer: [bytes.buffer] });
    expect(bytes.length, "the caller has it no more").to.equal(0);
    expect([...(answer.bytes ?? [])]).to.deep.equal([1, 2, 3]);
  });

  for (const crash of ["die", "throw"] as const) {
    it(`rejects the request on which a thread does ${crash}, and answers the next on a new one`, async () => {
      make(1);
      const [first, second] = await Promise.allSettled([
        pool.run({ do: crash }),
        pool.run({ do: "echo", n: 7 }),
      ]);
      expect(first.status === "rejected" && isDiscoveryError(first.reason, "INTERNAL")).to.be.true;
      expect(second.status === "fulfilled" && second.value.n).to.equal(7);
    });
  }

  const failures: readonly (readonly [string | undefined, (error: unknown) => boolean])[] = [
    ["INVALID_ELEMENT", (error) => isDiscoveryError(error, "INVALID_ELEMENT")],
    ["TypeError", (error) => error instanceof TypeError],
    [undefined, (error) => isDiscoveryError(error, "INTERNAL")],
  ];
  for (const [code, matches] of failures) {
    it(`passes on a failure of code ${code} and keeps its thread`, async () => {
      make(1);
      expect(matches(await failureOf(pool.run({ do: "fail", code })))).to.be.true;
      expect((await pool.run({ do: "echo", n: 1 })).n).to.equal(1);
    });
  }

  it("refuses work beyond its queue", async () => {
    make(1, 2);
    const { gate, open } = makeGate();
    const runs = [
      pool.run({ do: "gate", gate, n: 0 }),
      pool.run({ do: "echo", n: 1 }),
      pool.run({ do: "echo", n: 2 }),
    ];
    const error = await failureOf(pool.run({ do: "echo", n: 3 }));
    expect(isDiscoveryError(error, "OVERLOADED")).to.be.true;
    expect(pool.depth()).to.equal(3);
    open();
    expect((await Promise.all(runs)).map((answer) => answer.n)).to.deep.equal([0, 1, 2]);
  });

  it("drops waiting work when its caller leaves, and rejects at once", async () => {
    make(1);
    const { gate, open } = makeGate();
    const blocked = pool.run({ do: "gate", gate });
    const controller = new AbortController();
    const waiting = failureOf(pool.run({ do: "die" }, { signal: controller.signal }));
    const reason = new DiscoveryError("DEADLINE", "late");
    controller.abort(reason);
    expect(await waiting).to.equal(reason);
    expect(pool.depth()).to.equal(1);
    open();
    await blocked;
    expect((await pool.run({ do: "echo", n: 1 })).n, "the thread was never told to die").to.equal(
      1,
    );
  });

  it("drops the result of running work when its caller leaves, and goes on", async () => {
    make(1);
    const { gate, open } = makeGate();
    const controller = new AbortController();
    const running = failureOf(pool.run({ do: "gate", gate }, { signal: controller.signal }));
    controller.abort();
    expect(isDiscoveryError(await running, "CANCELLED")).to.be.true;
    open();
    expect((await pool.run({ do: "echo", n: 2 })).n).to.equal(2);
  });

  it("takes nothing under an aborted signal", async () => {
    make(1);
    await failureOf(pool.run({ do: "echo" }, { signal: AbortSignal.abort() }));
    expect(pool.depth()).to.equal(0);
  });

  it("rejects what it cannot send, and goes on", async () => {
    make(1);
    const unclonable = { do: "echo", n: () => 1 } as unknown as Request;
    const error = await failureOf(pool.run(unclonable));
    expect((error as Error).name).to.equal("DataCloneError");
    expect((await pool.run({ do: "echo", n: 2 })).n).to.equal(2);
  });

  it("finishes what runs on close, and rejects what waits and what comes", async () => {
    make(1);
    const { gate, open } = makeGate();
    const running = pool.run({ do: "gate", gate, n: 1 });
    const waiting = failureOf(pool.run({ do: "echo" }));
    const closing = pool.close();
    expect(isDiscoveryError(await waiting, "OVERLOADED")).to.be.true;
    expect(isDiscoveryError(await failureOf(pool.run({ do: "echo" })), "OVERLOADED")).to.be.true;
    open();
    expect((await running).n).to.equal(1);
    await closing;
  });

  it("refuses to have no threads", () => {
    expect(() => make(0)).to.throw(TypeError, "threads");
  });
});
