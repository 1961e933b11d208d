#!/usr/bin/env node
// whitherctl: operate a federation. The commands are in ../ctl.

import { processTerminal } from "../process-terminal.js";
import { runProgram } from "../run-program.js";
import { createWhitherctl } from "../ctl/program.js";

const terminal = processTerminal();
const args = process.argv.slice(2);
process.exitCode = await runProgram(await createWhitherctl(terminal, args), { args, terminal });
