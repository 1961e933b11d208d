// Keeps the vault of a secondary as the primary's is, for the day on which it takes its place (docs/adr 46). Rows are
// sealed under a key that is not here: their form is checked, and each proves itself to who has the key.

import type { OpenChannel } from "@whither/directory";
import { DiscoveryError, isDiscoveryError, limits, type ZoneName } from "@whither/protocol";
import type { Clock, Logger } from "@whither/runtime";
import type { Row, Store } from "@whither/store";
import type { ReplicationVaultResponse, VaultRow } from "@whither/wire";
import { PrimaryLink, type FollowedServer } from "./primary-link.js";
import { digestsOf, inTurns, partOf } from "./vault-parts.js";

/** Of a vault: a table and a 32-byte place; an identifier with its tags, sealed. */
const keyBytesMax = 64;
const valueBytesMax = 8 * 1024;
const bytesPerCommit = 256 * 1024;

export interface VaultFollowerOptions {
  readonly zone: ZoneName;
  /** Holds this vault and nothing else; stays the caller's to close. */
  readonly store: Store;
  readonly servers: readonly FollowedServer[];
  readonly open: (
    server: FollowedServer,
    request: {
      readonly zone: string;
      readonly digests: Uint8Array;
      readonly signal: AbortSignal;
    },
  ) => AsyncIterable<ReplicationVaultResponse>;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class VaultFollower implements AsyncDisposable {
  readonly #options: VaultFollowerOptions;
  readonly #closing = new AbortController();
  #isSettled = false;
  #running: Promise<void> | undefined;

  constructor(options: VaultFollowerOptions) {
    this.#options = options;
  }

  /** Whether it is as the primary's, but for what is on its way. */
  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** Follows from now on. */
  start(): void {
    this.#running ??= this.#run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new DiscoveryError("CANCELLED", "the vault is closed"));
    await this.#running;
  }

  /** One stream of one server, until it ends. Throws why. */
  async follow(server: FollowedServer): Promise<never> {
    const { zone, store, open } = this.#options;
    const { signal } = this.#closing;
    const request = { zone, digests: await digestsOf(store), signal };
    const stream = open(server, request)[Symbol.asyncIterator]();
    try {
      const parts = await startOf(stream);
      await this.#take(stream, parts);
      this.#isSettled = true;
      this.#options.logger.info("vault followed", { zone, parts: parts.size });
      for (;;) await this.#change(await nextPart(stream));
    } finally {
      this.#isSettled = false;
      await stream.return?.();
    }
  }

  async #run(): Promise<void> {
    const { servers, clock, logger, zone } = this.#options;
    const { signal } = this.#closing;
    const isClosed = (): boolean => signal.aborted;
    for (let failures = 0; !isClosed(); failures += 1) {
      for (const server of servers) {
        const startMs = clock.monotonicMs();
        try {
          await this.follow(server);
        } catch (error) {
          if (isClosed()) return;
          if (!isDiscoveryError(error)) throw error;
          logger.warn("vault not followed", { zone, host: server.host, error });
        }
        // One that went well for long is asked again soon.
        if (clock.monotonicMs() - startMs > limits.failureTtlSecondsMax * 1000) failures = 0;
      }
      const seconds = limits.failureTtlSecondsMin * 2 ** Math.min(failures, 10);
      const pauseMs = Math.min(seconds, limits.failureTtlSecondsMax) * 1000;
      await clock.sleep(pauseMs, { signal }).catch(() => undefined);
    }
  }

  /** The rows of the parts that differ, in order, in the place of those that are held: a merge of the two. */
  async #take(
    stream: AsyncIterator<ReplicationVaultResponse>,
    parts: ReadonlySet<number>,
  ): Promise<void> {
    const { store } = this.#options;
    const writes = new Writes(store);
    const held = ofParts(store, parts);
    let own = await held.next();
    const dropBefore = async (key: Uint8Array | undefined): Promise<void> => {
      while (own.done !== true) {
        const order = key === undefined ? -1 : Buffer.compare(own.value[0], key);
        if (order > 0) return;
        if (order < 0) await writes.delete(own.value[0]);
        own = await held.next();
      }
    };
    let last: Uint8Array | undefined;
    for (;;) {
      const part = await nextPart(stream);
      if (part.case === "settled") break;
      if (part.case !== "rows") throw invalid("expected rows");
      for (const row of part.value.rows) {
        checkRow(row);
        const isNext = last === undefined || Buffer.compare(last, row.key) < 0;
        if (!isNext || !parts.has(partOf(row.key))) throw invalid("a row out of its place");
        last = row.key;
        await dropBefore(row.key);
        await writes.put([row.key, row.value]);
      }
    }
    await dropBefore(undefined);
    await writes.flush();
  }

  async #change(part: ReplicationVaultResponse["part"]): Promise<void> {
    if (part.case !== "change") throw invalid("expected a change");
    const { puts, deletes } = part.value;
    for (const row of puts) checkRow(row);
    const rows = puts.map(({ key, value }): Row => [key, value]);
    // Not synced: what a crash loses differs, and is sent again.
    await this.#options.store.commit({ puts: rows, deletes }, { sync: false });
  }
}

/** Follows from now on, over connections of its own, until it is disposed of. The store stays the caller's to close. */
export function followZoneVault(
  options: Omit<VaultFollowerOptions, "open"> & {
    readonly openIdentified: OpenChannel;
    /** PEM bundle of the only CAs trusted. */
    readonly caPem: string;
  },
): AsyncDisposable {
  const { openIdentified } = options;
  const link = new PrimaryLink({ ...options, openChannel: openIdentified, openIdentified });
  const open: VaultFollowerOptions["open"] = (server, request) => link.vault(server, request);
  const follower = new VaultFollower({ ...options, open });
  follower.start();
  return {
    [Symbol.asyncDispose]: async () => {
      await follower[Symbol.asyncDispose]();
      link[Symbol.dispose]();
    },
  };
}

async function nextPart(
  stream: AsyncIterator<ReplicationVaultResponse>,
): Promise<ReplicationVaultResponse["part"]> {
  const next = await stream.next();
  if (next.done === true) throw new DiscoveryError("NETWORK", "the vault's stream has ended");
  return next.value.part;
}

async function startOf(
  stream: AsyncIterator<ReplicationVaultResponse>,
): Promise<ReadonlySet<number>> {
  const part = await nextPart(stream);
  if (part.case !== "start") throw invalid("expected the start first");
  return new Set(part.value.parts);
}

async function* ofParts(store: Store, parts: ReadonlySet<number>): AsyncGenerator<Row, undefined> {
  for await (const row of inTurns(store.iterate())) if (parts.has(partOf(row[0]))) yield row;
  return undefined;
}

function checkRow({ key, value }: VaultRow): void {
  const isSound =
    key.length > 0 &&
    key.length <= keyBytesMax &&
    value.length > 0 &&
    value.length <= valueBytesMax;
  if (!isSound) throw invalid("a row of a wrong size");
}

/** Batched, in order. */
class Writes {
  readonly #store: Store;
  #puts: Row[] = [];
  #deletes: Uint8Array[] = [];
  #bytes = 0;

  constructor(store: Store) {
    this.#store = store;
  }

  put(row: Row): Promise<void> | undefined {
    this.#puts.push(row);
    return this.#added(row[0].length + row[1].length);
  }

  delete(key: Uint8Array): Promise<void> | undefined {
    this.#deletes.push(key);
    return this.#added(key.length);
  }

  /** Makes durable what went before too. */
  flush(): Promise<void> {
    return this.#commit({ sync: true });
  }

  #added(bytes: number): Promise<void> | undefined {
    this.#bytes += bytes;
    return this.#bytes < bytesPerCommit ? undefined : this.#commit({ sync: false });
  }

  #commit(options: { readonly sync: boolean }): Promise<void> {
    const batch = { puts: this.#puts, deletes: this.#deletes };
    this.#puts = [];
    this.#deletes = [];
    this.#bytes = 0;
    return this.#store.commit(batch, options);
  }
}

function invalid(text: string): DiscoveryError {
  return new DiscoveryError("INVALID_DATA", `vault: ${text}`);
}
