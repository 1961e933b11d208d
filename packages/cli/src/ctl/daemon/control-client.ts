// From the options of a command to a running daemon: which socket, a client on it, and the result printed.

import { readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { Command, Option } from "commander";
import { z } from "zod";
import { controlSocketName } from "@whither/control";
import { createClient, openLocalChannel, type CallOptions, type Client } from "@whither/rpc";
import { parseYaml } from "@whither/runtime";
import { Control } from "@whither/wire";
import { jsonOption } from "../../options.js";
import { print, type Terminal } from "../../terminal.js";
import { UsageError } from "../../usage.js";
import { plainValue } from "./plain-value.js";

export interface SocketOptions {
  readonly socket?: string;
  readonly config?: string;
  readonly json?: true;
}

/** A reload opens stores and a drain waits for streams: ten minutes. Everything else is quick. */
const timeoutMs = 600_000;

const helpGroup = "Running daemon (--socket or --config says which):";

interface About {
  readonly description: string;
  readonly example: string;
}

const configOption = (): Option =>
  new Option("--config <file>", "its configuration, which names the state directory");

/** A command for a running daemon, with the options that name it. */
export function daemonCommand(name: string, about: About): Command {
  const socket = new Option("--socket <path>", `the daemon's ${controlSocketName}`);
  return describedCommand(name, about, [socket, configOption(), jsonOption()]);
}

/** A command for the files of a daemon that does not run, or not with them. */
export function daemonFilesCommand(name: string, about: About): Command {
  return describedCommand(name, about, [configOption(), jsonOption()]);
}

function describedCommand(name: string, about: About, options: readonly Option[]): Command {
  const command = new Command(name)
    .description(about.description)
    .helpGroup(helpGroup)
    .addHelpText("after", `\nExample:\n  whitherctl ${about.example}`);
  return options.reduce((whole, option) => whole.addOption(option), command);
}

/** A command that holds others. */
export function daemonGroup(name: string, description: string): Command {
  return new Command(name).description(description).helpGroup(helpGroup);
}

export interface ControlAnswer {
  /** What `--json` prints: a message, or plain values. */
  readonly value: unknown;
  readonly text: string;
}

export interface ControlClient extends Client<typeof Control> {
  /** For every call: ends with the terminal, or after ten minutes. */
  readonly call: CallOptions;
}

/** Runs `work` on the socket that the options name and prints what it gives. Throws UsageError, and what the daemon says. */
export async function askDaemon(
  terminal: Terminal,
  options: SocketOptions,
  work: (control: ControlClient) => Promise<ControlAnswer>,
): Promise<void> {
  const path = await socketPath(terminal, options);
  const channel = openLocalChannel({ path });
  try {
    const call = { signal: terminal.signal, timeoutMs };
    const { value, text } = await work({ ...createClient(Control, channel), call });
    print(terminal, { json: options.json === true, value: plainValue(value), text });
  } finally {
    channel.close();
  }
}

/** All rows of a stream: they are printed as one table, or one JSON list. */
export async function rowsOf<T>(stream: AsyncIterable<T>): Promise<readonly T[]> {
  const rows: T[] = [];
  for await (const row of stream) rows.push(row);
  return rows;
}

async function socketPath(terminal: Terminal, options: SocketOptions): Promise<string> {
  const { socket, config } = options;
  if (socket !== undefined && config === undefined) return resolve(socket);
  if (config !== undefined && socket === undefined) return socketOfConfig(config);
  const named = terminal.env["WHITHER_CONTROL"] ?? "";
  if (socket === undefined && named !== "") return resolve(named);
  const got = socket === undefined ? "neither" : "both";
  throw new UsageError(
    `daemon: expected --socket PATH or --config FILE, got ${got}`,
    "name the daemon's configuration: --config dpd.yaml; or set WHITHER_CONTROL to its control.sock",
  );
}

async function socketOfConfig(file: string): Promise<string> {
  return join(await stateDirectoryOf(file), controlSocketName);
}

/** Of a daemon's configuration, whose other keys are not looked at. Throws UsageError. */
export async function stateDirectoryOf(file: string): Promise<string> {
  const text = await readFile(file, "utf8").catch((cause: unknown) => {
    throw new UsageError(`${file}: expected a daemon's configuration, got none`, String(cause));
  });
  const schema = z.looseObject({ state_directory: z.string().optional() });
  const { state_directory: directory } = parseYaml({ text, path: file, schema });
  if (directory === undefined) {
    throw new UsageError(
      `${file}: expected a state_directory, got none`,
      "the control socket lies in the state directory; add one and restart the daemon",
    );
  }
  return resolve(dirname(resolve(file)), directory);
}
