// whitherctl cache-dump, cache-flush…, infra-dump: what a resolving daemon remembers.

import type { Command } from "commander";
import { parseInteger } from "../../options.js";
import type { Terminal } from "../../terminal.js";
import { askDaemon, daemonCommand, rowsOf, type SocketOptions } from "./control-client.js";
import { table } from "./daemon-text.js";

const rowsMax = 10_000_000;

export function resolverVerbs(terminal: Terminal): readonly Command[] {
  return [...dumps(terminal), ...flushes(terminal)];
}

function dumps(terminal: Terminal): readonly Command[] {
  const cache = daemonCommand("cache-dump", {
    description: "what the cache holds; identifiers as keyed hashes",
    example: "cache-dump --limit 100 --config dnsd.yaml",
  })
    .option("--limit <n>", "entries at most", parseInteger({ name: "limit", min: 1, max: rowsMax }))
    .action((options: SocketOptions & { readonly limit?: number }) =>
      askDaemon(terminal, options, async ({ dumpCache, call }) => {
        const rows = await rowsOf(dumpCache({ limit: options.limit ?? 0 }, call));
        const cells = rows.map(({ kind, subject, ttlS, bytes, hits, detail }) => [
          kind,
          subject,
          `ttl ${ttlS} s`,
          `${bytes} B`,
          `${hits} hits`,
          detail,
        ]);
        return { value: rows, text: table(cells).join("\n") };
      }),
    );
  const infra = daemonCommand("infra-dump", {
    description: "servers with their round-trip times and failures",
    example: "infra-dump --config dnsd.yaml",
  }).action((options: SocketOptions) =>
    askDaemon(terminal, options, async ({ dumpInfra, call }) => {
      const rows = await rowsOf(dumpInfra({}, call));
      const cells = rows.map((row) => [
        row.server,
        row.zone,
        `srtt ${row.srttMs.toFixed(1)} ms`,
        `var ${row.rttvarMs.toFixed(1)} ms`,
        row.down ? `down, asked again in ${row.retryMs.toFixed(0)} ms` : "up",
        row.detail,
      ]);
      return { value: rows, text: table(cells).join("\n") };
    }),
  );
  return [cache, infra];
}

type What =
  | { readonly case: "all" | "negative" | "failures"; readonly value: true }
  | { readonly case: "subtree"; readonly value: string };

function flushes(terminal: Terminal): readonly Command[] {
  const flush = (options: SocketOptions, what: What): Promise<void> =>
    askDaemon(terminal, options, async ({ flushCache, call }) => {
      const value = await flushCache({ what }, call);
      return { value, text: `${value.removed} entries removed` };
    });
  const whole = (name: string, description: string, what: What): Command =>
    daemonCommand(name, { description, example: `${name} --config dnsd.yaml` }).action(
      (options: SocketOptions) => flush(options, what),
    );
  const subtree = daemonCommand("cache-flush-subtree", {
    description: "forget a prefix and everything below it",
    example: "cache-flush-subtree tel:+49 --config dnsd.yaml",
  })
    .argument("<prefix>", "such as tel:+49 or mailto:example")
    .action((prefix: string, options: SocketOptions) =>
      flush(options, { case: "subtree", value: prefix }),
    );
  return [
    whole("cache-flush", "empty the cache", { case: "all", value: true }),
    subtree,
    whole("cache-flush-negative", "forget proven absences", { case: "negative", value: true }),
    whole("cache-flush-failures", "forget failures, so that they are tried again at once", {
      case: "failures",
      value: true,
    }),
  ];
}
