// whitherctl status, stats, metrics, reload, config-show, log-level, querylog, drain, stop: what every
// daemon has.

import { Argument, type Command } from "commander";
import { logLevels } from "@whither/runtime";
import { Switch } from "@whither/wire";
import type { Terminal } from "../../terminal.js";
import { ExitStatus } from "../../usage.js";
import { askDaemon, daemonCommand, type SocketOptions } from "./control-client.js";
import { configText, reloadText, statsText, statusText } from "./daemon-text.js";

export function daemonVerbs(terminal: Terminal): readonly Command[] {
  return [...readingVerbs(terminal), ...changingVerbs(terminal), ...endingVerbs(terminal)];
}

function readingVerbs(terminal: Terminal): readonly Command[] {
  const status = daemonCommand("status", {
    description: "what the daemon serves, since when, and what ends when",
    example: "status --config dpd.yaml",
  }).action((options: SocketOptions) =>
    askDaemon(terminal, options, async ({ status, call }) => {
      const value = await status({}, call);
      return { value, text: statusText(value) };
    }),
  );
  const stats = daemonCommand("stats", {
    description: "counters and gauges since the start; reading resets nothing",
    example: "stats --config dpd.yaml --json",
  }).action((options: SocketOptions) =>
    askDaemon(terminal, options, async ({ stats, call }) => {
      const value = await stats({}, call);
      return { value, text: statsText(value.samples) };
    }),
  );
  const metrics = daemonCommand("metrics", {
    description: "the Prometheus page",
    example: "metrics --config rootd.yaml",
  }).action((options: SocketOptions) =>
    askDaemon(terminal, options, async ({ metrics, call }) => {
      const value = await metrics({}, call);
      return { value, text: value.text };
    }),
  );
  const config = daemonCommand("config-show", {
    description:
      "the configuration in force with its defaults; keys are shown as paths, never read",
    example: "config-show --config dpd.yaml",
  }).action((options: SocketOptions) =>
    askDaemon(terminal, options, async ({ showConfig, call }) => {
      const { path, json } = await showConfig({}, call);
      const value: unknown = JSON.parse(json);
      return { value: { path, config: value }, text: configText(path, value) };
    }),
  );
  return [status, stats, metrics, config];
}

function changingVerbs(terminal: Terminal): readonly Command[] {
  const reload = daemonCommand("reload", {
    description: "read configuration, keys and zones again, as SIGHUP, and say what came of it",
    example: "reload --config dpd.yaml",
  }).action(async (options: SocketOptions) => {
    let failed = false;
    await askDaemon(terminal, options, async ({ reload, call }) => {
      const value = await reload({}, call);
      failed = value.error !== undefined || value.zones.some((one) => one.outcome === "failed");
      return { value, text: reloadText(value) };
    });
    failIf(failed);
  });
  const level = daemonCommand("log-level", {
    description: "show or set the level of the log, until the next reload",
    example: "log-level debug --config dpd.yaml",
  })
    .addArgument(new Argument("[level]", "the new level").choices(logLevels))
    .action((wanted: string | undefined, options: SocketOptions) =>
      askDaemon(terminal, options, async ({ logLevel, call }) => {
        const value = await logLevel({ level: wanted ?? "" }, call);
        return { value, text: value.level };
      }),
    );
  const querylog = daemonCommand("querylog", {
    description: "one log line a call, clients as keyed hashes; never what was asked about",
    example: "querylog on --config dpd.yaml",
  })
    .addArgument(
      new Argument("[switch]", "on or off; without it only shown").choices(["on", "off"]),
    )
    .action((wanted: string | undefined, options: SocketOptions) =>
      askDaemon(terminal, options, async ({ queryLog, call }) => {
        const value = await queryLog({ set: switchOf(wanted) }, call);
        const { enabled, lines, droppedLines } = value;
        const state = enabled ? "on" : "off";
        return { value, text: `${state}, ${lines} lines, ${droppedLines} left out` };
      }),
    );
  return [reload, level, querylog];
}

function endingVerbs(terminal: Terminal): readonly Command[] {
  const drain = daemonCommand("drain", {
    description: "take no new calls and wait until those under way have ended; the process stays",
    example: "drain --config dpd.yaml",
  }).action((options: SocketOptions) =>
    askDaemon(terminal, options, async ({ drain, call }) => {
      await drain({}, call);
      return { value: { draining: true }, text: "drained" };
    }),
  );
  const stop = daemonCommand("stop", {
    description: "drain and exit, as SIGTERM",
    example: "stop --config dpd.yaml",
  }).action((options: SocketOptions) =>
    askDaemon(terminal, options, async ({ stop, call }) => {
      await stop({}, call);
      return { value: { stopping: true }, text: "stopping" };
    }),
  );
  return [drain, stop];
}

/** `on`, `off`, or only asking. */
export function switchOf(word: string | undefined): Switch {
  if (word === undefined) return Switch.UNSPECIFIED;
  return word === "on" ? Switch.ON : Switch.OFF;
}

/** After an answer that tells of something failed: it has been printed. */
export function failIf(failed: boolean): void {
  if (failed) throw new ExitStatus(1);
}
