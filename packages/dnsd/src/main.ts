#!/usr/bin/env node
// whither-dnsd: a window for DNS clients. Answers ENUM queries on loopback from a resolver of its own, so that
// telephony software need not know whither.

import { createQueryLog, logExpiries, serveControl, type FinishedQuery } from "@whither/control";
import { createResolver } from "@whither/resolver";
import {
  createLogger,
  formatStartFailure,
  makeStateDirectory,
  readFileBounded,
  readSecretFile,
  runDaemon,
  serveMetrics,
  systemClock as clock,
  systemRandom as random,
  type DaemonScope,
  type RootLogger,
} from "@whither/runtime";
import { Command, CommanderError } from "commander";
import { createClientLimits } from "./client-limits.js";
import { loadDnsdConfig, type DnsdConfig } from "./config.js";
import { createDnsdControl, dnsdExpiries } from "./control.js";
import { Front, type QuerySample } from "./front.js";
import { createMeasurements, rcodeName } from "./measurements.js";
import { reload } from "./reload.js";
import { listenTcp } from "./tcp-listener.js";
import { listenUdp } from "./udp-listener.js";

/** Time that lookups under way get to end when the daemon stops. */
const drainMs = 3_000;
const drainStepMs = 20;
const fileBytesMax = 1024 * 1024;

async function serve(scope: DaemonScope, configPath: string, logger: RootLogger): Promise<void> {
  let config = await loadDnsdConfig(configPath);
  logger.setLevel(config.logLevel);
  const { stateDirectory } = config;
  if (stateDirectory !== undefined) await makeStateDirectory(stateDirectory);
  const resolver = scope.use(
    await createResolver({
      anchors: config.directory.anchorsFile,
      directory: config.directory.source,
      nameServers: config.directory.nameServers,
      identity: { cert: config.identity.certificateFile, key: config.identity.keyFile },
      ...(stateDirectory === undefined ? {} : { statePath: stateDirectory, keepCaches: true }),
      ...(config.ownMsp === undefined ? {} : { ownMsp: config.ownMsp }),
      watch: config.watch,
      logger,
    }),
  );
  const limits = createClientLimits(config, clock);
  const measurements = createMeasurements();
  const { metrics } = measurements;
  const queryLog = createQueryLog({ clock, random, logger: createLogger() });
  const front = new Front({
    resolver,
    limits,
    shown: config,
    cacheBytes: config.cacheBytes,
    lookupsInFlight: config.limits.lookupsInFlight,
    clock,
    onQuery: (sample) => {
      measurements.onQuery(sample);
      if (queryLog.enabled) queryLog.note(logged(sample));
    },
  });
  const udp = await listenUdp(config.listen, { front, limits });
  scope.defer(() => udp.close());
  const { host } = config.listen;
  const tcpLimits = () => config.limits;
  // One port for both, also where the system chose it.
  const tcp = await listenTcp({ host, port: udp.port }, { front, limits, tcpLimits, clock });
  scope.defer(() => tcp.close());
  const drain = async (): Promise<void> => {
    udp.stop();
    tcp.stop();
    for (let ms = 0; front.inFlight > 0 && ms < drainMs; ms += drainStepMs) {
      await clock.sleep(drainStepMs);
    }
  };
  scope.defer(drain);
  measurements.watch({ front, limits, resolver, tcpConnections: () => tcp.connections() });
  const page =
    config.metrics === undefined
      ? undefined
      : scope.use(await serveMetrics({ ...config.metrics, metrics }));
  const expiries = () => dnsdExpiries(config, resolver);
  scope.use(logExpiries({ expiries, clock, logger }));
  const again = scope.onReload(async () => {
    const next = await reload(configPath, { config, front, limits, resolver, logger });
    config = next.config;
    return next.report;
  });
  if (stateDirectory !== undefined) {
    const service = createDnsdControl({
      configPath,
      config: () => config,
      resolver,
      front,
      metrics,
      queryLog,
      clock,
      logger,
      reload: again,
      reloadFailure: () => scope.reloadFailure(),
      drain,
      stop: () => scope.stop(),
    });
    scope.use(await serveControl({ stateDirectory, service, clock, logger }));
  }
  scope.listening({
    port: udp.port,
    suffix: config.suffix,
    ...(page === undefined ? {} : { metrics_port: page.port }),
  });
}

function logged({ client, transport, rcode, durationMs }: QuerySample): FinishedQuery {
  const method = transport === "udp" ? "DNS/udp" : "DNS/tcp";
  return { method, client, peer: "anonymous", code: rcodeName(rcode), durationMs };
}

/** Everything a start checks short of sockets and state. */
async function check(configPath: string): Promise<void> {
  try {
    const config = await loadDnsdConfig(configPath);
    await checkFiles(config);
    process.stdout.write(`${configPath}: ok\n`);
  } catch (error) {
    process.stderr.write(formatStartFailure(error));
    process.exitCode = 1;
  }
}

async function checkFiles({ directory, identity }: DnsdConfig): Promise<void> {
  await readFileBounded(directory.anchorsFile, { bytesMax: fileBytesMax });
  await readFileBounded(identity.certificateFile, { bytesMax: fileBytesMax });
  await readSecretFile(identity.keyFile);
}

const program = new Command("whither-dnsd")
  .description("answer ENUM queries of DNS clients from whither")
  .requiredOption("--config <file>", "configuration, as configs/dnsd.yaml")
  .option("--check", "check configuration and files, and exit")
  .addHelpText(
    "after",
    "\nExample:\n  whither-dnsd --config dnsd.yaml\n  dig -p 5300 @127.0.0.1 3.2.1.0.5.5.5.5.1.4.1.e164.arpa NAPTR",
  )
  .exitOverride()
  .action(async ({ config, check: checkOnly }: { config: string; check?: true }) => {
    if (checkOnly === true) return check(config);
    const logger = createLogger();
    return runDaemon((scope) => serve(scope, config, logger), { logger });
  });

try {
  await program.parseAsync();
} catch (error) {
  // Help and usage errors: their text is written already.
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? 0 : 2;
}
