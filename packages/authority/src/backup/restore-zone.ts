// Fills empty stores from a backup and proves the result before anybody may use it: the file's digest, then every
// tree against its head's signature, then every body against the tree. The zone goes on in a new epoch, because
// the old one has published heads that the backup does not know: its next serial would mean two things, and
// resolvers and replicas would rightly refuse it (protocol.md section 4, docs/adr 22).

import { equalBytes, sha256 } from "@whither/crypto/node";
import { DiscoveryError, type Head, type ZoneName } from "@whither/protocol";
import type { Clock } from "@whither/runtime";
import { prefixRange, u64Bytes, type Row, type Store } from "@whither/store";
import { entryBytes, vhashAt } from "@whither/zone";
import { readStoredTree, storedKids } from "../mapping/zone-start.js";
import { bodyKey, bucketTablePrefix, leastEpochKey } from "../mapping/zone-table.js";
import { readBackup, type BackupPart } from "./backup-file.js";

/** Bytes of rows in one synced commit. */
const commitBytes = 4 * 1024 * 1024;
/** Bodies looked at together. */
const bodiesPerStep = 64;

/** Stores to fill. Both are empty, and nobody else has them open. */
export interface RestoreTarget {
  readonly store: Store;
  /** Called where the backup has a vault. */
  readonly openVault: () => Promise<Store>;
}

export interface RestoredZone {
  readonly zone: ZoneName;
  /** Unix seconds; what came after is lost: registrations, and removals too. */
  readonly madeAt: number;
  /** Of the zone from now on. */
  readonly epoch: number;
  /** Of the backup's last head. */
  readonly serial: number;
  readonly slots: number;
  readonly hasVault: boolean;
}

/**
 * Throws STORE_CORRUPT where anything does not fit, and CONFIG for an epoch that is not above the backup's: the
 * stores are then of no use. Unless told the new epoch is the time in Unix seconds, so that a second restore
 * of one backup gets beyond the first.
 */
export async function restoreZone(options: {
  readonly source: AsyncIterable<Uint8Array>;
  readonly open: (zone: ZoneName) => Promise<RestoreTarget>;
  readonly clock: Clock;
  readonly epoch?: number | undefined;
}): Promise<RestoredZone> {
  const { source, open, clock } = options;
  const { header, rows } = await readBackup(source);
  const { zone, madeAt } = header;
  const target = await open(zone);
  const stores: Partial<Record<BackupPart, Store>> = { store: target.store };
  let batch: { readonly part: BackupPart; readonly puts: Row[]; bytes: number } | undefined;
  const flush = async (): Promise<void> => {
    if (batch === undefined) return;
    const { part, puts } = batch;
    batch = undefined;
    const store = (stores[part] ??= await target.openVault());
    await store.commit({ puts, deletes: [] }, { sync: true });
  };
  for await (const { part, row } of rows()) {
    if (batch !== undefined && (batch.part !== part || batch.bytes >= commitBytes)) await flush();
    batch ??= { part, puts: [], bytes: 0 };
    batch.puts.push(row);
    batch.bytes += row[0].length + row[1].length;
  }
  await flush();
  const heads = await proveTrees({ store: target.store, zone, clock });
  const last = Math.max(...heads.map((head) => head.epoch));
  const epoch = options.epoch ?? Math.max(clock.nowSeconds(), last + 1);
  if (epoch <= last) {
    throw new DiscoveryError("CONFIG", `the new epoch has to be above ${last}`);
  }
  const puts: Row[] = [[leastEpochKey, u64Bytes(BigInt(epoch))]];
  await target.store.commit({ puts, deletes: [] }, { sync: true });
  const serial = Math.max(...heads.map((head) => head.serial));
  const slots = Math.max(...heads.map((head) => head.mapSize));
  return { zone, madeAt, epoch, serial, slots, hasVault: stores.vault !== undefined };
}

interface ZoneStore {
  readonly store: Store;
  readonly zone: ZoneName;
  readonly clock: Clock;
}

/** The heads of the zone's trees, each proved. */
async function proveTrees({ store, zone, clock }: ZoneStore): Promise<readonly Head[]> {
  const heads: Head[] = [];
  for (const kid of await storedKids(store)) {
    const { last } = await readStoredTree({ store, zone, kid, clock });
    if (last === undefined) continue;
    await proveBodies(store, last.head);
    heads.push(last.head);
  }
  if (heads.length === 0) throw new DiscoveryError("STORE_CORRUPT", "backup: it has no head");
  return heads;
}

/** Every slot's body is there and is the one that the tree names. */
async function proveBodies(store: Store, { kid }: Head): Promise<void> {
  for await (const [, entries] of store.iterate(prefixRange(bucketTablePrefix(kid)))) {
    const count = entries.length / entryBytes;
    for (let from = 0; from < count; from += bodiesPerStep) {
      const vhashes = Array.from({ length: Math.min(bodiesPerStep, count - from) }, (_, at) =>
        vhashAt(entries, (from + at) * entryBytes),
      );
      const bodies = await store.getMany(vhashes.map((vhash) => bodyKey(kid, vhash)));
      const fit = bodies.every(
        (body, at) =>
          body !== undefined && equalBytes(sha256(body), vhashes[at] ?? new Uint8Array()),
      );
      if (!fit) throw new DiscoveryError("STORE_CORRUPT", "backup: a slot's body is missing");
    }
  }
}
