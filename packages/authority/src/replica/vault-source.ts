// What a primary sends of its vault to a secondary that may take its place: the rows that differ as of one moment, then
// every change since, in order. A change that is in the rows already comes again and is the same.

import { DiscoveryError, limits } from "@whither/protocol";
import type { CallContext } from "@whither/rpc";
import type { Clock } from "@whither/runtime";
import type { Batch, Row, WatchedStore } from "@whither/store";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ReplicationVaultResponseSchema } from "@whither/wire";
import { differingParts, digestsOf, inTurns, partOf } from "./vault-parts.js";

type PartInit = MessageInitShape<typeof ReplicationVaultResponseSchema>;

const rowBytesPerMessage = 256 * 1024;
const digestsBytes = 256 * 32;
const retryAfterSeconds = 10;

/** Streams of the vaults of one process. */
export class VaultServer {
  readonly #clock: Clock;
  #running = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Until the server drains: then what waits is told, and it ends. Throws INVALID_DATA, OVERLOADED, also to a reader that is too slow; DEADLINE to one that stopped. */
  async *serve(
    vault: WatchedStore,
    of: { readonly digests: Uint8Array } & Pick<CallContext, "signal" | "draining">,
  ): AsyncGenerator<PartInit> {
    const { digests, signal, draining } = of;
    if (digests.length !== digestsBytes) {
      throw new DiscoveryError("INVALID_DATA", "vault: expected 256 digests of 32 octets");
    }
    if (this.#running >= limits.vaultStreamsMax) {
      throw new DiscoveryError("OVERLOADED", "too many vault streams", { retryAfterSeconds });
    }
    this.#running += 1;
    // Before the snapshot, in the same turn: nothing is committed between the two and told by neither.
    const changes = new ChangeQueue(vault, { signal, draining });
    try {
      for await (const part of parts(vault, { digests, changes })) {
        const stall = this.#clock.schedule(limits.transferStallMs, () => changes.end("DEADLINE"));
        yield part;
        stall.cancel();
      }
    } finally {
      changes.end("CANCELLED");
      this.#running -= 1;
    }
  }
}

async function* parts(
  vault: WatchedStore,
  { digests, changes }: { readonly digests: Uint8Array; readonly changes: ChangeQueue },
): AsyncGenerator<PartInit> {
  const snapshot = vault.snapshot();
  try {
    const differing = differingParts(await digestsOf(vault, { snapshot }), digests);
    yield { part: { case: "start", value: { parts: Uint8Array.from(differing) } } };
    const wanted = new Set(differing);
    let rows: Row[] = [];
    let bytes = 0;
    for await (const row of inTurns(vault.iterate({ snapshot }))) {
      changes.check();
      if (!wanted.has(partOf(row[0]))) continue;
      rows.push(row);
      bytes += row[0].length + row[1].length;
      if (bytes < rowBytesPerMessage) continue;
      yield rowsPart(rows);
      rows = [];
      bytes = 0;
    }
    if (rows.length > 0) yield rowsPart(rows);
  } finally {
    await snapshot.close();
  }
  yield { part: { case: "settled", value: {} } };
  for (;;) {
    const batch = await changes.next();
    if (batch === undefined) return;
    const { puts, deletes } = batch;
    yield { part: { case: "change", value: { puts: puts.map(toWire), deletes: [...deletes] } } };
  }
}

const toWire = ([key, value]: Row) => ({ key, value });

function rowsPart(rows: readonly Row[]): PartInit {
  return { part: { case: "rows", value: { rows: rows.map(toWire) } } };
}

type EndCode = "CANCELLED" | "DEADLINE" | "OVERLOADED";

const endTexts: Readonly<Record<EndCode, string>> = {
  CANCELLED: "the vault is not read any more",
  DEADLINE: "the vault was read too slowly",
  OVERLOADED: "too many changes of the vault wait",
};

/** Commits that wait to be told, bounded. */
class ChangeQueue {
  readonly #waiting: Batch[] = [];
  readonly #stop: () => void;
  #ended: EndCode | undefined;
  #wake = (): void => undefined;
  readonly #draining: AbortSignal;

  constructor(vault: WatchedStore, { signal, draining }: Pick<CallContext, "signal" | "draining">) {
    this.#draining = draining;
    draining.addEventListener("abort", this.#onDraining, { once: true });
    this.#stop = vault.onCommit((batch) => {
      if (this.#waiting.length >= limits.vaultChangesWaitingMax) this.end("OVERLOADED");
      else this.#waiting.push(batch);
      this.#wake();
    });
    signal.addEventListener("abort", () => this.end("CANCELLED"), { once: true });
  }

  readonly #onDraining = (): void => this.#wake();

  /** Nothing more is kept. */
  end(code: EndCode): void {
    this.#ended ??= code;
    this.#draining.removeEventListener("abort", this.#onDraining);
    this.#stop();
    this.#waiting.length = 0;
    this.#wake();
  }

  /** Throws what it has ended with. */
  check(): void {
    if (this.#ended !== undefined) {
      throw new DiscoveryError(this.#ended, endTexts[this.#ended]);
    }
  }

  /** Undefined once the server drains and nothing waits. */
  async next(): Promise<Batch | undefined> {
    for (;;) {
      this.check();
      const batch = this.#waiting.shift();
      if (batch !== undefined || this.#draining.aborted) return batch;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}
