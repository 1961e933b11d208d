export { createDirectoryFollower } from "./create-follower.js";
export type {
  ChannelEndpoint,
  DelegationOptions,
  DirectoryFollower,
  DirectoryFollowerOptions,
  DirectoryLocator,
  DirectoryPlace,
  DirectorySource,
  DirectoryStatus,
  Hop,
  Located,
  LocateOptions,
  OpenChannel,
  SignalOption,
  SpendKind,
} from "./follower.js";
export { createDelegationHealth } from "./delegation-health.js";
export { noPlace } from "./directory-places.js";
export type {
  AuthorityHealth,
  DelegationHealth,
  DelegationHealthOptions,
} from "./delegation-health.js";
export { formatHealthTable } from "./health-table.js";
export { believedKsks, ManifestMemory } from "./manifest-memory.js";
export type { ManifestMemoryOptions } from "./manifest-memory.js";
export { runSliced } from "./sliced.js";
