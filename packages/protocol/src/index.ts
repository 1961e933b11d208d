export type { Brand, Csi, DpId, MspId, Prefix, ProverId, ZoneName } from "./brands.js";
export {
  DiscoveryError,
  errorCodeOfNumber,
  errorRegistry,
  errorTextBytesMax,
  isDiscoveryError,
} from "./errors.js";
export type { DiscoveryErrorOptions, ErrorCode, GrpcStatusName } from "./errors.js";
export { limits } from "./limits.js";
