// One piece of work at a time per key, in the order of arrival. Keys are forgotten with their last work.

import { DiscoveryError, limits } from "@whither/protocol";

export interface KeyedQueue {
  /** Runs the work after all earlier work of the key. Throws OVERLOADED when too much waits already. */
  run<T>(key: string, work: () => Promise<T>): Promise<T>;
}

export function createKeyedQueue(waitersMax: number = limits.waitersPerKeyMax): KeyedQueue {
  const queues = new Map<string, { waiting: number; last: Promise<unknown> }>();
  return {
    async run(key, work) {
      const queue = queues.get(key) ?? { waiting: 0, last: Promise.resolve() };
      if (queue.waiting >= waitersMax) {
        throw new DiscoveryError("OVERLOADED", "too many requests wait for one identifier");
      }
      queues.set(key, queue);
      queue.waiting += 1;
      // The failure of earlier work is its own caller's.
      const result = queue.last.then(work, work);
      queue.last = result;
      try {
        return await result;
      } finally {
        queue.waiting -= 1;
        if (queue.waiting === 0) queues.delete(key);
      }
    },
  };
}
