// The callback form of a bidirectional handler: no iterator and no promise per message.
import { abortError } from "@whither/runtime";
import type { IncomingCall } from "./calls.js";
import type { CallContext } from "./context.js";
import type { MethodCodec } from "./codec.js";
import { asError } from "./errors.js";
import type { ServerDuplex } from "./handlers.js";

export function serveCallback(
  codec: MethodCodec,
  run: (context: CallContext, stream: ServerDuplex<unknown, unknown>) => void,
): (call: IncomingCall, context: CallContext) => Promise<void> {
  return (call, context) =>
    new Promise<void>((resolve, reject) => {
      const { signal, draining } = context;
      const onLeft = (): void => {
        settle(() => {
          reject(abortError(signal));
        });
      };
      let over = false;
      const settle = (outcome: () => void): void => {
        if (over) return;
        over = true;
        signal.removeEventListener("abort", onLeft);
        draining.removeEventListener("abort", onDraining);
        outcome();
      };
      if (signal.aborted) {
        onLeft();
        return;
      }
      signal.addEventListener("abort", onLeft, { once: true });
      const fail = (error: unknown): void => {
        settle(() => {
          reject(asError(error));
        });
      };
      const { duplex, finish } = openDuplex({
        ...{ call, codec, fail },
        ...{ isOver: () => over, end: () => settle(resolve) },
      });
      // The same as when the client has no more to ask: what is owed is answered, then the stream ends.
      const onDraining = finish;
      draining.addEventListener("abort", onDraining, { once: true });
      try {
        run(context, duplex);
        if (draining.aborted) finish();
      } catch (error) {
        fail(error);
      }
    });
}

interface DuplexParts {
  readonly call: IncomingCall;
  readonly codec: MethodCodec;
  readonly isOver: () => boolean;
  readonly end: () => void;
  readonly fail: (error: unknown) => void;
}

interface Duplex {
  readonly duplex: ServerDuplex<unknown, unknown>;
  /** Nothing more will be asked. */
  readonly finish: () => void;
}

function openDuplex({ call, codec, isOver, end, fail }: DuplexParts): Duplex {
  let onDrain: () => void = () => undefined;
  let onEnd = end;
  // Reading stops for two reasons, the handler's wish and a full send queue; it goes on when neither stands.
  let pausedByHandler = false;
  let pausedByQueue = false;
  const guarded = (act: () => void): void => {
    if (isOver()) return;
    try {
      act();
    } catch (error) {
      fail(error);
    }
  };
  const finish = (): void => guarded(onEnd);
  const duplex: ServerDuplex<unknown, unknown> = {
    send(response) {
      if (isOver()) return false;
      const free = call.send(codec.encode(response));
      if (!free && !pausedByQueue) {
        pausedByQueue = true;
        if (!pausedByHandler) call.pause();
      }
      return free;
    },
    end,
    fail,
    onMessage(listener) {
      call.listen({
        onMessage(bytes) {
          guarded(() => {
            listener(codec.decode(bytes));
          });
        },
        onHalfClose: finish,
        onDrain() {
          if (pausedByQueue) {
            pausedByQueue = false;
            if (!pausedByHandler) call.resume();
          }
          guarded(onDrain);
        },
      });
    },
    onEnd(listener) {
      onEnd = listener;
    },
    onDrain(listener) {
      onDrain = listener;
    },
    pause() {
      if (pausedByHandler) return;
      pausedByHandler = true;
      if (!pausedByQueue) call.pause();
    },
    resume() {
      if (!pausedByHandler) return;
      pausedByHandler = false;
      if (!pausedByQueue) call.resume();
    },
  };
  return { duplex, finish };
}
