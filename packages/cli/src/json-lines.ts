// Files of one JSON object a line. A mistake is named by file and line; the line itself may hold an
// identifier or an opening and is not repeated.

import { DiscoveryError, isDiscoveryError } from "@whither/protocol";
import { configError, formatKeyPath, readFileBounded } from "@whither/runtime";
import type { z } from "zod";

const fileBytesMax = 64 * 1024 * 1024;

/** A value and the line it came from, 1-based. */
export interface JsonLine<T> {
  readonly line: number;
  readonly value: T;
}

/** Reads every line. Blank lines are skipped. Throws CONFIG with up to twenty mistakes. */
export async function readJsonLines<T>(source: {
  readonly file: string;
  readonly schema: z.ZodType<T>;
}): Promise<readonly JsonLine<T>[]> {
  const { file, schema } = source;
  const text = new TextDecoder().decode(await readFileBounded(file, { bytesMax: fileBytesMax }));
  const mistakes: { line: number; key: string; expected: string; got: string }[] = [];
  const lines = text.split("\n").flatMap((content, index): readonly JsonLine<T>[] => {
    if (content.trim() === "") return [];
    const line = index + 1;
    const value = parseJson(content);
    if (value === undefined) {
      mistakes.push({ line, key: "", expected: "a JSON object", got: "something else" });
      return [];
    }
    const parsed = schema.safeParse(value);
    if (parsed.success) return [{ line, value: parsed.data }];
    for (const { path, message } of parsed.error.issues) {
      mistakes.push({ line, key: formatKeyPath(path), expected: message, got: "something else" });
    }
    return [];
  });
  if (mistakes.length > 0) throw configError(mistakes.slice(0, 20).map((m) => ({ file, ...m })));
  return lines;
}

/** Runs `make` for a line; what it refuses is told with file and line. */
export async function atLine<T>(
  place: { readonly file: string; readonly line: number },
  make: () => T | Promise<T>,
): Promise<T> {
  try {
    return await make();
  } catch (cause) {
    if (!isDiscoveryError(cause)) throw cause;
    const where = new Error(`${place.file}:${place.line}: ${cause.text}`);
    throw new DiscoveryError("CONFIG", "a line of the batch is refused", { cause: where });
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
