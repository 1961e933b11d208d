#!/usr/bin/env node
// whither-dpd: a discovery provider. Serves mapping zones: evaluations and registrations to clients with a
// certificate, heads, buckets and bodies to everybody.

import { join } from "node:path";
import { createDiscoveryProvider } from "@whither/authority";
import { createDirectoryFollower } from "@whither/directory";
import { spkiSha256OfPem } from "@whither/rpc";
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
import { readCredentials } from "./credentials.js";
import { expiries } from "./expiries.js";
import { createListeners } from "./listeners.js";
import { createMeasurements } from "./measurements.js";
import { reload } from "./reload.js";
import { openReplicas } from "./replicas.js";
import { openZones } from "./zones.js";

async function serve(scope: DaemonScope, configPath: string, logger: RootLogger): Promise<void> {
  const config = await loadDpdConfig(configPath);
  logger.setLevel(config.logLevel);
  const { stateDirectory } = config;
  await makeStateDirectory(stateDirectory);
  const credentials = await readCredentials(config, clock.nowSeconds());

  const voprf = scope.use(createVoprfPool({ threads: config.voprfThreads }));
  const zones = await openZones(scope, {
    stateDirectory,
    zones: credentials.zones,
    voprf,
    clock,
    random,
    logger,
  });
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
  const { anchors, identity, clientCaPem } = credentials;
  const replicas = await openReplicas(scope, {
    stateDirectory,
    replicas: credentials.replicas,
    follower,
    caPem: anchors.tlsCaPem.join("\n"),
    ownSpkiSha256: spkiSha256OfPem(identity.certPem),
    voprf,
    clock,
    random,
    logger,
  });
  const provider = scope.use(
    createDiscoveryProvider({
      dpId: config.dp,
      zones,
      replicas,
      follower,
      limits: config.limits,
      clock,
      random,
      logger,
    }),
  );
  const { admission } = provider;
  const measurements = createMeasurements();
  const { metrics, onCall } = measurements;
  const listeners = scope.use(
    createListeners({ provider, identity, clientCaPem, clock, logger, onCall }),
  );
  measurements.watch({
    zones,
    admission,
    expiries: () =>
      expiries({
        zones: zones.map(({ zone }) => zone),
        certPem: listeners.identity.certPem,
        directory: follower.current(),
      }),
  });

  provider.start();
  const clients = await listeners.clients.listen(config.listen.clients);
  const open = await listeners.public.listen(config.listen.public);
  const page =
    config.metrics === undefined
      ? undefined
      : scope.use(await serveMetrics({ ...config.metrics, metrics }));
  scope.onReload(() => reload(configPath, { config, admission, listeners, logger }));
  scope.listening({
    dp: config.dp,
    port: clients.port,
    public_port: open.port,
    ...(page === undefined ? {} : { metrics_port: page.port }),
    zones: zones.map(({ zone }) => zone.zone),
  });
}

/** Everything a start checks short of stores and sockets. */
async function check(configPath: string): Promise<void> {
  try {
    const config = await loadDpdConfig(configPath);
    await readCredentials(config, clock.nowSeconds());
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
