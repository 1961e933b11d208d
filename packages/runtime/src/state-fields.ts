// Strict reading of a process's own state files. A file that is not as written is refused, never
// silently begun anew: it guards against rollback.

import { fromBase64Url } from "@whither/crypto";
import { DiscoveryError } from "@whither/protocol";

export type JsonRecord = Readonly<Record<string, unknown>>;

export function stateCorrupt(cause?: unknown): DiscoveryError {
  return new DiscoveryError("STORE_CORRUPT", "a state file is damaged", { cause });
}

/** Reads a whole file's text; whatever is wrong with it is that the file is damaged. Throws STORE_CORRUPT naming it. */
export function withinStateFile<T>(path: string | undefined, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw stateCorrupt(new Error(`in ${path ?? "no file"}: ${reason}`));
  }
}

/** The object of a state file, checked to be of version 1. Throws STORE_CORRUPT. */
export function parseState(text: string): JsonRecord {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw stateCorrupt(cause);
  }
  const state = stateRecord(value);
  if (state["version"] !== 1) throw stateCorrupt();
  return state;
}

export function stateRecord(value: unknown): JsonRecord {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw stateCorrupt();
  return value as JsonRecord; // a non-null object that is no array
}

export function stateList(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw stateCorrupt();
  return value;
}

export function stateText(value: unknown): string {
  if (typeof value !== "string") throw stateCorrupt();
  return value;
}

export function stateInteger(value: unknown): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw stateCorrupt();
  return value;
}

export function stateBytes(value: unknown): Uint8Array {
  try {
    return fromBase64Url(stateText(value));
  } catch (cause) {
    throw stateCorrupt(cause);
  }
}
