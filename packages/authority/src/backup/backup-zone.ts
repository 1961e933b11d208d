// A zone and its vault as of one moment, while registrations go on. Both snapshots are taken in one turn, and that
// is enough for them to fit: a slot is written only after its vault row is, and the row goes only after the
// slot has gone, each awaited. No key is in either store: the VOPRF key and the vault's own are files of
// their own, and stay out (protocol.md section 2).

import type { ZoneName } from "@whither/protocol";
import type { Clock } from "@whither/runtime";
import type { Snapshot, Store } from "@whither/store";
import { writeBackup, type BackupPart, type BackupRow } from "./backup-file.js";

export interface ZoneStores {
  readonly store: Store;
  /** Undefined: the zone has no vault. */
  readonly vault: Store | undefined;
}

/**
 * The bytes of a backup file, in parts of at most 256 KiB. The moment is that of the first step; superseded data
 * stays on disk until the last part is taken or the iteration is left. Throws STORE when the zone is closed
 * meanwhile.
 */
export async function* backupZone(
  { store, vault }: ZoneStores,
  { zone, clock }: { readonly zone: ZoneName; readonly clock: Clock },
): AsyncGenerator<Uint8Array, void, undefined> {
  const ofStore = store.snapshot();
  const ofVault = vault?.snapshot();
  const rows = async function* (): AsyncGenerator<BackupRow, void, undefined> {
    yield* rowsOf({ part: "store", store, snapshot: ofStore });
    if (vault !== undefined) yield* rowsOf({ part: "vault", store: vault, snapshot: ofVault });
  };
  try {
    yield* writeBackup({ zone, madeAt: clock.nowSeconds() }, rows());
  } finally {
    await ofStore.close();
    await ofVault?.close();
  }
}

async function* rowsOf(from: {
  readonly part: BackupPart;
  readonly store: Store;
  readonly snapshot: Snapshot | undefined;
}): AsyncGenerator<BackupRow, void, undefined> {
  const { part, store, snapshot } = from;
  for await (const row of store.iterate({ snapshot })) yield { part, row };
}
