// A store whose commits others hear of, in their order and when they are done: how a secondary keeps up with it.

import type { Batch, Store } from "./store.js";

export interface WatchedStore extends Store {
  /** Hears of every commit that ends from now on; returns the way to stop. */
  onCommit(listener: (batch: Batch) => void): () => void;
}

/** The same store, closed with it. */
export function watchCommits(store: Store): WatchedStore {
  const listeners = new Set<(batch: Batch) => void>();
  const close = (): Promise<void> => store.close();
  return {
    get: (key, options) => store.get(key, options),
    getMany: (keys, options) => store.getMany(keys, options),
    iterate: (range) => store.iterate(range),
    async commit(batch, options) {
      await store.commit(batch, options);
      for (const listener of listeners) listener(batch);
    },
    snapshot: () => store.snapshot(),
    close,
    [Symbol.asyncDispose]: close,
    onCommit(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}
