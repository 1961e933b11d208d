export { parseCsi } from "@whither/protocol";
export { DiscoveryError, isDiscoveryError } from "@whither/protocol";
export type { Csi, DpId, ErrorCode, MspId, Prefix, ZoneName } from "@whither/protocol";
export type {
  Answer,
  AnswerError,
  AnswerForm,
  AnswerMapping,
  AnswerWarning,
  AttestedAnswerMapping,
  BatchItem,
  Completeness,
  DpOutcome,
  DpPart,
  FailedAnswer,
  FoundAnswer,
  HopPath,
  HopRecord,
  IncompleteAnswer,
  NoneAnswer,
  PortOutcome,
  PortStep,
  ProofSummary,
  QueryStats,
  VerifiedAnswerMapping,
  WarningCode,
} from "./answer.js";
export type { ClientIdentity } from "./client-identity.js";
export { createResolver } from "./create-resolver.js";
export type { ResolverOptions } from "./create-resolver.js";
export { parseDirectorySource } from "./directory-source.js";
export type { DirectorySourceOptions } from "./directory-source.js";
export type { DnsExchange, ExchangeOptions } from "./dns/exchange.js";
export type { Evidence } from "./evidence.js";
export { failureStatus } from "./failure.js";
export type { FailureStatus } from "./failure.js";
export type { LookupOptions } from "./options.js";
export type {
  CacheDumpOptions,
  CacheFlush,
  CacheRow,
  CacheStats,
  ResolverCache,
} from "./resolver-cache.js";
export type { CacheUse } from "./cache-shares.js";
export type { Resolver } from "./resolver.js";
export type { InfraRow, LameZone, ServerState } from "./server-choice.js";
export type { Replica } from "./zone-view.js";
