export { abortError, systemClock } from "./clock.js";
export type { Clock, Scheduled, SleepOptions } from "./clock.js";
export { deadlineSignal } from "./deadline.js";
export type { DeadlineSignal } from "./deadline.js";
export { randomBelow, systemRandom } from "./random.js";
export type { Random } from "./random.js";
export { loadConfig, parseYaml } from "./config.js";
export type { ConfigSchema, LoadConfigOptions, ParseYamlOptions } from "./config.js";
export {
  configError,
  ConfigIssuesError,
  formatConfigError,
  formatConfigIssue,
  formatKeyPath,
  formatValue,
} from "./config-issues.js";
export type { ConfigIssue } from "./config-issues.js";
export {
  durationField,
  field,
  formatDurationMs,
  formatHostPort,
  formatSizeBytes,
  hostPortField,
  integerField,
  parseDurationMs,
  nameServersField,
  parseDomain,
  parseHostPort,
  parseNameServer,
  parseSizeBytes,
  pathField,
  secondsField,
  secretPathField,
  sizeField,
  textField,
} from "./config-fields.js";
export type { HostPort, Range } from "./config-fields.js";
export {
  errnoOf,
  makeStateDirectory,
  moveDirectory,
  pathExists,
  readFileBounded,
  readSecretFile,
  placeDirectory,
  replaceFile,
  writeSecretFile,
} from "./files.js";
export type { ReadFileOptions, ReplaceFileOptions, WriteSecretFileOptions } from "./files.js";
export {
  parseState,
  stateBytes,
  stateCorrupt,
  stateInteger,
  stateList,
  stateRecord,
  stateText,
  withinStateFile,
} from "./state-fields.js";
export type { JsonRecord } from "./state-fields.js";
export { readStateFile, StateFile } from "./state-file.js";
export type { StateFileOptions } from "./state-file.js";
export { lockFile } from "./file-lock.js";
export type { FileLock } from "./file-lock.js";
export { createLogger, logLevels, makeLogTag, silentLogger } from "./logger.js";
export type {
  LogDestination,
  LogFields,
  Logger,
  LoggerOptions,
  LogLevel,
  RootLogger,
} from "./logger.js";
export { createMetrics } from "./metrics.js";
export type {
  Counter,
  Gauge,
  Histogram,
  HistogramOptions,
  LabelBounds,
  MetricOptions,
  Metrics,
  MetricSample,
  NoLabels,
} from "./metrics.js";
export { serveMetrics } from "./metrics-server.js";
export type { MetricsServer } from "./metrics-server.js";
export { formatStartFailure, runDaemon } from "./lifecycle.js";
export type { DaemonProcess, DaemonScope, RunDaemonOptions } from "./lifecycle.js";
export { packageVersion } from "./package-version.js";
export { createScope } from "./scope.js";
export type { Closable, Scope } from "./scope.js";
export { createWorkerPool, workerUrl } from "./worker-pool.js";
export type { RunOptions, WorkerPool, WorkerPoolOptions } from "./worker-pool.js";
export { serveWorker } from "./worker-port.js";
export type { WorkerAnswer } from "./worker-port.js";
export { createInlineVoprf } from "./voprf-engine.js";
export type {
  EvaluatedWork,
  EvaluateRequest,
  VoprfCallOptions,
  VoprfEngine,
} from "./voprf-engine.js";
export { createVoprfPool } from "./voprf-pool.js";
export type { VoprfPoolOptions } from "./voprf-pool.js";
export { createTokenBucket } from "./token-bucket.js";
export type { Taken, TokenBucket, TokenBucketOptions } from "./token-bucket.js";
export { createKeyedBuckets } from "./keyed-buckets.js";
export type { BucketLimit, KeyedBuckets, KeyedBucketsOptions } from "./keyed-buckets.js";
