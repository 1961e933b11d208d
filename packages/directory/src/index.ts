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
