#!/usr/bin/env node
// whither-rootd: serves the signed root directory to everybody. The artefact is verified from the anchors before
// a byte of it is served. Holds no key of it, unless it is to withdraw authorities that it finds lame.

import { createRateLimit } from "@whither/authority";
import { createQueryLog, logExpiries, serveControl } from "@whither/control";
import { createDelegationHealth } from "@whither/directory";
import {
  createLogger,
  formatStartFailure,
  makeStateDirectory,
  runDaemon,
  serveMetrics,
  systemClock as clock,
  systemRandom as random,
  type DaemonScope,
  type RootLogger,
} from "@whither/runtime";
import { onlineKeyPeriod } from "@whither/zone";
import { Command, CommanderError } from "commander";
import { loadRootdConfig } from "./config.js";
import { createRootdControl } from "./control.js";
import { rootdExpiries } from "./expiries.js";
import { createExpiryWatch } from "./expiry-watch.js";
import { createListener } from "./listener.js";
import { loadDirectory, readAnchors, readIdentity, readOnlineKey } from "./load-directory.js";
import { createMeasurements } from "./measurements.js";
import { reload } from "./reload.js";
import { startPublishing } from "./start-publishing.js";

async function serve(scope: DaemonScope, configPath: string, logger: RootLogger): Promise<void> {
  let config = await loadRootdConfig(configPath);
  logger.setLevel(config.logLevel);
  const identity = await readIdentity(config);
  const { stateDirectory } = config;
  if (stateDirectory !== undefined) await makeStateDirectory(stateDirectory);
  const anchors = await readAnchors(config.anchorsFile);
  const { publication, withdrawals } = await startPublishing({
    config: () => config,
    anchors,
    clock,
    logger,
    onPublished: () => onDirectory(),
  });
  if (withdrawals !== undefined) scope.use(withdrawals);
  const { service } = publication;
  const rateLimit = createRateLimit(config.limits, clock);
  const health = scope.use(
    createDelegationHealth({
      ...{ ...config.health, anchors, clock, random, logger },
      onRound: (found) => void withdrawals?.look(found),
    }),
  );
  const measurements = createMeasurements();
  const { metrics, onCall } = measurements;
  const queryLog = createQueryLog({ clock, random, logger: createLogger() });
  const listener = scope.use(
    createListener({
      service,
      identity,
      rateLimit,
      clock,
      logger,
      onCall,
      queryLog: queryLog.interceptor,
    }),
  );
  const expiries = (): ReturnType<typeof rootdExpiries> => {
    const { tls, artefactFile, withdrawal } = config;
    return rootdExpiries({
      certificate: { file: tls.certificateFile, notAfter: listener.certificateNotAfter() },
      artefactFile,
      directory: service.directory,
      onlineKey:
        withdrawals === undefined || withdrawal === undefined
          ? undefined
          : { file: withdrawal.zskKeyFile, notAfter: withdrawals.keyNotAfter },
      nowSeconds: clock.nowSeconds(),
    });
  };
  measurements.watch({ health, service, listener, withdrawals, expiries });
  // Of the directory's own end the watch below tells.
  const others = () => expiries().filter(({ what }) => what !== "directory");
  scope.use(logExpiries({ expiries: others, clock, logger }));
  const expiry = scope.use(
    createExpiryWatch({ clock, logger, onServing: (isServing) => listener.setServing(isServing) }),
  );

  const { port } = await listener.server.listen(config.listen.public);
  const page =
    config.metrics === undefined
      ? undefined
      : scope.use(await serveMetrics({ ...config.metrics, metrics }));
  const onDirectory = (): void => {
    expiry.watch(service.directory);
    measurements.onDirectory(service.directory);
    health.watch(service.directory);
  };
  onDirectory();
  health.start();
  const again = scope.onReload(async () => {
    const running = { config, publication, listener, rateLimit, clock, logger };
    const next = await reload(configPath, running);
    config = next.config;
    onDirectory();
    return next.report;
  });
  if (stateDirectory !== undefined) {
    const control = createRootdControl({
      configPath,
      config: () => config,
      service,
      health,
      withdrawals,
      listener,
      metrics,
      queryLog,
      clock,
      logger,
      expiries,
      reload: again,
      reloadFailure: () => scope.reloadFailure(),
      stop: () => scope.stop(),
    });
    scope.use(await serveControl({ stateDirectory, service: control, clock, logger }));
  }
  scope.listening({
    public_port: port,
    ...(page === undefined ? {} : { metrics_port: page.port }),
    serial: service.directory.serial,
  });
}

/** Everything a start checks short of sockets. */
async function check(configPath: string): Promise<void> {
  try {
    const config = await loadRootdConfig(configPath);
    await readIdentity(config);
    const { directory } = await loadDirectory({ ...config, clock });
    if (config.withdrawal !== undefined) {
      const key = await readOnlineKey(config.withdrawal.zskKeyFile);
      onlineKeyPeriod(directory, key, clock.nowSeconds());
    }
    process.stdout.write(`${configPath}: ok\n`);
  } catch (error) {
    process.stderr.write(formatStartFailure(error));
    process.exitCode = 1;
  }
}

const program = new Command("whither-rootd")
  .description("serve the signed root directory")
  .requiredOption("--config <file>", "configuration, as configs/rootd.yaml")
  .option("--check", "check configuration, certificate and directory, and exit")
  .addHelpText("after", "\nExample:\n  whither-rootd --config rootd.yaml")
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
