// Accounts from a file, for tests, demonstrations and MSPs small enough: JSON lines, each the canonical CSI as
// a string or an object with a `csi`. Read once; a changed file needs a new look.

import { DiscoveryError, isCanonicalCsi, type Csi } from "@whither/protocol";
import { readFileBounded } from "@whither/runtime";
import type { Accounts } from "./msp.js";

const fileBytesMax = 64 * 1024 * 1024;

/** Accounts held in memory. */
export function accountsOf(csis: Iterable<Csi>): Accounts {
  const reachable = new Set<string>(csis);
  return { isReachable: (csi) => Promise.resolve(reachable.has(csi)) };
}

/** Reads a file of at most 64 MiB. Throws CONFIG with the line that does not hold a canonical CSI. */
export async function readAccountsFile(path: string): Promise<Accounts> {
  const bytes = await readFileBounded(path, { bytesMax: fileBytesMax });
  return accountsOf(parseAccounts(new TextDecoder().decode(bytes)));
}

/** The CSIs of JSON lines; empty lines are skipped. Throws CONFIG. */
export function parseAccounts(text: string): readonly Csi[] {
  return text.split("\n").flatMap((line, index) => {
    if (line.trim() === "") return [];
    const csi = csiOfLine(line);
    if (csi !== undefined) return [csi];
    throw new DiscoveryError("CONFIG", `accounts line ${index + 1}: expected a canonical csi`);
  });
}

function csiOfLine(line: string): Csi | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  const text = typeof value === "object" && value !== null && "csi" in value ? value.csi : value;
  return typeof text === "string" && isCanonicalCsi(text) ? text : undefined;
}
