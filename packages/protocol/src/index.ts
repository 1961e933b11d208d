export type { Brand, Csi, DpId, MspId, Prefix, ProverId, ZoneName } from "./brands.js";
export { callingCodeOf, callingCodes } from "./csi/calling-codes.js";
export {
  comparePrefixes,
  csiLabels,
  csiProofMethods,
  csiRegistry,
  csiScheme,
  disclosureLimit,
  isCanonicalCsi,
  isCsiWithin,
  isWithin,
  parentPrefix,
  parseCsi,
  parsePrefix,
  prefixDepth,
  prefixesOfCsi,
  prefixLabels,
  prefixOf,
} from "./csi/csi.js";
export { foldText } from "./csi/fold.js";
export { isPublicSuffix, parseHost, registrableDomain } from "./csi/host.js";
export { createCsiRegistry } from "./csi/registry.js";
export type { CsiRegistry, ParseCsiOptions } from "./csi/registry.js";
export { invalidCsi } from "./csi/scheme.js";
export type { CsiInput, CsiScheme } from "./csi/scheme.js";
export {
  DiscoveryError,
  errorCodeOfNumber,
  errorRegistry,
  errorTextBytesMax,
  isDiscoveryError,
} from "./errors.js";
export type { DiscoveryErrorOptions, ErrorCode, GrpcStatusName } from "./errors.js";
export { limits } from "./limits.js";
export { parseDpId, parseMspId, parseProverId, parseZoneName, zoneDp } from "./names.js";
export { compareLabels } from "./prefix-space.js";
export type { PrefixSpace } from "./prefix-space.js";
export { isTelRange, prefixesOfRange } from "./tel-range.js";
export { roles, suiteV1 } from "./records.js";
export type {
  Acceptance,
  Authority,
  AuthorityKind,
  Credential,
  DirectoryHead,
  Disposition,
  DpRecord,
  Endpoint,
  Federation,
  Head,
  HpkeKey,
  KeyLink,
  KeyPeriod,
  Manifest,
  Mapping,
  MergePromise,
  MspRecord,
  Node,
  Party,
  Policy,
  ProverRecord,
  Quota,
  RegistryRecord,
  RelayRecord,
  Role,
  RootKeys,
  Signature,
  SignedObject,
  SlotBody,
  SlotKeyLink,
  SlotMapping,
  Statement,
  StatementItem,
  VoprfKey,
} from "./records.js";
