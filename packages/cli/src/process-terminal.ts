// The terminal of this process: its streams, and a signal for "the user or the reader is gone".

import { once } from "node:events";
import { createInterface } from "node:readline/promises";
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
  const isPerson = process.stdin.isTTY && process.stderr.isTTY;
  return {
    ...(isPerson ? { ask: (question: string) => askLine(question, gone) } : {}),
    // Opened when it is read: an unread stdin must not keep the process alive.
    stdin: { [Symbol.asyncIterator]: () => process.stdin[Symbol.asyncIterator]() },
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    signal: gone.signal,
  };
}

/** Questions go to stderr: stdout is for what a script may read. */
async function askLine(question: string, gone: AbortController): Promise<string | undefined> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  // readline takes the keyboard's interrupt for itself.
  lines.once("SIGINT", () => gone.abort());
  try {
    const ended = once(lines, "close").then(() => undefined);
    return await Promise.race([lines.question(question, { signal: gone.signal }), ended]);
  } catch (error) {
    // An interrupt, or on some versions of Node the end of input, is no answer.
    if (error instanceof Error && error.name === "AbortError") return undefined;
    throw error;
  } finally {
    lines.close();
  }
}
