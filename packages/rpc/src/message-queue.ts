// Turns pushed messages into one async iterable with back-pressure. One consumer; not for hot paths
// (an async iterator halves the rate): those take callbacks.
import { asError } from "./errors.js";

/** Above this many waiting messages the source is paused; at half of it, resumed. */
const waitingMax = 32;

export interface MessageSource {
  pause(): void;
  resume(): void;
}

export class MessageQueue<T> implements AsyncIterableIterator<T> {
  readonly #waiting: T[] = [];
  readonly #source: MessageSource;
  readonly #onReturn: () => void;
  #paused = false;
  #over: { readonly error: unknown } | "end" | undefined;
  #taker:
    | {
        readonly resolve: (result: IteratorResult<T>) => void;
        readonly reject: (error: unknown) => void;
      }
    | undefined;

  /** `onReturn` runs when the consumer leaves its loop early. */
  constructor(source: MessageSource, onReturn: () => void = () => undefined) {
    this.#source = source;
    this.#onReturn = onReturn;
  }

  push(message: T): void {
    if (this.#over !== undefined) return;
    if (this.#taker !== undefined) {
      const { resolve } = this.#taker;
      this.#taker = undefined;
      resolve({ done: false, value: message });
      return;
    }
    this.#waiting.push(message);
    if (!this.#paused && this.#waiting.length >= waitingMax) {
      this.#paused = true;
      this.#source.pause();
    }
  }

  /** No more messages; those waiting are still delivered. */
  end(): void {
    if (this.#over !== undefined) return;
    this.#over = "end";
    this.#taker?.resolve({ done: true, value: undefined });
    this.#taker = undefined;
  }

  /** As `end`, and then the iterator throws `error`. */
  fail(error: unknown): void {
    if (this.#over !== undefined) return;
    this.#over = { error };
    this.#taker?.reject(error);
    this.#taker = undefined;
  }

  next(): Promise<IteratorResult<T>> {
    if (this.#waiting.length > 0) {
      const [value] = this.#waiting.splice(0, 1);
      if (this.#paused && this.#waiting.length <= waitingMax / 2) {
        this.#paused = false;
        this.#source.resume();
      }
      return Promise.resolve({ done: false, value: value as T }); // length was checked above
    }
    if (this.#over === "end") return Promise.resolve({ done: true, value: undefined });
    if (this.#over !== undefined) {
      const { error } = this.#over;
      this.#over = "end";
      return Promise.reject(asError(error));
    }
    if (this.#taker !== undefined) throw new TypeError("a message queue has one consumer");
    return new Promise((resolve, reject) => (this.#taker = { resolve, reject }));
  }

  return(): Promise<IteratorResult<T>> {
    const early = this.#over === undefined;
    this.#over = "end";
    this.#waiting.length = 0;
    this.#taker?.resolve({ done: true, value: undefined });
    this.#taker = undefined;
    if (early) this.#onReturn();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
