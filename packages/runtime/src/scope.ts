// A scope owns resources and closes them in reverse order of opening. What AsyncDisposableStack does,
// which Node 20 has not; with names for the log.

export type Closable = AsyncDisposable | Disposable | { close(): Promise<void> | void };

export interface Scope extends AsyncDisposable {
  /** Owns a resource from now on and gives it back: `const store = scope.use(await openStore(…))`. */
  use<T extends Closable>(resource: T): T;
  /** Runs `fn` when the scope closes, before everything opened earlier closes. */
  defer(fn: () => Promise<void> | void): void;
  /** Closes all, last first; a failing one does not keep the rest open. Throws what failed. */
  close(): Promise<void>;
}

export function createScope(): Scope {
  let closers: (() => Promise<void> | void)[] = [];
  let closing: Promise<void> | undefined;
  const defer = (fn: () => Promise<void> | void): void => {
    if (closing !== undefined) throw new TypeError("scope: used after its close");
    closers.push(fn);
  };
  const closeAll = async (): Promise<void> => {
    const failures: unknown[] = [];
    const inReverse = closers.toReversed();
    closers = [];
    for (const closer of inReverse) {
      try {
        await closer();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length === 1) throw failures[0];
    if (failures.length > 1)
      throw new AggregateError(failures, "several resources failed to close");
  };
  const close = (): Promise<void> => (closing ??= closeAll());
  return {
    use: (resource) => {
      defer(() => closeOne(resource));
      return resource;
    },
    defer,
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function closeOne(resource: Closable): Promise<void> {
  if (Symbol.asyncDispose in resource) await resource[Symbol.asyncDispose]();
  else if (Symbol.dispose in resource) resource[Symbol.dispose]();
  else await resource.close();
}
