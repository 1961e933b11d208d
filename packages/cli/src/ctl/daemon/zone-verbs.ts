// whitherctl zone-status, zone-serial, zone-reload, zone-health, transfer, notify: zones of a running daemon.

import type { Command } from "commander";
import { formatUtc } from "../../utc.js";
import type { Terminal } from "../../terminal.js";
import { askDaemon, daemonCommand, rowsOf, type SocketOptions } from "./control-client.js";
import { failIf } from "./daemon-verbs.js";
import { reloadedLine, table, zoneLines } from "./daemon-text.js";

export function zoneVerbs(terminal: Terminal): readonly Command[] {
  return [...lookingVerbs(terminal), ...changingVerbs(terminal)];
}

function lookingVerbs(terminal: Terminal): readonly Command[] {
  const status = daemonCommand("zone-status", {
    description: "serial, size and age of the zones, and why one does not serve",
    example: "zone-status de@dp-a.example --config dpd.yaml",
  })
    .argument("[zone]", "one zone; all unless named")
    .action((zone: string | undefined, options: SocketOptions) =>
      askDaemon(terminal, options, async ({ zoneStatus, call }) => {
        const value = await zoneStatus({ zone: zone ?? "" }, call);
        return { value: value.zones, text: zoneLines(value.zones).join("\n") };
      }),
    );
  const serial = daemonCommand("zone-serial", {
    description: "epoch and serial of a zone's last signed head",
    example: "zone-serial de@dp-a.example --config dpd.yaml",
  })
    .argument("<zone>", "its name; . at a whither-rootd")
    .action((zone: string, options: SocketOptions) =>
      askDaemon(terminal, options, async ({ zoneStatus, call }) => {
        const { zones } = await zoneStatus({ zone }, call);
        const rows = zones.map(({ epoch, serial }) => ({ zone, epoch, serial }));
        return { value: rows[0], text: rows.map(({ serial: n }) => String(n)).join("\n") };
      }),
    );
  const health = daemonCommand("zone-health", {
    description: "whether the authorities of the directory answer as it says",
    example: "zone-health --config rootd.yaml",
  })
    .argument("[zone]", "one zone; all unless named")
    .action((zone: string | undefined, options: SocketOptions) =>
      askDaemon(terminal, options, async ({ zoneHealth, call }) => {
        const rows = await rowsOf(zoneHealth({ zone: zone ?? "" }, call));
        const cells = rows.map((row) => [
          row.prefixes > 1 ? `${row.prefix} +${row.prefixes - 1}` : row.prefix,
          row.zone,
          row.server,
          row.state,
          row.since === 0n ? "not asked yet" : `since ${formatUtc(Number(row.since))}`,
          row.lastError === "" ? "" : `last ${row.lastError}`,
          row.headAgeS === undefined ? "" : `head of ${row.headAgeS} s`,
          withdrawnCell(row),
        ]);
        return { value: rows, text: table(cells).join("\n") };
      }),
    );
  return [status, serial, health];
}

/** Since when resolvers leave it out, and why. */
function withdrawnCell(row: {
  readonly withdrawnAt: bigint;
  readonly withdrawnWhy: string;
}): string {
  if (row.withdrawnAt === 0n) return "";
  const why = row.withdrawnWhy === "" ? "" : ` for ${row.withdrawnWhy}`;
  return `withdrawn since ${formatUtc(Number(row.withdrawnAt))}${why}`;
}

function changingVerbs(terminal: Terminal): readonly Command[] {
  const reload = daemonCommand("zone-reload", {
    description: "read one zone's keys and manifest again and open it where that fits",
    example: "zone-reload de@dp-a.example --config dpd.yaml",
  })
    .argument("<zone>", "its name")
    .option(
      "--switch-now",
      "go on to the manifest configured without waiting for the directory to name it",
    )
    .action(async (zone: string, options: SocketOptions & { readonly switchNow?: true }) => {
      let failed = false;
      const switchNow = options.switchNow === true;
      await askDaemon(terminal, options, async ({ reloadZone, call }) => {
        const { zone: value } = await reloadZone({ zone, switchNow }, call);
        failed = value?.outcome === "failed";
        return { value, text: value === undefined ? "" : reloadedLine(value) };
      });
      failIf(failed);
    });
  const transfer = daemonCommand("transfer", {
    description: "fetch a zone from its primary now",
    example: "transfer de@dp-a.example --config dpd.yaml",
  })
    .argument("<zone>", "its name")
    .action((zone: string, options: SocketOptions) =>
      askDaemon(terminal, options, async ({ transfer, call }) => {
        const value = await transfer({ zone }, call);
        return { value, text: `serial ${value.fromSerial} to ${value.serial}` };
      }),
    );
  const notify = daemonCommand("notify", {
    description: "tell the secondaries of a zone that there is a new head",
    example: "notify de@dp-a.example --config dpd.yaml",
  })
    .argument("<zone>", "its name")
    .action((zone: string, options: SocketOptions) =>
      askDaemon(terminal, options, async ({ notify, call }) => {
        const value = await notify({ zone }, call);
        return { value, text: `${value.told} told of serial ${value.serial}` };
      }),
    );
  return [reload, transfer, notify];
}
