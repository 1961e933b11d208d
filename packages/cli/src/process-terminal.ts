// The terminal of this process: its streams, and a signal for "the user or the reader is gone".

import type { Terminal } from "./terminal.js";

/** Call once: it listens for SIGINT and for a closed pipe behind stdout. */
export function processTerminal(): Terminal {
  const gone = new AbortController();
  process.once("SIGINT", () => gone.abort());
  process.stdout.on("error", (error: Error & { readonly code?: string }) => {
    // `whither … | head`: the reader has seen enough, which is no failure of ours.
    if (error.code !== "EPIPE") throw error;
    gone.abort();
  });
  return {
    // Opened when it is read: an unread stdin must not keep the process alive.
    stdin: { [Symbol.asyncIterator]: () => process.stdin[Symbol.asyncIterator]() },
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    signal: gone.signal,
  };
}
