// Rows of a store in memory: a sorted array that nobody changes once a reader holds it.
import { compareKeys, keyText } from "./keys.js";
import type { Batch, Row } from "./store.js";

/** In key order. */
export type Rows = readonly Row[];

export const emptyRows: Rows = [];

export interface Change {
  readonly key: Uint8Array;
  /** Undefined: deleted. */
  readonly value: Uint8Array | undefined;
}

/** The rows after a batch; those handed in are as they were. */
export function applyBatch(rows: Rows, batch: Batch): Rows {
  return mergeRows(rows, sortedChanges(batch));
}

/** The last change to each key, with bytes of its own, in key order. */
export function sortedChanges({ deletes, puts }: Batch): Change[] {
  const changes = new Map<string, Change>();
  for (const key of deletes) {
    changes.set(keyText(key), { key: new Uint8Array(key), value: undefined });
  }
  for (const [key, value] of puts) {
    changes.set(keyText(key), { key: new Uint8Array(key), value: new Uint8Array(value) });
  }
  return [...changes.values()].sort((a, b) => compareKeys(a.key, b.key));
}

/** Changes put in one by one; more are merged in one pass. */
export const splicesMax = 64;

/** The rows with the changes, in an array of its own. */
export function mergeRows(rows: Rows, changes: readonly Change[]): Row[] {
  if (changes.length > splicesMax) return mergeInOnePass(rows, changes);
  const copy = rows.slice();
  spliceChanges(copy, changes);
  return copy;
}

/** Changes an array that nobody else holds. */
export function spliceChanges(rows: Row[], changes: readonly Change[]): void {
  for (const { key, value } of changes) {
    const at = lowerBound(rows, key);
    const row = rows[at];
    const found = row !== undefined && compareKeys(row[0], key) === 0 ? 1 : 0;
    if (value === undefined) rows.splice(at, found);
    else rows.splice(at, found, [key, value]);
  }
}

function mergeInOnePass(rows: Rows, changes: readonly Change[]): Row[] {
  const merged: Row[] = [];
  let at = 0;
  for (const { key, value } of changes) {
    for (; at < rows.length; at += 1) {
      const row = rows[at];
      if (row === undefined || compareKeys(row[0], key) >= 0) break;
      merged.push(row);
    }
    const there = rows[at];
    if (there !== undefined && compareKeys(there[0], key) === 0) at += 1;
    if (value !== undefined) merged.push([key, value]);
  }
  for (; at < rows.length; at += 1) {
    const row = rows[at];
    if (row !== undefined) merged.push(row);
  }
  return merged;
}

export function findValue(rows: Rows, key: Uint8Array): Uint8Array | undefined {
  const row = rows[lowerBound(rows, key)];
  return row !== undefined && compareKeys(row[0], key) === 0 ? row[1] : undefined;
}

/** Index of the first row whose key is not below `key`. */
export function lowerBound(rows: Rows, key: Uint8Array): number {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const row = rows[middle];
    if (row !== undefined && compareKeys(row[0], key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
