// The forms a handler may take, with types inferred from the generated service descriptor. They are
// bound by service.ts and run by dispatch.ts.
import type { DescMethod, DescService, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import type { CallContext } from "./context.js";

/** What a handler answers: a message, its fields, or bytes that are already an encoded message. */
export type ResponseOf<M extends DescMethod> = MessageInitShape<M["output"]> | Uint8Array;
export type RequestOf<M extends DescMethod> = MessageShape<M["input"]>;

/**
 * The server's end of a stream in callback form: the hot path, since an async iterator halves the rate.
 * Reading pauses by itself while `send` is above its mark, so a stream that answers what it is asked
 * stays bounded; a handler that starts work per message bounds its own work with `pause`.
 */
export interface ServerDuplex<Request, Response> {
  /** False: taken, but the peer reads too slowly; `onDrain` tells when to go on. */
  send(response: Response): boolean;
  /** Ends the call with status OK. */
  end(): void;
  /** Ends the call with this error; anything but a DiscoveryError becomes INTERNAL. */
  fail(error: unknown): void;
  /** Messages arrive once this is set; set it before the handler returns. */
  onMessage(listener: (request: Request) => void): void;
  /**
   * The client has half-closed, or the server drains: answer what is open, then `end`. Without a listener the
   * call ends. May be told twice.
   * Node's HTTP/2 clients half-close a moment before they reset, so this is never the sign to commit
   * something: what has to be whole is whole within one message.
   */
  onEnd(listener: () => void): void;
  onDrain(listener: () => void): void;
  pause(): void;
  resume(): void;
}

type UnaryHandler<Request, Response> = (
  request: Request,
  context: CallContext,
) => Promise<Response> | Response;
type ServerStreamHandler<Request, Response> = (
  request: Request,
  context: CallContext,
) => AsyncIterable<Response>;
type ClientStreamHandler<Request, Response> = (
  requests: AsyncIterable<Request>,
  context: CallContext,
) => Promise<Response>;
type BidiHandler<Request, Response> = (
  requests: AsyncIterable<Request>,
  context: CallContext,
) => AsyncIterable<Response>;
type CallbackHandler<Request, Response> = (
  context: CallContext,
  stream: ServerDuplex<Request, Response>,
) => void;

/** A method that this server does not offer: answers NOT_AVAILABLE. */
export const notAvailable = { notAvailable: true } as const;

/** `raw` forms get the request as its encoded bytes and so never decode what they only forward. */
export type MethodImpl<M extends DescMethod> =
  | typeof notAvailable
  | (M["methodKind"] extends "unary"
      ? | UnaryHandler<RequestOf<M>, ResponseOf<M>>
        | { readonly raw: UnaryHandler<Uint8Array, ResponseOf<M>> }
      : M["methodKind"] extends "server_streaming"
        ? | ServerStreamHandler<RequestOf<M>, ResponseOf<M>>
          | { readonly raw: ServerStreamHandler<Uint8Array, ResponseOf<M>> }
        : M["methodKind"] extends "client_streaming"
          ? | ClientStreamHandler<RequestOf<M>, ResponseOf<M>>
            | { readonly raw: ClientStreamHandler<Uint8Array, ResponseOf<M>> }
          : | BidiHandler<RequestOf<M>, ResponseOf<M>>
            | { readonly raw: BidiHandler<Uint8Array, ResponseOf<M>> }
            | { readonly callback: CallbackHandler<RequestOf<M>, ResponseOf<M>> }
            | { readonly rawCallback: CallbackHandler<Uint8Array, ResponseOf<M>> });

export type ServiceImpl<S extends DescService> = {
  readonly [Name in keyof S["method"]]: MethodImpl<S["method"][Name]>;
};
