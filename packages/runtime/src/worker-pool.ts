// Worker threads for arithmetic that would block the event loop: typed requests, a bounded queue, one
// request a thread at a time. A crashed thread rejects its request and is replaced on demand.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { Worker, type Transferable } from "node:worker_threads";
import { DiscoveryError } from "@whither/protocol";
import { abortError } from "./clock.js";
import type { WorkerFailure, WorkerReply, WorkerRequest } from "./worker-port.js";

export interface WorkerPoolOptions {
  /** The worker's module; it calls `serveWorker`. */
  readonly url: URL;
  /** Threads at most, ≥ 1; made when first needed. */
  readonly threads: number;
  /** Requests waiting at most; one more is refused as OVERLOADED. */
  readonly queueMax: number;
}

export interface RunOptions {
  /** Buffers that move to the thread instead of being copied; the caller loses them. */
  readonly transfer?: readonly Transferable[];
  /** Drops the request while it waits; once it runs, its result is dropped. */
  readonly signal?: AbortSignal | undefined;
}

export interface WorkerPool<Request, Response> extends AsyncDisposable {
  /**
   * Has a thread answer `request`. Throws what the worker's function threw (a DiscoveryError by code),
   * OVERLOADED when the queue is full or the pool closed, INTERNAL when the thread died.
   */
  run(request: Request, options?: RunOptions): Promise<Response>;
  /** Requests waiting and running. */
  depth(): number;
  /** Rejects what waits, lets what runs finish, ends the threads. */
  close(): Promise<void>;
}

interface Job<Request, Response> {
  readonly request: Request;
  readonly transfer: readonly Transferable[];
  resolve(response: Response): void;
  reject(error: Error): void;
}

interface Thread<Request, Response> {
  readonly worker: Worker;
  job: Job<Request, Response> | undefined;
}

export function createWorkerPool<Request, Response>(
  options: WorkerPoolOptions,
): WorkerPool<Request, Response> {
  const { threads: threadsMax, queueMax } = options;
  if (!Number.isInteger(threadsMax) || threadsMax < 1) {
    throw new TypeError(`worker pool: expected 1 or more threads, got ${threadsMax}`);
  }
  const threads = new Set<Thread<Request, Response>>();
  const queue = new Set<Job<Request, Response>>();
  let idle: (() => void) | undefined;
  let closing: Promise<void> | undefined;

  const running = (): number => [...threads].filter((thread) => thread.job !== undefined).length;
  const settle = (thread: Thread<Request, Response>): Job<Request, Response> | undefined => {
    const job = thread.job;
    thread.job = undefined;
    thread.worker.unref(); // an idle thread keeps no process alive
    return job;
  };
  const startThread = (): Thread<Request, Response> => {
    const thread: Thread<Request, Response> = { worker: startWorker(options.url), job: undefined };
    threads.add(thread);
    thread.worker.on("message", (reply: WorkerReply<Response>) => {
      const job = settle(thread);
      if (reply.kind === "done") job?.resolve(reply.response);
      else job?.reject(openFailure(reply));
      pump();
    });
    const onDeath = (cause: unknown): void => {
      if (!threads.delete(thread)) return;
      settle(thread)?.reject(new DiscoveryError("INTERNAL", "a worker thread died", { cause }));
      pump();
    };
    thread.worker.on("error", onDeath);
    thread.worker.on("messageerror", onDeath);
    thread.worker.on("exit", (code) => onDeath(new Error(`worker exit code ${code}`)));
    return thread;
  };
  const freeThread = (): Thread<Request, Response> | undefined => {
    for (const thread of threads) if (thread.job === undefined) return thread;
    return threads.size < threadsMax ? startThread() : undefined;
  };
  const pump = (): void => {
    for (const job of queue) {
      const thread = freeThread();
      if (thread === undefined) break;
      queue.delete(job);
      thread.job = job;
      thread.worker.ref();
      try {
        const message: WorkerRequest<Request> = { request: job.request };
        thread.worker.postMessage(message, job.transfer);
      } catch (error) {
        // What cannot be cloned; the thread has seen nothing of it.
        settle(thread)?.reject(error instanceof Error ? error : new TypeError("not cloneable"));
      }
    }
    if (queue.size === 0 && running() === 0) idle?.();
  };
  const run = (request: Request, runOptions: RunOptions = {}): Promise<Response> =>
    new Promise<Response>((resolve, reject) => {
      const { signal, transfer = [] } = runOptions;
      if (signal?.aborted === true || closing !== undefined) {
        const gone = signal?.aborted === true ? abortError(signal) : undefined;
        reject(gone ?? overloaded("the worker pool is closed"));
        return;
      }
      const onAbort = (): void => {
        queue.delete(job);
        if (signal !== undefined) reject(abortError(signal));
      };
      const job: Job<Request, Response> = {
        request,
        transfer,
        resolve: (response) => {
          signal?.removeEventListener("abort", onAbort);
          resolve(response);
        },
        reject: (error) => {
          signal?.removeEventListener("abort", onAbort);
          reject(error);
        },
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      queue.add(job);
      pump();
      if (queue.size > queueMax) {
        queue.delete(job);
        job.reject(overloaded("too much work is waiting for a thread"));
      }
    });
  const closeAll = async (): Promise<void> => {
    for (const job of queue) job.reject(overloaded("the worker pool is closing"));
    queue.clear();
    if (running() > 0) await new Promise<void>((resolve) => (idle = resolve));
    await Promise.all([...threads].map((thread) => thread.worker.terminate()));
  };
  const close = (): Promise<void> => (closing ??= closeAll());
  return { run, depth: () => queue.size + running(), close, [Symbol.asyncDispose]: close };
}

function overloaded(text: string): DiscoveryError {
  return new DiscoveryError("OVERLOADED", text);
}

/** The error that a thread's failed reply stands for. */
export function openFailure(reply: WorkerFailure): Error {
  if (reply.code === "TypeError") return new TypeError(reply.text);
  if (reply.code !== undefined) return new DiscoveryError(reply.code, reply.text);
  return new DiscoveryError("INTERNAL", "a worker failed", { cause: new Error(reply.text) });
}

/**
 * A thread on the compiled module, or on its TypeScript source where the parent runs from source: Node
 * 20 does not carry `--import tsx` over into threads, so the thread registers it itself.
 */
function startWorker(url: URL): Worker {
  const worker = new Worker(url.pathname.endsWith(".ts") ? sourceEntry(url) : url);
  worker.unref();
  return worker;
}

function sourceEntry(url: URL): URL {
  const require = createRequire(import.meta.url);
  const api = new URL("index.mjs", pathToFileURL(require.resolve("tsx/esm/api")));
  const lines = [
    `import { register } from ${JSON.stringify(api.href)};`,
    "register();",
    `await import(${JSON.stringify(url.href)});`,
  ];
  return new URL(`data:text/javascript,${encodeURIComponent(lines.join("\n"))}`);
}

/** The URL of worker module `name` beside `from` (an import.meta.url), in the form that `from` has. */
export function workerUrl(name: string, from: string): URL {
  return new URL(`./${name}${from.endsWith(".ts") ? ".ts" : ".js"}`, from);
}
