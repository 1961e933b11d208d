// whitherctl registrations and conflicts: what a discovery provider holds about people, and who contends.

import type { Command } from "commander";
import { limits } from "@whither/protocol";
import { parseInteger } from "../../options.js";
import { formatUtc } from "../../utc.js";
import type { Terminal } from "../../terminal.js";
import { UsageError } from "../../usage.js";
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

const aboutHelp = `
The identifier is read from stdin, or asked for on a terminal: arguments are seen by every user of the machine
and kept by shells and sudo.`;

/** A subcommand of `registrations` that is about one identifier of one zone. */
function aboutOne(name: string, about: { readonly description: string; readonly more?: string }) {
  const { description, more = "" } = about;
  return daemonCommand(name, {
    description,
    example: `registrations ${name} de@dp-a.example${more} --config dpd.yaml < identifier.txt`,
  })
    .argument("<zone>", "its name")
    .addHelpText("after", aboutHelp);
}

function registrations(terminal: Terminal): Command {
  const group = daemonGroup("registrations", "what a zone holds");
  const commands = [list, show, exported, invalidate, erase].map((make) => make(terminal));
  for (const command of commands) group.addCommand(command);
  return group;
}

const rowsDefault = 1_000;

function list(terminal: Terminal): Command {
  interface ListOptions extends SocketOptions {
    readonly limit: number;
    readonly after?: string;
  }
  return daemonCommand("list", {
    description: "the places of the slots, page by page; they tell no identifier",
    example: "registrations list de@dp-a.example --limit 100 --config dpd.yaml",
  })
    .argument("<zone>", "its name")
    .option(
      "--limit <n>",
      "places at most",
      parseInteger({ name: "limit", min: 1, max: limits.listedSlotsMax }),
      rowsDefault,
    )
    .option("--after <place>", "only places behind this one, the last of the page before")
    .action((zone: string, { limit, after = "", ...options }: ListOptions) =>
      askDaemon(terminal, options, async ({ listRegistrations, call }) => {
        const rows = await rowsOf(listRegistrations({ zone, limit, after }, call));
        const cells = rows.map(({ idx, state, since }) => [
          idx,
          state,
          state === "active" ? `since serial ${since}` : "",
        ]);
        const last = rows.length === limit ? rows.at(-1)?.idx : undefined;
        const more = last === undefined ? [] : [`; there may be more: --after ${last}`];
        return { value: rows, text: [...table(cells), ...more].join("\n") };
      }),
    );
}

function show(terminal: Terminal): Command {
  const description = "whether an identifier is registered, and with whom";
  return aboutOne("show", { description }).action((zone: string, options: SocketOptions) =>
    askDaemon(terminal, options, async ({ showRegistration, call }) => {
      const value = await showRegistration({ zone, csi: await readCsi(terminal) }, call);
      const cells = value.mappings.map((one) => [
        one.msp,
        `preference ${one.preference}`,
        `level ${one.level}`,
        `until ${formatUtc(Number(one.notAfter))}`,
        one.tags.join(" "),
      ]);
      const { removedAt, removedReason } = value;
      const why = removedReason === "" ? "erased" : `invalidated: ${removedReason}`;
      const removal = removedAt === 0n ? [] : [`${formatUtc(Number(removedAt))} ${why}`];
      return { value, text: [value.state, ...table(cells), ...removal].join("\n") };
    }),
  );
}

function exported(terminal: Terminal): Command {
  const description = "all that is held about an identifier, for its person, as JSON";
  return aboutOne("export", { description }).action((zone: string, options: SocketOptions) =>
    askDaemon(terminal, options, async ({ exportRegistration, call }) => {
      const { json } = await exportRegistration({ zone, csi: await readCsi(terminal) }, call);
      const value: unknown = JSON.parse(json);
      return { value, text: JSON.stringify(value, undefined, 2) };
    }),
  );
}

function invalidate(terminal: Terminal): Command {
  return aboutOne("invalidate", {
    description: "end a registration with the next epoch; its holder may register again",
    more: ' --reason "notice 4711"',
  })
    .requiredOption("--reason <text>", "for your records; it names nobody")
    .action((zone: string, { reason, ...options }: SocketOptions & { readonly reason: string }) =>
      askDaemon(terminal, options, async ({ invalidateRegistration, call }) => {
        const csi = await readCsi(terminal);
        const value = await invalidateRegistration({ zone, csi, reason }, call);
        const by = `invalidated; published by ${formatUtc(Number(value.by))}`;
        return { value, text: value.removed ? by : "nothing registered" };
      }),
    );
}

function erase(terminal: Terminal): Command {
  return aboutOne("erase", {
    description: "delete all that is held about an identifier, and publish that it is gone",
  }).action((zone: string, options: SocketOptions) =>
    askDaemon(terminal, options, async ({ eraseRegistration, call }) => {
      const value = await eraseRegistration({ zone, csi: await readCsi(terminal) }, call);
      const at = `erased; published at ${formatUtc(Number(value.by))}`;
      return { value, text: value.removed ? at : "nothing registered" };
    }),
  );
}

const csiBytesMax = 1_024;

/** One line, from whoever sits there or from stdin. It is never in a message. */
async function readCsi(terminal: Terminal): Promise<string> {
  let text = "";
  if (terminal.ask !== undefined) text = (await terminal.ask("Identifier: ")) ?? "";
  else {
    const decoder = new TextDecoder();
    for await (const part of terminal.stdin) {
      text += typeof part === "string" ? part : decoder.decode(part, { stream: true });
      if (text.length > csiBytesMax || text.includes("\n")) break;
    }
  }
  const [line = ""] = text.trim().split("\n");
  if (line !== "" && line.length <= csiBytesMax) return line;
  throw new UsageError(
    "identifier: expected one line on stdin, got none",
    "such as: whitherctl registrations show ZONE --config dpd.yaml < identifier.txt",
  );
}

function conflicts(terminal: Terminal): Command {
  const group = daemonGroup(
    "conflicts",
    "contests over an identifier (not available in this version)",
  );
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
