// A store within a store: the rows under one key prefix, seen without it. Several states of one thing can so
// lie side by side and be swapped by one row, with the same code reading each. Closing it closes nothing.

import { prefixEnd } from "./keys.js";
import type { Batch, CommitOptions, Range, Row, Store } from "./store.js";

/** A view of `store` under `prefix`, which no other key of the store may begin with. */
export function openSubStore(store: Store, prefix: Uint8Array): Store {
  if (prefix.length === 0) throw new TypeError("store: a view needs a prefix");
  const outer = (key: Uint8Array): Uint8Array => {
    const whole = new Uint8Array(prefix.length + key.length);
    whole.set(prefix);
    whole.set(key, prefix.length);
    return whole;
  };
  const own = (key: Uint8Array): Uint8Array => {
    // What the store underneath refuses has to be refused before the prefix hides it.
    if (key.length === 0) throw new TypeError("store: an empty key");
    return outer(key);
  };
  const end = prefixEnd(prefix);
  const within = ({ gte, lt, ...rest }: Range): Range => ({
    ...rest,
    gte: gte === undefined ? prefix : outer(gte),
    ...(lt === undefined ? (end === undefined ? {} : { lt: end }) : { lt: outer(lt) }),
  });
  const iterate = async function* (range: Range = {}): AsyncGenerator<Row, void, undefined> {
    for await (const [key, value] of store.iterate(within(range))) {
      yield [key.slice(prefix.length), value];
    }
  };
  return {
    get: (key, options) => store.get(outer(key), options),
    getMany: (keys, options) => store.getMany(keys.map(outer), options),
    iterate,
    commit: async ({ puts, deletes, expect = [] }: Batch, options: CommitOptions) =>
      store.commit(
        {
          puts: puts.map(([key, value]): Row => [own(key), value]),
          deletes: deletes.map(own),
          expect: expect.map(({ key, value }) => ({ key: outer(key), value })),
        },
        options,
      ),
    snapshot: () => store.snapshot(),
    close: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
