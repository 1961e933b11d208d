// whitherctl zone health: asks every authority that a signed directory names, as a resolver would, and says
// what came of it. Needs no daemon: what rootd does all the time, once.

import { Command } from "commander";
import {
  createDelegationHealth,
  formatHealthTable,
  type AuthorityHealth,
} from "@whither/directory";
import { silentLogger, systemClock as clock, systemRandom as random } from "@whither/runtime";
import { jsonOption, parseInteger } from "../options.js";
import { print, type Terminal } from "../terminal.js";
import { ExitStatus } from "../usage.js";
import { openDirectory } from "./zone-files.js";

interface HealthOptions {
  readonly anchors: string;
  readonly concurrency: number;
  readonly json?: true;
}

export function healthCommand(terminal: Terminal): Command {
  return new Command("health")
    .description("ask every authority of a signed directory; exit 1 if one is lame")
    .argument("<file>", "artefact")
    .requiredOption("--anchors <file>", "whom to believe, and which CAs servers must lead to")
    .option(
      "--concurrency <n>",
      "endpoints asked at once",
      parseInteger({ name: "concurrency", min: 1, max: 64 }),
      8,
    )
    .addOption(jsonOption())
    .addHelpText("after", "\nExample:\n  whitherctl zone health root.signed --anchors anchors.json")
    .action(async (file: string, options: HealthOptions) => {
      const { directory, anchors } = await openDirectory({ file, anchors: options.anchors });
      const { concurrency } = options;
      await using health = createDelegationHealth({
        anchors,
        concurrency,
        intervalSeconds: 0, // asked once: never started
        clock,
        random,
        logger: silentLogger,
      });
      health.watch(directory);
      await health.probe();
      const found = health.list();
      const lame = found.filter(({ state }) => state === "lame").length;
      const sum = `; serial ${directory.serial}: ${found.length} endpoints, ${lame} lame`;
      const value = { serial: directory.serial, lame, endpoints: found.map(describeHealth) };
      const text = `${formatHealthTable(found)}\n${sum}`;
      print(terminal, { json: options.json === true, value, text });
      if (lame > 0) throw new ExitStatus(1);
    });
}

function describeHealth(one: AuthorityHealth): unknown {
  return {
    prefix: one.prefix,
    prefixes: one.prefixes,
    zone: one.zone,
    endpoint: one.endpoint,
    state: one.state,
    since: one.sinceSeconds,
    last_error: one.lastError ?? null,
    head_age_s: one.headAgeSeconds ?? null,
    withdrawn_at: one.withdrawnAt ?? null,
  };
}
