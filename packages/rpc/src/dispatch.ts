// Runs a handler, whichever form it takes, over one incoming call. Both transports come through
// here, so that a simulated network exercises the same code as a socket.
import type { DescMethod } from "@bufbuild/protobuf";
import { DiscoveryError } from "@whither/protocol";
import { abortError } from "@whither/runtime";
import type { IncomingCall } from "./calls.js";
import { decodeMessage, encodeMessage } from "./codec.js";
import type { MethodCodec } from "./codec.js";
import type { CallContext } from "./context.js";
import { serveCallback } from "./dispatch-callback.js";
import { MessageQueue } from "./message-queue.js";

type Serve = (call: IncomingCall, context: CallContext) => Promise<void>;
/** Any handler with its types erased; `service.ts` has checked them against the descriptor. */
type ErasedHandler = (request: unknown, context: CallContext) => unknown;

export function serveMethod(method: DescMethod, handler: unknown, self: unknown): Serve {
  const form = handlerForm(handler);
  if (form.kind === "notAvailable") {
    return () => {
      const error = new DiscoveryError("NOT_AVAILABLE", "this server does not offer that method");
      return Promise.reject(error);
    };
  }
  const codec: MethodCodec = {
    decode: form.raw ? (bytes) => bytes : (bytes) => decodeMessage(method.input, bytes),
    // The handler's return type was checked against the descriptor by ServiceImpl.
    encode: (response) => encodeMessage(method.output, response as Uint8Array),
  };
  const run = form.run.bind(self) as ErasedHandler; // a function by handlerForm, its types by ServiceImpl
  if (form.kind === "callback") return serveCallback(codec, run as never); // as above
  switch (method.methodKind) {
    case "unary":
      return async (call, context) => {
        const request = await oneMessage(call, context.signal);
        const response = await abortable(run(codec.decode(request), context), context.signal);
        call.send(codec.encode(response));
      };
    case "server_streaming":
      return async (call, context) => {
        const out = sender(call);
        const request = await oneMessage(call, context.signal, out.drained);
        // An AsyncIterable by ServiceImpl.
        const responses = run(codec.decode(request), context) as AsyncIterable<unknown>;
        await sendAll(responses, { codec, out, signal: context.signal });
      };
    case "client_streaming":
      return async (call, context) => {
        const requests = allMessages(call, { codec, signal: context.signal });
        const response = await abortable(run(requests, context), context.signal);
        call.send(codec.encode(response));
      };
    case "bidi_streaming":
      return async (call, context) => {
        const out = sender(call);
        const requests = allMessages(call, { codec, signal: context.signal, drained: out.drained });
        // An AsyncIterable by ServiceImpl.
        const responses = run(requests, context) as AsyncIterable<unknown>;
        await sendAll(responses, { codec, out, signal: context.signal });
      };
  }
}

type Form =
  | { readonly kind: "notAvailable" }
  | { readonly kind: "call" | "callback"; readonly raw: boolean; readonly run: CallableFunction };

function handlerForm(handler: unknown): Form {
  if (typeof handler === "function") return { kind: "call", raw: false, run: handler };
  if (typeof handler === "object" && handler !== null) {
    if ("notAvailable" in handler) return { kind: "notAvailable" };
    if ("raw" in handler && typeof handler.raw === "function") {
      return { kind: "call", raw: true, run: handler.raw };
    }
    if ("callback" in handler && typeof handler.callback === "function") {
      return { kind: "callback", raw: false, run: handler.callback };
    }
    if ("rawCallback" in handler && typeof handler.rawCallback === "function") {
      return { kind: "callback", raw: true, run: handler.rawCallback };
    }
  }
  throw new TypeError("a handler is a function or { raw }, { callback } or { rawCallback }");
}

/** The single request of a unary or server-streaming call. */
function oneMessage(
  call: IncomingCall,
  signal: AbortSignal,
  onDrain: () => void = () => undefined,
): Promise<Uint8Array> {
  return abortable(
    new Promise((resolve, reject) => {
      let request: Uint8Array | undefined;
      call.listen({
        onMessage(message) {
          if (request !== undefined) reject(wrongCount());
          request ??= message;
        },
        onHalfClose() {
          if (request === undefined) reject(wrongCount());
          else resolve(request);
        },
        onDrain,
      });
    }),
    signal,
  );
}

function wrongCount(): DiscoveryError {
  return new DiscoveryError("INVALID_DATA", "expected exactly one request message");
}

interface ReceiveOptions {
  readonly codec: MethodCodec;
  readonly signal: AbortSignal;
  readonly drained?: () => void;
}

function allMessages(
  call: IncomingCall,
  { codec, signal, drained = () => undefined }: ReceiveOptions,
): MessageQueue<unknown> {
  const queue = new MessageQueue<unknown>(call);
  call.listen({
    onMessage(bytes) {
      try {
        queue.push(codec.decode(bytes));
      } catch (error) {
        queue.fail(error);
      }
    },
    onHalfClose() {
      queue.end();
    },
    onDrain: drained,
  });
  onAbort(signal, () => {
    queue.fail(abortError(signal));
  });
  return queue;
}

interface Sender {
  readonly send: (message: Uint8Array) => boolean;
  /** To be called when the transport's queue has drained. */
  readonly drained: () => void;
  readonly waitForDrain: () => Promise<void>;
}

function sender(call: IncomingCall): Sender {
  let wake: (() => void) | undefined;
  return {
    send: (message) => call.send(message),
    drained() {
      wake?.();
      wake = undefined;
    },
    waitForDrain: () => new Promise((resolve) => (wake = resolve)),
  };
}

interface SendOptions {
  readonly codec: MethodCodec;
  readonly out: Sender;
  readonly signal: AbortSignal;
}

async function sendAll(
  responses: AsyncIterable<unknown>,
  { codec, out, signal }: SendOptions,
): Promise<void> {
  const iterator = responses[Symbol.asyncIterator]();
  try {
    for (;;) {
      const result = await abortable(iterator.next(), signal);
      if (result.done === true) return;
      if (!out.send(codec.encode(result.value))) await abortable(out.waitForDrain(), signal);
    }
  } catch (error) {
    // Not awaited: a generator stuck in its own await would hold the call open for ever.
    iterator.return?.().catch(() => undefined);
    throw error;
  }
}

/** The promise's outcome, or the abort's as soon as `signal` fires; the work itself must heed the signal. */
async function abortable<T>(work: T | Promise<T>, signal: AbortSignal): Promise<T> {
  if (!(work instanceof Promise)) return work;
  let stop: () => void = () => undefined;
  try {
    return await Promise.race([
      work,
      new Promise<never>((_resolve, reject) => {
        stop = onAbort(signal, () => {
          reject(abortError(signal));
        });
      }),
    ]);
  } finally {
    stop();
  }
}

/** Runs `act` on abort, at once if that has happened; the result takes the listener back. */
function onAbort(signal: AbortSignal, act: () => void): () => void {
  if (signal.aborted) {
    act();
    return () => undefined;
  }
  signal.addEventListener("abort", act, { once: true });
  return () => {
    signal.removeEventListener("abort", act);
  };
}
