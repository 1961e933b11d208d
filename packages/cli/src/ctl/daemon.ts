// Commands against a running daemon over its control socket. The socket comes with a later version: until
// then each command exists, documents itself and says so, rather than being unknown.

import { Command } from "commander";
import { DiscoveryError } from "@whither/protocol";

/** Name, and what it will do. Words after the first are subcommands. */
const verbs: Readonly<Record<string, string>> = {
  status: "what the daemon serves and how it is",
  stats: "counters since the start; reading never resets them",
  metrics: "metrics in the text format of Prometheus",
  reload: "read the configuration and zones again (as SIGHUP)",
  "config-show": "the configuration in force",
  "log-level": "show or set the log level",
  querylog: "switch the query log on or off",
  drain: "finish what runs and take nothing new",
  stop: "drain and exit (as SIGTERM)",
  "zone-status": "serial, size and age of a zone",
  "zone-reload": "read one zone again",
  "zone-serial": "serial of a zone",
  transfer: "fetch a zone from its primary now",
  notify: "tell the secondaries of a zone",
  backup: "write a consistent copy of a zone",
  restore: "put a copy back",
  "cache-dump": "what the cache holds",
  "cache-flush": "empty the cache",
  "cache-flush-subtree": "forget everything below a prefix",
  "cache-flush-negative": "forget proven absences",
  "cache-flush-failures": "forget failures",
  "infra-dump": "servers with their round-trip times",
  "conflicts list": "open contests",
  "conflicts show": "one contest with its evidence",
  "conflicts approve": "let the newcomer have it",
  "conflicts reject": "keep the incumbent",
  "conflicts ask": "ask for more proof",
  "registrations list": "registrations by state",
  "registrations show": "one registration",
  "registrations invalidate": "end one",
  "registrations export": "all that is held about a person",
  "registrations erase": "erase all that is held about a person",
  "zone-health": "whether the delegations are answered as they say",
  "limits show": "limits and what is left of them",
  "limits dry-run": "what a new limit would have refused",
};

const helpGroup = "Running daemon (not available in this version):";

/** One command for each verb. Each fails with NOT_AVAILABLE. */
export function daemonCommands(): readonly Command[] {
  const commands = new Map<string, Command>();
  for (const [verb, description] of Object.entries(verbs)) {
    const [name = "", sub] = verb.split(" ");
    const parent = commands.get(name) ?? new Command(name);
    commands.set(name, parent);
    const command = sub === undefined ? parent : parent.command(sub);
    command
      .description(description)
      .helpGroup(helpGroup)
      .argument("[arguments...]")
      .allowUnknownOption()
      .option("--json", "print one JSON object instead of text")
      .addHelpText("after", `\nExample:\n  whitherctl ${verb}`)
      .action(() => {
        throw new DiscoveryError("NOT_AVAILABLE", `${verb}: not available in this version`);
      });
    if (sub !== undefined) parent.description(groupDescriptions[name] ?? "").helpGroup(helpGroup);
  }
  return [...commands.values()];
}

const groupDescriptions: Readonly<Record<string, string>> = {
  conflicts: "contests over an identifier",
  registrations: "what a zone holds",
  limits: "limits of clients",
};
