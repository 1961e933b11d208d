#!/usr/bin/env node
// whither: ask by which messaging providers somebody can be reached. The question is in ../ask, the
// commands for one's own identifiers in ../person.

import { processTerminal } from "../process-terminal.js";
import { runWhither } from "../ask/program.js";

process.exitCode = await runWhither({ args: process.argv.slice(2), terminal: processTerminal() });
