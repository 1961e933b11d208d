#!/usr/bin/env node
// whither-dpd: a discovery provider. Serves mapping zones: evaluations and registrations to clients with a
// certificate, heads, buckets and bodies to everybody.

import { join } from "node:path";
import { createDiscoveryProvider } from "@whither/authority";
import { createQueryLog, logExpiries, serveControl } from "@whither/control";
import { createDirectoryFollower } from "@whither/directory";
import { spkiSha256OfPem, type TlsIdentity } from "@whither/rpc";
import {
  createLogger,
  createVoprfPool,
  formatStartFailure,
  makeStateDirectory,
  runDaemon,
  serveMetrics,
  systemClock as clock,
  systemRandom as random,
  type DaemonScope,
  type RootLogger,
} from "@whither/runtime";
import { Command, CommanderError } from "commander";
import { loadDpdConfig } from "./config.js";
import { createDpdControl } from "./control.js";
import { readCredentials, readZone } from "./credentials.js";
import { expiries } from "./expiries.js";
import { DirectorySet } from "./directory-set.js";
import { createZoneFence } from "./fence.js";
import { createListeners } from "./listeners.js";
import { createMeasurements } from "./measurements.js";
import { reload } from "./reload.js";
import { openReplicas } from "./replicas.js";
import { requireOne, showHealth } from "./zone-health.js";
import { ZoneSet } from "./zone-set.js";

async function serve(scope: DaemonScope, configPath: string, logger: RootLogger): Promise<void> {
  let config = await loadDpdConfig(configPath);
  logger.setLevel(config.logLevel);
  const { stateDirectory } = config;
  await makeStateDirectory(stateDirectory);
  const credentials = await readCredentials(config);
  const { identity, clientCaPem } = credentials;
  let shown = (): TlsIdentity => identity;

  const voprf = scope.use(createVoprfPool({ threads: config.voprfThreads }));
  const follower = scope.use(
    createDirectoryFollower({
      anchors: credentials.anchors,
      source: config.directory.source,
      statePath: join(stateDirectory, "directory.state"),
      mirror: true,
      clock,
      random,
      logger,
    }),
  );
  const others = {
    follower,
    caPem: credentials.anchors.tlsCaPem.join("\n"),
    ownSpkiSha256: () => spkiSha256OfPem(shown().certPem),
  };
  const replicas = await openReplicas(scope, {
    ...others,
    identity: () => shown(),
    stateDirectory,
    replicas: credentials.replicas,
    anchors: credentials.anchors,
    voprf,
    clock,
    random,
    logger,
  });
  const { dp: dpId, limits } = config;
  const provider = scope.use(
    createDiscoveryProvider({
      ...{ dpId, zones: [], replicas, follower, limits, clock, random, logger },
      secondariesOf: (name) => zones.secondariesOf(name),
      vaultOf: (name) => zones.vaultOf(name),
    }),
  );
  const { admission } = provider;
  const measurements = createMeasurements();
  const { metrics, onCall } = measurements;
  const queryLog = createQueryLog({ clock, random, logger: createLogger() });
  const directories = scope.use(
    new DirectorySet({ stateDirectory, clock, logger, limit: limits, onChange: () => onChange() }),
  );
  const listeners = scope.use(
    createListeners({
      provider,
      directories: directories.service,
      identity,
      clientCaPem,
      clock,
      logger,
      onCall,
      queryLog: queryLog.interceptor,
    }),
  );
  shown = () => listeners.identity;
  const zones = scope.use(
    new ZoneSet({
      stateDirectory,
      voprf,
      clock,
      random,
      logger,
      fence: createZoneFence({ ...others, clock, logger }),
      onServe: (zone) => provider.addZone(zone),
      onWithdraw: (name) => {
        provider.removeZone(name);
        listeners.setStatus(name, "UNKNOWN");
      },
      onChange: () => onChange(),
    }),
  );
  const onChange = (): void => showHealth({ zones, directories, replicas, listeners });
  const outcomes = [
    ...(await zones.apply(config.zones)),
    ...(await directories.apply(config.directories)),
  ];
  requireOne(outcomes, replicas);
  const ends = (): ReturnType<typeof expiries> =>
    expiries({
      zones: zones.serving().map(({ zone }) => zone),
      certPem: listeners.identity.certPem,
      directory: follower.current(),
      directories: directories.conditions(),
    });
  measurements.watch({ zones, admission, expiries: ends });
  const facts = () => ends().map(({ what, zone, notAfter }) => ({ what, subject: zone, notAfter }));
  scope.use(logExpiries({ expiries: facts, clock, logger }));

  provider.start();
  const clients = await listeners.clients.listen(config.listen.clients);
  const open = await listeners.public.listen(config.listen.public);
  // First of all to close: a registration under way still needs its zone.
  scope.use({ [Symbol.asyncDispose]: () => listeners.close() });
  const page =
    config.metrics === undefined
      ? undefined
      : scope.use(await serveMetrics({ ...config.metrics, metrics }));
  const again = scope.onReload(async () => {
    const next = await reload(configPath, {
      config,
      admission,
      listeners,
      zones,
      directories,
      clock,
      logger,
    });
    config = next.config;
    return next.report;
  });
  const service = createDpdControl({
    configPath,
    config: () => config,
    zones,
    directories,
    replicas,
    provider,
    expiries: ends,
    admission,
    listeners,
    metrics,
    queryLog,
    clock,
    logger,
    reload: again,
    reloadFailure: () => scope.reloadFailure(),
    stop: () => scope.stop(),
  });
  scope.use(await serveControl({ stateDirectory, service, clock, logger }));
  scope.listening({
    dp: dpId,
    port: clients.port,
    public_port: open.port,
    ...(page === undefined ? {} : { metrics_port: page.port }),
    zones: zones.serving().map(({ zone }) => zone.zone),
  });
}

/** Everything a start checks short of stores and sockets. */
async function check(configPath: string): Promise<void> {
  try {
    const config = await loadDpdConfig(configPath);
    await readCredentials(config);
    for (const zone of config.zones) await readZone(zone, clock.nowSeconds());
    process.stdout.write(`${configPath}: ok\n`);
  } catch (error) {
    process.stderr.write(formatStartFailure(error));
    process.exitCode = 1;
  }
}

const program = new Command("whither-dpd")
  .description("serve the mapping zones of a discovery provider")
  .requiredOption("--config <file>", "configuration, as configs/dpd.yaml")
  .option("--check", "check configuration, keys and manifests, and exit")
  .addHelpText("after", "\nExample:\n  whither-dpd --config dpd.yaml")
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
