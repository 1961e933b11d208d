// Strict reading of the resolver's own state files. A file that is not as written is refused, never
// silently begun anew: it guards against rollback.

import { fromBase64Url } from "@whither/crypto";
import { DiscoveryError } from "@whither/protocol";

export type JsonRecord = Readonly<Record<string, unknown>>;

export function stateCorrupt(cause?: unknown): DiscoveryError {
  return new DiscoveryError("STORE_CORRUPT", "a resolver state file is damaged", { cause });
}

/** Reads a whole file's text; whatever is wrong with it is that the file is damaged. Throws STORE_CORRUPT naming it. */
export function withinFile<T>(path: string | undefined, parse: () => T): T {
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
  const state = record(value);
  if (state["version"] !== 1) throw stateCorrupt();
  return state;
}

export function record(value: unknown): JsonRecord {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw stateCorrupt();
  return value as JsonRecord; // a non-null object that is no array
}

export function list(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw stateCorrupt();
  return value;
}

export function text(value: unknown): string {
  if (typeof value !== "string") throw stateCorrupt();
  return value;
}

export function integer(value: unknown): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw stateCorrupt();
  return value;
}

export function bytes(value: unknown): Uint8Array {
  try {
    return fromBase64Url(text(value));
  } catch (cause) {
    throw stateCorrupt(cause);
  }
}
