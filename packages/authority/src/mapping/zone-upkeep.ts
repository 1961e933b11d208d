// What grows with time and is dropped with time: spent nonces, receipts, the journal, buckets of a depth
// that no head uses any more. Losing the race with a crash costs nothing: the next round finds them.

import { limits } from "@whither/protocol";
import { prefixRange, type Journal, type Store } from "@whither/store";
import { bucketKey, noncePrefix, receiptKey, receiptTimePrefix, timeKey } from "./zone-table.js";
import { deleteKeys } from "./zone-start.js";

/** Epochs kept for those that follow the zone: a day of changes every 30 s. */
const journalRowsMax = 2_880;
/** A receipt outlives the longest mapping it can be about by a day. */
const receiptSecondsMax = limits.mappingLifetimeSecondsMax + 86_400;
/** Rows dropped in one round. */
const rowsPerRound = 8_192;

/** One round; called now and then, never within an epoch. */
export async function dropOldRows(options: {
  readonly store: Store;
  readonly journal: Journal;
  readonly serial: number;
  readonly nowSeconds: number;
}): Promise<void> {
  const { store, journal, serial, nowSeconds } = options;
  // An offer is refused by its own expiry from then on; the skew guards against a clock put back.
  const nonceEnd = timeKey(noncePrefix, nowSeconds - limits.clockSkewSeconds);
  const nonces = await keysBelow(store, { prefix: noncePrefix, end: nonceEnd });
  await deleteKeys(store, nonces);
  const receiptEnd = timeKey(receiptTimePrefix, nowSeconds - receiptSecondsMax);
  const times = await keysBelow(store, { prefix: receiptTimePrefix, end: receiptEnd });
  const receipts = times.map((key) => receiptKey(key.subarray(9)));
  await deleteKeys(store, [...times, ...receipts]);
  if (serial > journalRowsMax) await journal.trim(BigInt(serial - journalRowsMax));
}

async function keysBelow(
  store: Store,
  range: { readonly prefix: Uint8Array; readonly end: Uint8Array },
): Promise<Uint8Array[]> {
  const keys: Uint8Array[] = [];
  const { gte } = prefixRange(range.prefix);
  for await (const [key] of store.iterate({ gte, lt: range.end, limit: rowsPerRound })) {
    keys.push(key);
  }
  return keys;
}

/** Removes the buckets of a depth that the published head has left. */
export async function dropBuckets(
  store: Store,
  tree: { readonly kid: Uint8Array; readonly b: number },
): Promise<void> {
  const keys = Array.from({ length: 2 ** tree.b }, (_, index) => bucketKey({ ...tree, index }));
  await deleteKeys(store, keys);
}
