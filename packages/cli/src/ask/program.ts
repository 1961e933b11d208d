// `whither`: reads the words, finds the configuration, asks, prints, and tells how it ended. Parts are
// loaded when they are needed: a wrong option should not wait for cryptography.

import { isDiscoveryError, type DiscoveryError } from "@whither/protocol";
import { systemClock, type Clock } from "@whither/runtime";
import { MissingConfig, directoryAddress, readClientConfig } from "../client-config.js";
import type { ClientConfig } from "../client-config.js";
import { report as reportFailure } from "../run-program.js";
import type { Terminal } from "../terminal.js";
import { UsageError } from "../usage.js";
import { cliVersion } from "../version.js";
import type { AskedResolver } from "./lookup.js";
import { parseInput } from "./inputs.js";
import { parseWords, type Query } from "./query-arguments.js";

export type OpenResolver = (options: {
  readonly config: ClientConfig;
  readonly mirror: boolean;
}) => Promise<AskedResolver>;

export interface WhitherRun {
  readonly args: readonly string[];
  readonly terminal: Terminal;
  readonly clock?: Clock;
  /** Tests hand in canned answers. */
  readonly openResolver?: OpenResolver;
}

/** Commands beside the question. A CSI is never one of these words. */
const verbs: ReadonlySet<string> = new Set([
  "register",
  "renew",
  "order",
  "invalidate",
  "monitor",
  "link",
  "grant",
  "verify",
  "setup",
  "completion",
]);

/** Resolves to the exit status of cli.md. Prints everything there is to say. */
export async function runWhither(run: WhitherRun): Promise<number> {
  const { args, terminal } = run;
  try {
    if (verbs.has(args[0] ?? "")) {
      const { runPersonCommand } = await import("../person/program.js");
      return await runPersonCommand(run);
    }
    const parsed = parseWords(args);
    switch (parsed.kind) {
      case "help":
        terminal.stdout.write((await import("./help.js")).helpText);
        return 0;
      case "version":
        terminal.stdout.write(`${cliVersion()}\n`);
        return 0;
      case "query":
        return await ask(parsed.query, run);
    }
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
      "hint: `whither setup` will write it; until then copy configs/whither.yaml there, or name one with --config\n",
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
    mirror,
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
