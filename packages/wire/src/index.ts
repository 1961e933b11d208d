export { Control, Switch } from "./gen/whither/v1/control_pb.js";
export type {
  ControlStatusResponse,
  Expiry,
  FlushCacheRequest,
  MetricSample,
  ReloadedZone,
  ReloadResponse,
  KeySuccession,
  ZoneState,
} from "./gen/whither/v1/control_pb.js";
export {
  Directory,
  GetRecordsRequestSchema,
  GetRecordsResponseSchema,
  PartyKind,
  ReferRequestSchema,
  ReferResponseSchema,
  TransferRequestSchema,
  TransferResponseSchema,
} from "./gen/whither/v1/directory_pb.js";
export type {
  GetRecordsRequest,
  GetRecordsResponse,
  ReferRequest,
  ReferResponse,
  TransferRequest,
  TransferResponse,
} from "./gen/whither/v1/directory_pb.js";
export {
  Discovery,
  EvaluateRequestSchema,
  EvaluateResponseSchema,
  ExchangeRequestSchema,
  ExchangeResponseSchema,
} from "./gen/whither/v1/discovery_pb.js";
export type {
  EvaluateRequest,
  EvaluateResponse,
  ExchangeRequest,
  ExchangeResponse,
} from "./gen/whither/v1/discovery_pb.js";
export { ErrorDetailSchema } from "./gen/whither/v1/error_pb.js";
export type { ErrorDetail } from "./gen/whither/v1/error_pb.js";
export { SignedObjectSchema } from "./gen/whither/v1/record_pb.js";
export type { SignedObject as WireSignedObject } from "./gen/whither/v1/record_pb.js";
export {
  BeginRequestSchema,
  BeginResponseSchema,
  RegisterRequestSchema,
  RegisterResponseSchema,
  Registrar,
  RegistrationState,
  StatusRequestSchema,
  StatusResponseSchema,
} from "./gen/whither/v1/registration_pb.js";
export type {
  BeginRequest,
  BeginResponse,
  RegisterRequest,
  RegisterResponse,
  StatusRequest,
  StatusResponse,
} from "./gen/whither/v1/registration_pb.js";
export {
  BodiesRequestSchema,
  BodiesResponseSchema,
  BucketRequestSchema,
  BucketResponseSchema,
  FetchRequestSchema,
  FetchResponseSchema,
  GetHeadRequestSchema,
  GetHeadResponseSchema,
  GetManifestRequestSchema,
  GetManifestResponseSchema,
  Zone,
} from "./gen/whither/v1/zone_pb.js";
export { Replication, ReplicationVaultResponseSchema } from "./gen/whither/v1/replication_pb.js";
export type {
  ReplicationNotifyRequest,
  ReplicationNotifyResponse,
  ReplicationTransferRequest,
  ReplicationVaultRequest,
  ReplicationVaultResponse,
  VaultChange,
  VaultRow,
} from "./gen/whither/v1/replication_pb.js";
export {
  TransferFromSchema,
  TransferKind,
  TransferEpochSchema,
  TransferPartSchema,
  TransferStartSchema,
  ZoneTransferResponseSchema,
  ZoneWatchResponseSchema,
} from "./gen/whither/v1/zone_pb.js";
export type {
  TransferBodies,
  TransferBuckets,
  TransferEpoch,
  TransferFrom,
  TransferPart,
  TransferStart,
  ZoneTransferRequest,
  ZoneTransferResponse,
  ZoneWatchRequest,
  ZoneWatchResponse,
} from "./gen/whither/v1/zone_pb.js";
export type {
  BodiesRequest,
  BodiesResponse,
  BucketRequest,
  BucketResponse,
  FetchRequest,
  FetchResponse,
  GetHeadRequest,
  GetHeadResponse,
  GetManifestRequest,
  GetManifestResponse,
} from "./gen/whither/v1/zone_pb.js";

export {
  decodeRecordsAnswer,
  decodeReferAnswer,
  decodeTransferChunk,
  encodeRecordsAnswer,
  encodeReferAnswer,
  encodeTransferChunk,
  encodeWatchAnswer,
  transferChunkFromWire,
} from "./directory-messages.js";
export type {
  HeadVoucher,
  PartyName,
  RecordsAnswer,
  ReferAnswer,
  TransferChunk,
} from "./directory-messages.js";
export {
  decodeDirectoryHead,
  decodeNode,
  decodeRootKeys,
  encodeDirectoryHead,
  encodeNode,
  encodeRootKeys,
} from "./directory-records.js";
export { decodeRegistryRecord, encodeRegistryRecord } from "./registry-records.js";
export {
  decodeAcceptance,
  decodeCredential,
  decodeKeyLink,
  decodeMapping,
  decodePromise,
  decodeStatement,
  encodeAcceptance,
  encodeCredential,
  encodeKeyLink,
  encodeMapping,
  encodePromise,
  encodeStatement,
} from "./registration-records.js";
export { decodeSlotBody, encodeSlotBody, keyLinksFromWire, keyLinksToWire } from "./slot-body.js";
export {
  decodeSignedObject,
  encodeSignedObject,
  signedObjectFromWire,
  signedObjectToWire,
} from "./signed-object.js";
export { encodeRaw } from "./raw-fields.js";
export { decodeHead, decodeManifest, encodeHead, encodeManifest } from "./zone-records.js";
