// The thread's side of the worker pool: answers one request after the other.
import { parentPort, type Transferable } from "node:worker_threads";
import { DiscoveryError, type ErrorCode } from "@whither/protocol";

export interface WorkerRequest<Request> {
  readonly request: Request;
}

export interface WorkerFailure {
  readonly kind: "failed";
  /** A registry code, `TypeError` for a mistake of the caller, undefined for anything else. */
  readonly code: ErrorCode | "TypeError" | undefined;
  readonly text: string;
}

export type WorkerReply<Response> =
  { readonly kind: "done"; readonly response: Response } | WorkerFailure;

export interface WorkerAnswer<Response> {
  readonly response: Response;
  /** Buffers that move to the caller instead of being copied. */
  readonly transfer?: readonly Transferable[];
}

/** Answers every request of the parent with `answer`; what it throws reaches the caller by code. */
// Request stands once: it makes the caller name what the pool's other side sends.
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters
export function serveWorker<Request, Response>(
  answer: (request: Request) => WorkerAnswer<Response> | Promise<WorkerAnswer<Response>>,
): void {
  const port = parentPort;
  if (port === null) throw new TypeError("serveWorker: this is no worker thread");
  const handle = async (request: Request): Promise<void> => {
    let reply: WorkerReply<Response>;
    let transfer: readonly Transferable[] = [];
    try {
      const answered = await answer(request);
      reply = { kind: "done", response: answered.response };
      transfer = answered.transfer ?? [];
    } catch (error) {
      reply = failedReply(error);
    }
    port.postMessage(reply, transfer);
  };
  port.on("message", ({ request }: WorkerRequest<Request>) => void handle(request));
}

export function failedReply(error: unknown): WorkerFailure {
  if (error instanceof DiscoveryError) {
    return { kind: "failed", code: error.code, text: error.text };
  }
  const text = error instanceof Error ? error.message : "not an error";
  return { kind: "failed", code: error instanceof TypeError ? "TypeError" : undefined, text };
}
