// Identifiers to look up, from words and from a file of one a line, as they come.

import { createReadStream } from "node:fs";
import { parseCsi, DiscoveryError, isDiscoveryError, type Csi } from "@whither/protocol";
import { errnoOf } from "@whither/runtime";
import type { Terminal } from "../terminal.js";

export type Input =
  | {
      readonly kind: "csi";
      readonly input: string;
      readonly place: string | undefined;
      readonly csi: Csi;
    }
  | {
      readonly kind: "invalid";
      readonly input: string;
      readonly place: string | undefined;
      readonly error: DiscoveryError;
    };

export interface InputSource {
  readonly identifiers: readonly string[];
  readonly file: string | undefined;
  readonly region: string | undefined;
}

/** No line of an address book is longer; a file without newlines must not fill the memory. */
const lineCharsMax = 4096;

/** Words first, then the file's lines in order; blank ones and those that begin with # are skipped. */
export async function* readInputs(
  source: InputSource,
  terminal: Pick<Terminal, "stdin">,
): AsyncGenerator<Input, void> {
  const { file, region } = source;
  for (const word of source.identifiers) yield parseInput(word, { region });
  if (file === undefined) return;
  const name = file === "-" ? "stdin" : file;
  let line = 0;
  for await (const text of linesOf(file === "-" ? terminal.stdin : openFile(file))) {
    line += 1;
    const trimmed = text.trim();
    if (trimmed === "" || trimmed.startsWith("#")) continue;
    yield parseInput(trimmed, { region, place: `${name}:${line}` });
  }
}

export function parseInput(
  input: string,
  { region, place }: { readonly region: string | undefined; readonly place?: string | undefined },
): Input {
  try {
    const options = region === undefined ? {} : { defaultRegion: region };
    return { kind: "csi", input, place, csi: parseCsi(input, options) };
  } catch (error) {
    if (!isDiscoveryError(error)) throw error;
    return { kind: "invalid", input, place, error };
  }
}

async function* openFile(path: string): AsyncGenerator<Uint8Array | string, void> {
  try {
    for await (const chunk of createReadStream(path)) yield chunk as Uint8Array; // no encoding is set
  } catch (error) {
    const problem = new Error(`${path} cannot be read (${errnoOf(error) ?? "unknown"})`);
    throw new DiscoveryError("CONFIG", "a file is missing or unreadable", { cause: problem });
  }
}

/** Lines of UTF-8 chunks. One that is too long is cut, and so is no identifier. */
async function* linesOf(chunks: AsyncIterable<Uint8Array | string>): AsyncGenerator<string, void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of chunks) {
    rest += typeof chunk === "string" ? chunk : decoder.decode(chunk, { stream: true });
    const lines = rest.split(/\r?\n/);
    rest = (lines.pop() ?? "").slice(0, lineCharsMax);
    yield* lines;
  }
  rest += decoder.decode();
  if (rest !== "") yield rest;
}
