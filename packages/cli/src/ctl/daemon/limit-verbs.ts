// whitherctl limits: what clients may do, whom that has refused, and a trial without refusals.

import { Argument, type Command } from "commander";
import type { Terminal } from "../../terminal.js";
import { askDaemon, daemonCommand, daemonGroup, type SocketOptions } from "./control-client.js";
import { switchOf } from "./daemon-verbs.js";
import { table } from "./daemon-text.js";

export function limitVerbs(terminal: Terminal): Command {
  const show = daemonCommand("show", {
    description: "limits in force and what they have refused since the start",
    example: "limits show --config dpd.yaml",
  }).action((options: SocketOptions) =>
    askDaemon(terminal, options, async ({ showLimits, call }) => {
      const value = await showLimits({}, call);
      const cells = value.limits.map(({ name, scope, unit, ratePerS, burst, refused }) => [
        name,
        `per ${scope}`,
        `${Number(ratePerS.toPrecision(4))} ${unit}/s`.replace(" /", "/"),
        `burst ${burst} ${unit}`.trim(),
        `${refused} ${value.dryRun ? "would have been refused" : "refused"}`,
      ]);
      const text = value.dryRun ? ["dry run: nothing is refused", ...table(cells)] : table(cells);
      return { value, text: text.join("\n") };
    }),
  );
  const dryRun = daemonCommand("dry-run", {
    description: "count what the limits would refuse and refuse nothing, until off or a reload",
    example: "limits dry-run on --config dpd.yaml",
  })
    .addArgument(
      new Argument("[switch]", "on or off; without it only shown").choices(["on", "off"]),
    )
    .action((wanted: string | undefined, options: SocketOptions) =>
      askDaemon(terminal, options, async ({ dryRunLimits, call }) => {
        const value = await dryRunLimits({ set: switchOf(wanted) }, call);
        return { value, text: value.dryRun ? "on" : "off" };
      }),
    );
  const group = daemonGroup("limits", "limits of clients");
  for (const command of [show, dryRun]) group.addCommand(command);
  return group;
}
