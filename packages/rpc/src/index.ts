export type {
  Channel,
  IncomingCall,
  IncomingListener,
  OutgoingCall,
  OutgoingListener,
  OutgoingOptions,
} from "./calls.js";
export { callRaw, createClient, openDuplex, openRawDuplex } from "./client.js";
export type { CallOptions, CallTarget, Client, ClientDuplex, DuplexListener } from "./client.js";
export { decodeMessage, encodeMessage } from "./codec.js";
export { addressPrefix, peerKey } from "./context.js";
export type { CallContext, CallMetadata, MethodKind, Peer } from "./context.js";
export { fromErrorDetail, furtherErrors, joinErrors, toErrorDetail } from "./errors.js";
export { openChannel, openLocalChannel } from "./grpc-channel.js";
export type { ChannelOptions } from "./grpc-channel.js";
export { createRpcServer, defaultServerLimits } from "./grpc-server.js";
export type {
  ClientPolicy,
  ListenAddress,
  RpcServer,
  RpcServerLimits,
  RpcServerOptions,
  ServedOptions,
  Serving,
} from "./grpc-server.js";
export { notAvailable } from "./handlers.js";
export type { MethodImpl, RequestOf, ResponseOf, ServerDuplex, ServiceImpl } from "./handlers.js";
export type { ServingStatus } from "./health.js";
export {
  deadlineInterceptor,
  identityInterceptor,
  inFlightInterceptor,
  logInterceptor,
  metricsInterceptor,
} from "./interceptors.js";
export type { CallSample, NextHandler, ServerInterceptor } from "./interceptors.js";
export { createLocalServer } from "./local-server.js";
export type { LocalServer } from "./local-server.js";
export type { LinkEnds, LinkFaults, TapRecord, Travel } from "./memory-faults.js";
export { createMemoryNetwork } from "./memory-network.js";
export type {
  MemoryConnectOptions,
  MemoryNetwork,
  MemoryServer,
  MemoryServerOptions,
} from "./memory-network.js";
export { sendQueueBytesMax, sendQueueMessagesMax } from "./send-meter.js";
export { implementService } from "./service.js";
export type { MethodRegistration, ServiceOptions, ServiceRegistration } from "./service.js";
export {
  certificateNotAfter,
  checkCertificatePeriod,
  checkIdentity,
  spkiSha256OfPem,
  tlsIdentityFromFiles,
} from "./tls-identity.js";
export type { TlsIdentity, TlsIdentityFiles } from "./tls-identity.js";
export { createGrpcTransport } from "./transport.js";
export type { ConnectOptions, Endpoint, GrpcTransportOptions, Transport } from "./transport.js";
