// The version of a program, as its package says.

import { readFileSync } from "node:fs";

/** Version of the package whose module this is, one folder below package.json (`src` and `dist` alike). */
export function packageVersion(moduleUrl: string): string {
  const file = readFileSync(new URL("../package.json", moduleUrl), "utf8");
  const parsed: unknown = JSON.parse(file);
  if (typeof parsed !== "object" || parsed === null || !("version" in parsed)) return "unknown";
  return String(parsed.version);
}
