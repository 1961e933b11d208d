// Commands against a running daemon over its control socket: one file a group of them.

import type { Command } from "commander";
import type { Terminal } from "../../terminal.js";
import { backupVerbs } from "./backup-verbs.js";
import { daemonVerbs } from "./daemon-verbs.js";
import { limitVerbs } from "./limit-verbs.js";
import { registrationVerbs } from "./registration-verbs.js";
import { resolverVerbs } from "./resolver-verbs.js";
import { zoneVerbs } from "./zone-verbs.js";

export function runningDaemonCommands(terminal: Terminal): readonly Command[] {
  return [
    ...daemonVerbs(terminal),
    ...zoneVerbs(terminal),
    ...backupVerbs(terminal),
    ...resolverVerbs(terminal),
    ...registrationVerbs(terminal),
    limitVerbs(terminal),
  ];
}
