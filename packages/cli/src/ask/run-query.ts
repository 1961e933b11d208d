// One run of a question: words, configuration, resolver, answers, exit status.

import { isDiscoveryError, type DiscoveryError } from "@whither/protocol";
import { systemClock } from "@whither/runtime";
import {
  MissingConfig,
  directoryAddress,
  readClientConfig,
  type ClientConfig,
} from "../client-config.js";
import { report as reportFailure } from "../run-program.js";
import type { Terminal } from "../terminal.js";
import { UsageError } from "../usage.js";
import type { AskedResolver, WhitherRun } from "../whither-run.js";
import { parseInput } from "./inputs.js";
import { parseWords, type Query } from "./query-arguments.js";

/** Resolves to the exit status. */
export async function runQuery(run: WhitherRun): Promise<number> {
  const { args, terminal } = run;
  try {
    return await ask(parseWords(args), run);
  } catch (error) {
    if (error instanceof MissingConfig) return reportMissing(error, terminal);
    return await reportFailure(error, { terminal, statusOf: await statusOfFailure(error) });
  }
}

/** Usage is told without loading what only failures of the network need. */
async function statusOfFailure(error: unknown): Promise<(error: DiscoveryError) => number> {
  const isUsage = isDiscoveryError(error, "CONFIG") || isDiscoveryError(error, "NOT_AVAILABLE");
  if (isUsage || !isDiscoveryError(error)) return () => 2;
  return (await import("../exit-status.js")).statusOfFailure;
}

function reportMissing({ path }: MissingConfig, terminal: Terminal): number {
  terminal.stderr.write(
    `error: configuration: expected trust anchors and a directory in ${path}, got no such file\n` +
      "hint: `whither setup` writes it, and asks for what it needs; or name one with --config\n",
  );
  return 2;
}

async function ask(query: Query, run: WhitherRun): Promise<number> {
  const { terminal, clock = systemClock } = run;
  const config = await readClientConfig({ named: query.config, env: terminal.env });
  const region = query.region ?? config.region;
  checkWords(query, region);
  const { askAndPrint } = await import("./ask.js");
  const openResolver = run.openResolver ?? openConfigured;
  const resolver = await openResolver({
    config: { ...config, directory: serverOf(query) ?? config.directory },
    mirror: query.mirror && config.mirror,
  });
  try {
    return await askAndPrint({ ...query, region }, { terminal, clock, resolver });
  } finally {
    await closeQuietly(resolver, terminal);
  }
}

/** Words are few: each is checked before anything is asked. Lines of a file are checked as they come. */
function checkWords(query: Query, region: string | undefined): void {
  for (const word of query.identifiers) {
    const input = parseInput(word, { region });
    if (input.kind === "csi") continue;
    throw new UsageError(
      `identifier: expected a number with +, an e-mail address or a URI, got ${JSON.stringify(word)}`,
      input.error.text,
    );
  }
}

function serverOf({ server }: Query): string | undefined {
  if (server === undefined) return undefined;
  const address = directoryAddress(server, process.cwd());
  if (address !== undefined) return address;
  throw new UsageError(`server: expected @host:port, got @${server}`);
}

async function openConfigured(options: {
  readonly config: ClientConfig;
  readonly mirror: boolean;
}): Promise<AskedResolver> {
  const { config, mirror } = options;
  const { createResolver } = await import("@whither/resolver");
  return await createResolver({
    anchors: config.anchors,
    directory: config.directory,
    nameServers: config.name_servers,
    domainSuggestions: config.domain_suggestions,
    mirror,
    replicas: config.replicas,
    ...(config.identity === undefined ? {} : { identity: config.identity }),
    ...(config.own_msp === undefined ? {} : { ownMsp: config.own_msp }),
    ...(config.state_dir === undefined ? {} : { statePath: config.state_dir }),
  });
}

/** What could not be remembered for the next time does not change this answer. */
async function closeQuietly(resolver: AskedResolver, terminal: Terminal): Promise<void> {
  try {
    await resolver.close();
  } catch (error) {
    if (!isDiscoveryError(error)) throw error;
    terminal.stderr.write(`warning: state was not kept: ${error.text}\n`);
  }
}
