// What a zone remembers of a change of its keys over a restart: how far the next tree has come, since when
// the directory has named the next manifest.

import { DiscoveryError } from "@whither/protocol";
import { readU32, readU64, u32Bytes, u64Bytes } from "@whither/store";
import { concatBytes } from "@whither/crypto/node";

const hashBytes = 32;

/**
 * Copying: the vault is walked, slots are staged. Loading: all are staged, the tree is made of them and what is
 * registered meanwhile waits for its first epoch.
 */
export type BuildProgress =
  | {
      readonly phase: "copying";
      /** Rows of the vault that are done. */
      readonly done: number;
      /** Place of the last of them in the vault; undefined: none yet. */
      readonly cursor: Uint8Array | undefined;
    }
  | { readonly phase: "loading"; readonly done: number };

const phases = { copying: 1, loading: 2 } as const;

/** phase(1) ‖ done(8) ‖ cursor(0 or 32). */
export function encodeBuild(progress: BuildProgress): Uint8Array {
  const cursor = progress.phase === "copying" ? progress.cursor : undefined;
  return concatBytes(
    Uint8Array.of(phases[progress.phase]),
    u64Bytes(BigInt(progress.done)),
    cursor ?? new Uint8Array(0),
  );
}

export function decodeBuild(bytes: Uint8Array): BuildProgress {
  const cursor = bytes.slice(9);
  if (bytes.length < 9 || (cursor.length !== 0 && cursor.length !== hashBytes)) {
    throw corrupt("the progress of a tree has a wrong size");
  }
  const done = Number(readU64(bytes, 1));
  if (bytes[0] === phases.loading) return { phase: "loading", done };
  if (bytes[0] !== phases.copying) throw corrupt("the progress of a tree is of no known kind");
  return { phase: "copying", done, cursor: cursor.length === 0 ? undefined : cursor };
}

/** Since when the directory has named a manifest, as far as this zone has seen. */
export interface NamedSince {
  /** 32 bytes. */
  readonly sha256: Uint8Array;
  readonly since: number;
  /** Of the node that names it: for so long may others go by an older one. */
  readonly ttlSeconds: number;
}

/** hash(32) ‖ since(8) ‖ ttl(4). */
export function encodeNamed({ sha256, since, ttlSeconds }: NamedSince): Uint8Array {
  return concatBytes(sha256, u64Bytes(BigInt(since)), u32Bytes(ttlSeconds));
}

export function decodeNamed(bytes: Uint8Array): NamedSince {
  if (bytes.length !== hashBytes + 12) throw corrupt("a manifest's time has a wrong size");
  return {
    sha256: bytes.slice(0, hashBytes),
    since: Number(readU64(bytes, hashBytes)),
    ttlSeconds: readU32(bytes, hashBytes + 8),
  };
}

export function decodeTime(bytes: Uint8Array): number {
  if (bytes.length !== 8) throw corrupt("a time has a wrong size");
  return Number(readU64(bytes, 0));
}

function corrupt(text: string): DiscoveryError {
  return new DiscoveryError("STORE_CORRUPT", text);
}
