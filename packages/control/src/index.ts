export { commonControl, reloadedZone } from "./common-control.js";
export type { ControlledDaemon } from "./common-control.js";
export { createControlService } from "./control-service.js";
export type { ControlHandlers, DaemonName } from "./control-service.js";
export type {
  ExpiryFact,
  ReloadedZoneFact,
  SuccessionFact,
  ReloadReport,
  ZoneFact,
} from "./facts.js";
export { expiryMarginSeconds, logExpiries } from "./expiry-margins.js";
export { createQueryLog } from "./query-log.js";
export type { FinishedQuery, QueryLog, QueryLogState } from "./query-log.js";
export { controlSocketName, serveControl } from "./serve-control.js";
export type { ControlServer } from "./serve-control.js";
