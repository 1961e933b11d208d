// One direction of one simulated call: messages in order, after the link's delay, with the same
// back-pressure as a socket. Not a transport by itself; see memory-network.ts.
import { createSendMeter } from "./send-meter.js";

export interface PipeOptions {
  /** Runs `deliver` when one more item has crossed the link; calls must come to run in order. */
  readonly cross: (deliver: () => void) => void;
  readonly onMessage: (message: Uint8Array) => void;
  readonly onDrain: () => void;
}

export interface Pipe {
  /** False: above the mark; `onDrain` follows. The bytes must be the pipe's own. */
  send(message: Uint8Array): boolean;
  /** Runs `act` at the far end, after all messages sent before. */
  finish(act: () => void): void;
  pause(): void;
  resume(): void;
  /** Nothing more is delivered. */
  cut(): void;
}

type Item = { readonly message: Uint8Array } | { readonly act: () => void };

export function createPipe({ cross, onMessage, onDrain }: PipeOptions): Pipe {
  const crossing: Item[] = [];
  const arrived: Item[] = [];
  const meter = createSendMeter(onDrain);
  let paused = true; // until the receiver asks
  let delivering = false;
  let isCut = false;
  const deliver = (): void => {
    if (delivering) return;
    delivering = true;
    for (;;) {
      const [item] = arrived;
      if (item === undefined || isCut || (paused && "message" in item)) break;
      arrived.shift();
      if ("act" in item) {
        item.act();
        continue;
      }
      onMessage(item.message);
      meter.taken(item.message.length);
    }
    delivering = false;
  };
  const push = (item: Item): void => {
    crossing.push(item);
    cross(() => {
      arrived.push(...crossing.splice(0, 1));
      deliver();
    });
  };
  return {
    send(message) {
      push({ message });
      return meter.add(message.length);
    },
    finish: (act) => push({ act }),
    pause() {
      paused = true;
    },
    resume() {
      paused = false;
      deliver();
    },
    cut() {
      isCut = true;
    },
  };
}
