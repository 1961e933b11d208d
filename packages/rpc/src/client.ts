// Typed calls over a Channel: promises and async iterables for what is called now and then, callbacks
// (openDuplex) for the long-lived streams that carry the load. Retries and correlation are the caller's.
import type {
  DescMethod,
  DescMessage,
  DescService,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import { DiscoveryError, isDiscoveryError } from "@whither/protocol";
import { abortError } from "@whither/runtime";
import type { Channel, OutgoingCall, OutgoingListener } from "./calls.js";
import { decodeMessage, encodeMessage } from "./codec.js";
import type { CallMetadata } from "./context.js";
import { MessageQueue } from "./message-queue.js";
import { methodPath } from "./service.js";

export interface CallOptions {
  /** Aborting cancels the call: CANCELLED, or DEADLINE if the signal timed out. */
  readonly signal?: AbortSignal;
  /** Sent to the server too, so that it stops working when nobody waits. */
  readonly timeoutMs?: number;
  readonly metadata?: CallMetadata;
}

/** A message, its fields, or its encoded bytes. */
type Input<M extends DescMethod> = MessageInitShape<M["input"]> | Uint8Array;
type Output<M extends DescMethod> = MessageShape<M["output"]>;

type ClientMethod<M extends DescMethod> = M["methodKind"] extends "unary"
  ? (request: Input<M>, options?: CallOptions) => Promise<Output<M>>
  : M["methodKind"] extends "server_streaming"
    ? (request: Input<M>, options?: CallOptions) => AsyncIterableIterator<Output<M>>
    : M["methodKind"] extends "client_streaming"
      ? (requests: AsyncIterable<Input<M>>, options?: CallOptions) => Promise<Output<M>>
      : (
          requests: AsyncIterable<Input<M>>,
          options?: CallOptions,
        ) => AsyncIterableIterator<Output<M>>;

export type Client<S extends DescService> = {
  readonly [Name in keyof S["method"]]: ClientMethod<S["method"][Name]>;
};

/**
 * A client of one service. Every failure is a DiscoveryError that names the channel's `host:port` as
 * upstream; leaving an iterable early cancels its call.
 */
export function createClient<S extends DescService>(desc: S, channel: Channel): Client<S> {
  const methods = desc.methods.map((method) => [method.localName, clientMethod(channel, method)]);
  return Object.fromEntries(methods) as Client<S>; // one entry per method, each in the form of its kind
}

function clientMethod(channel: Channel, method: DescMethod): unknown {
  type Request = MessageInitShape<DescMessage> | Uint8Array;
  const { upstream } = channel;
  const decode = (bytes: Uint8Array): unknown => decodeMessage(method.output, bytes, { upstream });
  const target = { channel, method };
  switch (method.methodKind) {
    case "unary":
      return async (request: Request, options?: CallOptions) =>
        decode(await callRaw(target, request, options));
    case "client_streaming":
      return async (requests: AsyncIterable<Request>, options?: CallOptions) =>
        decode(
          await single(upstream, stream(target, { decode: (bytes) => bytes, requests, options })),
        );
    case "server_streaming":
      return (request: Request, options?: CallOptions) =>
        stream(target, { decode, requests: one(request), options });
    case "bidi_streaming":
      return (requests: AsyncIterable<Request>, options?: CallOptions) =>
        stream(target, { decode, requests, options });
  }
}

export interface CallTarget<M extends DescMethod> {
  readonly channel: Channel;
  readonly method: M;
}

/** A unary call whose answer is wanted as the bytes received, to keep or pass on undecoded. */
export function callRaw<M extends DescMethod>(
  { channel, method }: CallTarget<M>,
  request: Input<M>,
  options: CallOptions = {},
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const bytes = encodeMessage<DescMessage>(method.input, request);
    let answer: Uint8Array | undefined;
    const call = start(channel, methodPath(method), options, {
      onMessage(message) {
        if (answer !== undefined) call.cancel();
        answer = message;
      },
      onDrain: () => undefined,
      onClose(error) {
        if (error !== undefined) reject(error);
        else if (answer === undefined) reject(wrongCount(channel.upstream));
        else resolve(answer);
      },
    });
    call.send(bytes);
    call.halfClose();
  });
}

export interface DuplexListener<Response> {
  onMessage(response: Response): void;
  /** Exactly once, last; undefined when the server ended with OK. */
  onClose(error: DiscoveryError | undefined): void;
  /** `send` may go on after it has returned false. */
  onDrain?(): void;
}

/** The client's end of a stream in callback form. */
export interface ClientDuplex<Request> {
  /** False: taken, but above the mark; wait for `onDrain`. Ignored after the close. */
  send(request: Request): boolean;
  /** Half-closes: the server answers what is open and then ends. */
  end(): void;
  cancel(): void;
  pause(): void;
  resume(): void;
}

/** Opens a long-lived stream; which answer belongs to which request is the caller's to know. */
export function openDuplex<M extends DescMethod>(
  target: CallTarget<M>,
  listener: DuplexListener<Output<M>>,
  options: CallOptions = {},
): ClientDuplex<Input<M>> {
  const { upstream } = target.channel;
  const schema: M["output"] = target.method.output;
  const duplex = openRawDuplex(
    target,
    {
      onMessage(bytes) {
        let message: MessageShape<M["output"]>;
        try {
          message = decodeMessage(schema, bytes, { upstream });
        } catch (error) {
          duplex.fail(error);
          return;
        }
        listener.onMessage(message);
      },
      onClose: (error) => listener.onClose(error),
      onDrain: () => listener.onDrain?.(),
    },
    options,
  );
  return duplex;
}

/** As openDuplex, with answers as the bytes received. */
export function openRawDuplex<M extends DescMethod>(
  { channel, method }: CallTarget<M>,
  listener: DuplexListener<Uint8Array>,
  options: CallOptions = {},
): ClientDuplex<Input<M>> & { readonly fail: (error: unknown) => void } {
  let over = false;
  const close = (error: DiscoveryError | undefined): void => {
    if (over) return;
    over = true;
    listener.onClose(error);
  };
  const call = start(channel, methodPath(method), options, {
    onMessage(message) {
      if (!over) listener.onMessage(message);
    },
    onDrain() {
      if (!over) listener.onDrain?.();
    },
    onClose: close,
  });
  return {
    send: (request) => !over && call.send(encodeMessage<DescMessage>(method.input, request)),
    end: () => call.halfClose(),
    cancel: () => call.cancel(),
    pause: () => call.pause(),
    resume: () => call.resume(),
    fail(error) {
      close(isDiscoveryError(error) ? error : undefined);
      call.cancel();
    },
  };
}

interface StreamOptions<T> {
  readonly decode: (bytes: Uint8Array) => T;
  readonly requests: AsyncIterable<MessageInitShape<DescMessage> | Uint8Array>;
  readonly options: CallOptions | undefined;
}

function stream<T>(
  { channel, method }: CallTarget<DescMethod>,
  { decode, requests, options = {} }: StreamOptions<T>,
): AsyncIterableIterator<T> {
  let wake: (() => void) | undefined;
  let over = false;
  const queue = new MessageQueue<T>(
    { pause: () => call.pause(), resume: () => call.resume() },
    () => call.cancel(),
  );
  const wakeSender = (): void => {
    wake?.();
    wake = undefined;
  };
  const call = start(channel, methodPath(method), options, {
    onMessage(bytes) {
      try {
        queue.push(decode(bytes));
      } catch (error) {
        queue.fail(error);
        call.cancel();
      }
    },
    onDrain: wakeSender,
    onClose(error) {
      over = true;
      wakeSender();
      if (error === undefined) queue.end();
      else queue.fail(error);
    },
  });
  const sendAll = async (): Promise<void> => {
    for await (const request of requests) {
      if (over) return;
      const free = call.send(encodeMessage<DescMessage>(method.input, request));
      if (!free) await new Promise<void>((resolve) => (wake = resolve));
    }
    call.halfClose();
  };
  sendAll().catch((error: unknown) => {
    queue.fail(error); // the caller's own iterable threw: it gets that back
    call.cancel();
  });
  return queue;
}

/** Starts a call and ties it to the options' signal. */
function start(
  channel: Channel,
  path: string,
  { signal, timeoutMs, metadata }: CallOptions,
  listener: OutgoingListener,
): OutgoingCall {
  if (signal?.aborted === true) return abortedCall(named(abortError(signal), channel), listener);
  let aborted: DiscoveryError | undefined;
  const onAbort = (): void => {
    if (signal !== undefined) aborted = named(abortError(signal), channel);
    call.cancel();
  };
  const options = {
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(metadata === undefined ? {} : { metadata }),
  };
  const call = channel.start(path, options, {
    onMessage: (message) => listener.onMessage(message),
    onDrain: () => listener.onDrain(),
    onClose(error) {
      signal?.removeEventListener("abort", onAbort);
      listener.onClose(error === undefined ? undefined : (aborted ?? error));
    },
  });
  signal?.addEventListener("abort", onAbort, { once: true });
  return call;
}

function named(error: DiscoveryError, { upstream }: Channel): DiscoveryError {
  return new DiscoveryError(error.code, error.text, { upstream, cause: error.cause });
}

function abortedCall(error: DiscoveryError, listener: OutgoingListener): OutgoingCall {
  queueMicrotask(() => listener.onClose(error));
  const ignore = (): void => undefined;
  return { send: () => false, halfClose: ignore, cancel: ignore, pause: ignore, resume: ignore };
}

async function single(
  upstream: string,
  messages: AsyncIterableIterator<Uint8Array>,
): Promise<Uint8Array> {
  let answer: Uint8Array | undefined;
  for await (const message of messages) {
    if (answer !== undefined) throw wrongCount(upstream);
    answer = message;
  }
  if (answer === undefined) throw wrongCount(upstream);
  return answer;
}

function wrongCount(upstream: string): DiscoveryError {
  return new DiscoveryError("INVALID_DATA", "expected exactly one response message", { upstream });
}

async function* one<T>(value: T): AsyncGenerator<T> {
  yield await Promise.resolve(value);
}
