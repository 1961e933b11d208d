// The version that `--version` prints and the header of an answer names.

import { readFileSync } from "node:fs";

/** Version of this package, from its package.json, which stands beside `src` and `dist` alike. */
export function cliVersion(): string {
  const file = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  const parsed: unknown = JSON.parse(file);
  if (typeof parsed !== "object" || parsed === null || !("version" in parsed)) return "unknown";
  return String(parsed.version);
}
