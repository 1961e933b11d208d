// A batch of lookups as a stream: started in lumps, so that they share Evaluates, bounded in number,
// handed out in the order they were asked for. What one lookup does is resolver.ts.

import { setMaxListeners } from "node:events";
import type { Csi } from "@whither/protocol";
import { abortError } from "@whither/runtime";
import type { AnswerForm, BatchItem } from "./answer.js";

/** Lookups under way or not yet taken; new ones start when the lower mark is reached. */
const openMax = 1_024;
const openLow = 512;

export async function* lookupAll<F extends AnswerForm>(
  csis: Iterable<Csi> | AsyncIterable<Csi>,
  callerSignal: AbortSignal | undefined,
  lookup: (csi: Csi, signal: AbortSignal) => Promise<BatchItem<F>>,
): AsyncGenerator<BatchItem<F>, void, undefined> {
  const controller = new AbortController();
  const { signal } = controller;
  setMaxListeners(0, signal); // every lookup of the batch listens
  const onAbort = (): void => {
    if (callerSignal !== undefined) controller.abort(abortError(callerSignal));
  };
  if (callerSignal?.aborted === true) throw abortError(callerSignal);
  callerSignal?.addEventListener("abort", onAbort, { once: true });
  const open = new OpenItems<BatchItem<F>>();
  const feeding = feed(csis, open, {
    signal,
    start: (csi) => lookup(csi, signal),
  }).finally(() => open.end());
  feeding.catch(() => undefined); // thrown below, when the items before it have been handed out
  try {
    for (;;) {
      const item = await open.next();
      if (signal.aborted) throw abortError(signal);
      if (item === undefined) break;
      yield item;
    }
    await feeding;
  } finally {
    callerSignal?.removeEventListener("abort", onAbort);
    controller.abort();
    open.end();
  }
}

async function feed<T>(
  csis: Iterable<Csi> | AsyncIterable<Csi>,
  open: OpenItems<T>,
  {
    signal,
    start,
  }: {
    readonly signal: AbortSignal;
    readonly start: (csi: Csi) => Promise<T>;
  },
): Promise<void> {
  if (Symbol.iterator in csis) {
    // Without a pause between them: a turn's lookups leave in one batch.
    for (const csi of csis) {
      if (open.size >= openMax) await open.low();
      if (signal.aborted) return;
      open.add(start(csi));
    }
    return;
  }
  for await (const csi of csis) {
    if (open.size >= openMax) await open.low();
    if (signal.aborted) return;
    open.add(start(csi));
  }
}

/** Items in order, with a word to the feeder when few are left and to the reader when there is one. */
class OpenItems<T> {
  readonly #items: Promise<T>[] = [];
  #ended = false;
  #wakeReader: (() => void) | undefined;
  #wakeFeeder: (() => void) | undefined;

  get size(): number {
    return this.#items.length;
  }

  add(item: Promise<T>): void {
    item.catch(() => undefined); // its failure is thrown when its turn comes
    this.#items.push(item);
    this.#wakeReader?.();
  }

  /** No more will be added. */
  end(): void {
    this.#ended = true;
    this.#wakeReader?.();
    this.#wakeFeeder?.();
  }

  /** The next in order, when it is there; undefined after the last. */
  async next(): Promise<T | undefined> {
    while (this.#items.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => (this.#wakeReader = resolve));
    }
    const item = this.#items.shift();
    if (this.#items.length <= openLow) this.#wakeFeeder?.();
    return await item;
  }

  /** Resolves when few are left. */
  async low(): Promise<void> {
    while (this.#items.length > openLow && !this.#ended) {
      await new Promise<void>((resolve) => (this.#wakeFeeder = resolve));
    }
  }
}
