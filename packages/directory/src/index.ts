export { createDirectoryFollower } from "./create-follower.js";
export type {
  ChannelEndpoint,
  DelegationOptions,
  DirectoryFollower,
  DirectoryFollowerOptions,
  DirectorySource,
  DirectoryStatus,
  Hop,
  OpenChannel,
  SignalOption,
  SpendKind,
} from "./follower.js";
export { runSliced } from "./sliced.js";
