export type {
  Batch,
  CommitOptions,
  Expectation,
  Range,
  ReadOptions,
  Row,
  Snapshot,
  Store,
} from "./store.js";
export { openLevelStore } from "./level-store.js";
export type { LevelStoreOptions } from "./level-store.js";
export { createMemoryStore } from "./memory-store.js";
export { createMemoryDisk } from "./memory-disk.js";
export type { Damage, DiskFaults, MemoryDisk } from "./memory-disk.js";
export { openSubStore } from "./sub-store.js";
export { watchCommits } from "./watched-store.js";
export type { WatchedStore } from "./watched-store.js";
export { openJournal } from "./journal.js";
export type { Journal, JournalPart, JournalReadOptions, JournalRow } from "./journal.js";
export {
  compareKeys,
  composeKey,
  equalValues,
  prefixEnd,
  prefixRange,
  readU32,
  readU64,
  u32Bytes,
  u64Bytes,
} from "./keys.js";
