// What stands in a holder's slots of one CSI, in a file beside the key that signs for them.

import type { Csi } from "@whither/protocol";
import { sha256, toHex, utf8 } from "@whither/crypto";
import { formatHolderMemory, parseHolderMemory, type HolderMemory } from "@whither/msp";
import { pathExists, readSecretFile, writeSecretFile } from "@whither/runtime";

const memoryIdBytes = 8;
const memorySuffix = "slots.json";

/**
 * What stands in the holder's slots of one CSI. Without it the next statement would drop what it does not
 * name, so it lies beside the key that signs: `holder.pem.<hash of the CSI>.slots.json`, mode 0600.
 */
export class MemoryFile {
  readonly #path: string;

  constructor({ holderKeyFile, csi }: { readonly holderKeyFile: string; readonly csi: Csi }) {
    const id = toHex(sha256(utf8(csi)).subarray(0, memoryIdBytes));
    this.#path = `${holderKeyFile}.${id}.${memorySuffix}`;
  }

  async read(): Promise<HolderMemory | undefined> {
    if (!(await pathExists(this.#path))) return undefined;
    return parseHolderMemory(new TextDecoder().decode(await readSecretFile(this.#path)));
  }

  async write(memory: HolderMemory): Promise<void> {
    await writeSecretFile(this.#path, formatHolderMemory(memory), { replace: true });
  }
}

/** What stands by what either of two keys of one holder has written last, zone by zone. */
export function newestOf(
  own: HolderMemory | undefined,
  other: HolderMemory | undefined,
): HolderMemory | undefined {
  if (own === undefined || other === undefined) return own ?? other;
  const newer = [...other].filter(([zone, { seq }]) => seq > (own.get(zone)?.seq ?? 0));
  return new Map([...own, ...newer]);
}
