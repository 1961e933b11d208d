#!/usr/bin/env node
// whitherctl: operate a federation. The commands are in ../ctl.

import { processTerminal } from "../process-terminal.js";
import { runWhitherctl } from "../ctl/program.js";

process.exitCode = await runWhitherctl({
  args: process.argv.slice(2),
  terminal: processTerminal(),
});
