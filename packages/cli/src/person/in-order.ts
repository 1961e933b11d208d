// Bounded concurrency with results in order.

/**
 * Runs `work` for each item, at most `concurrency` at a time, and yields the results in the items' order,
 * each as soon as those before it are there. A failure of `work` ends the whole run.
 */
export async function* inOrder<T, R>(
  items: Iterable<T>,
  { concurrency, work }: { readonly concurrency: number; readonly work: (item: T) => Promise<R> },
): AsyncGenerator<R, void> {
  const running: Promise<R>[] = [];
  const source = items[Symbol.iterator]();
  const startNext = (): void => {
    const next = source.next();
    if (next.done === true) return;
    const one = work(next.value);
    // Awaited in its turn; until then its failure is nobody's unhandled rejection.
    one.catch(() => undefined);
    running.push(one);
  };
  for (let started = 0; started < concurrency; started++) startNext();
  for (let first = running.shift(); first !== undefined; first = running.shift()) {
    yield await first;
    startNext();
  }
}
