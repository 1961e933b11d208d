// whitherctl registrations and conflicts: what a discovery provider holds about people, and who contends.

import type { Command } from "commander";
import { formatUtc } from "../../utc.js";
import type { Terminal } from "../../terminal.js";
import {
  askDaemon,
  daemonCommand,
  rowsOf,
  daemonGroup,
  type SocketOptions,
} from "./control-client.js";
import { table } from "./daemon-text.js";

export function registrationVerbs(terminal: Terminal): readonly Command[] {
  return [registrations(terminal), conflicts(terminal)];
}

/** A subcommand of `registrations` that is about one identifier of one zone. */
function aboutOne(name: string, description: string): Command {
  return daemonCommand(name, {
    description,
    example: `registrations ${name} de@dp-a.example tel:+4930123456 --config dpd.yaml`,
  })
    .argument("<zone>", "its name")
    .argument("<csi>", "the identifier in canonical form; it goes to the daemon and into no log");
}

function registrations(terminal: Terminal): Command {
  const group = daemonGroup("registrations", "what a zone holds");
  const list = daemonCommand("list", {
    description: "the places of all slots; they tell no identifier",
    example: "registrations list de@dp-a.example --config dpd.yaml",
  })
    .argument("<zone>", "its name")
    .action((zone: string, options: SocketOptions) =>
      askDaemon(terminal, options, async ({ listRegistrations, call }) => {
        const rows = await rowsOf(listRegistrations({ zone }, call));
        const cells = rows.map(({ idx, state, since }) => [idx, state, `since serial ${since}`]);
        return { value: rows, text: table(cells).join("\n") };
      }),
    );
  const show = aboutOne("show", "whether an identifier is registered, and with whom").action(
    (zone: string, csi: string, options: SocketOptions) =>
      askDaemon(terminal, options, async ({ showRegistration, call }) => {
        const value = await showRegistration({ zone, csi }, call);
        const cells = value.mappings.map((one) => [
          one.msp,
          `preference ${one.preference}`,
          `level ${one.level}`,
          `until ${formatUtc(Number(one.notAfter))}`,
          one.tags.join(" "),
        ]);
        return { value, text: [value.state, ...table(cells)].join("\n") };
      }),
  );
  const removed = (value: { readonly removed: boolean; readonly by: bigint }): string =>
    value.removed ? `removed; published by ${formatUtc(Number(value.by))}` : "nothing registered";
  const invalidate = aboutOne("invalidate", "end a registration").action(
    (zone: string, csi: string, options: SocketOptions) =>
      askDaemon(terminal, options, async ({ invalidateRegistration, call }) => {
        const value = await invalidateRegistration({ zone, csi }, call);
        return { value, text: removed(value) };
      }),
  );
  const exported = aboutOne("export", "all that is held about an identifier").action(
    (zone: string, csi: string, options: SocketOptions) =>
      askDaemon(terminal, options, async ({ exportRegistration, call }) => {
        const { json } = await exportRegistration({ zone, csi }, call);
        const value: unknown = JSON.parse(json);
        return { value, text: JSON.stringify(value, undefined, 2) };
      }),
  );
  const erase = aboutOne("erase", "erase all that is held about an identifier").action(
    (zone: string, csi: string, options: SocketOptions) =>
      askDaemon(terminal, options, async ({ eraseRegistration, call }) => {
        const value = await eraseRegistration({ zone, csi }, call);
        return { value, text: removed(value) };
      }),
  );
  for (const command of [list, show, invalidate, exported, erase]) group.addCommand(command);
  return group;
}

function conflicts(terminal: Terminal): Command {
  const group = daemonGroup("conflicts", "contests over an identifier");
  const list = daemonCommand("list", {
    description: "open contests",
    example: "conflicts list --config dpd.yaml",
  }).action((options: SocketOptions) =>
    askDaemon(terminal, options, async ({ listConflicts, call }) => {
      const rows = await rowsOf(listConflicts({}, call));
      const cells = rows.map(({ id, state, openedAt }) => [id, state, formatUtc(Number(openedAt))]);
      return { value: rows, text: table(cells).join("\n") };
    }),
  );
  const show = daemonCommand("show", {
    description: "one contest with its evidence",
    example: "conflicts show 7 --config dpd.yaml",
  })
    .argument("<id>")
    .action((id: string, options: SocketOptions) =>
      askDaemon(terminal, options, async ({ showConflict, call }) => {
        const { json } = await showConflict({ id }, call);
        const value: unknown = JSON.parse(json);
        return { value, text: JSON.stringify(value, undefined, 2) };
      }),
    );
  type Decision = { case: "approve" | "reject"; value: true } | { case: "ask"; value: string };
  const decide = (id: string, decision: Decision, options: SocketOptions): Promise<void> =>
    askDaemon(terminal, options, async ({ decideConflict, call }) => {
      const value = await decideConflict({ id, decision }, call);
      return { value, text: value.state };
    });
  const verdict = (name: "approve" | "reject", description: string): Command =>
    daemonCommand(name, { description, example: `conflicts ${name} 7 --config dpd.yaml` })
      .argument("<id>")
      .action((id: string, options: SocketOptions) =>
        decide(id, { case: name, value: true }, options),
      );
  const ask = daemonCommand("ask", {
    description: "ask both sides for more proof",
    example: 'conflicts ask 7 "a letter of the network operator" --config dpd.yaml',
  })
    .argument("<id>")
    .argument("<question>")
    .action((id: string, question: string, options: SocketOptions) =>
      decide(id, { case: "ask", value: question }, options),
    );
  const approve = verdict("approve", "let the newcomer have it");
  const reject = verdict("reject", "keep the incumbent");
  for (const command of [list, show, approve, reject, ask]) group.addCommand(command);
  return group;
}
