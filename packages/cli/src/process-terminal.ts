// The terminal of this process.

import type { Terminal } from "./terminal.js";

export function processTerminal(): Terminal {
  return { stdout: process.stdout, stderr: process.stderr, env: process.env, cwd: process.cwd() };
}
