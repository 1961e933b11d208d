#!/usr/bin/env node
// whitherctl: operate a federation. The commands are in ../ctl.

import { processTerminal } from "../process-terminal.js";
import { runProgram } from "../run-program.js";
import { createWhitherctl } from "../ctl/program.js";

const terminal = processTerminal();
process.exitCode = await runProgram(createWhitherctl(terminal), process.argv.slice(2), terminal);
