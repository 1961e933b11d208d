// The file in which one app of a person lets another in: the link that the old key has signed, and what stands in
// the slots by it, so that the new key can name it again. Its opening tells the identifier: kept private (0600).

import { parseCsi, type Csi, type SlotKeyLink } from "@whither/protocol";
import { fromBase64Url, toBase64Url } from "@whither/crypto";
import { formatHolderMemory, parseHolderMemory, type HolderMemory } from "@whither/msp";
import { openingBytes } from "@whither/zone";
import { decodeSignedObject, encodeSignedObject } from "@whither/wire";
import { z } from "zod";
import { readJsonLines } from "./json-lines.js";
import { UsageError } from "./usage.js";

export interface LinkFile {
  readonly csi: Csi;
  /** Signed by the old key alone. */
  readonly approved: SlotKeyLink;
  /** What the old key's app knows of the slots; undefined: nothing. */
  readonly slots: HolderMemory | undefined;
}

const textMax = 64 * 1024;

/** Strict: unknown keys are refused. */
const linkFileSchema = z
  .strictObject({
    version: z.literal(1),
    csi: z.string().max(1024),
    opening: z.string().max(textMax),
    link: z.string().max(textMax),
    slots: z.unknown().optional(),
  })
  .transform((file, context): LinkFile => {
    try {
      const opening = fromBase64Url(file.opening);
      if (opening.length !== openingBytes) throw new TypeError("opening");
      return {
        csi: parseCsi(file.csi),
        approved: { link: decodeSignedObject(fromBase64Url(file.link)), opening },
        slots: file.slots === undefined ? undefined : parseHolderMemory(JSON.stringify(file.slots)),
      };
    } catch {
      context.addIssue({ code: "custom", message: "expected what whither link has written" });
      return z.NEVER;
    }
  });

/** One line, without newline. */
export function formatLinkFile({ csi, approved, slots }: LinkFile): string {
  return JSON.stringify({
    version: 1,
    csi,
    opening: toBase64Url(approved.opening),
    link: toBase64Url(encodeSignedObject(approved.link)),
    // parsed again, so that it stands as an object among the others
    ...(slots === undefined ? {} : { slots: JSON.parse(formatHolderMemory(slots)) as unknown }),
  });
}

/** Throws CONFIG, UsageError. */
export async function readLinkFile(file: string): Promise<LinkFile> {
  const [line, ...more] = await readJsonLines({ file, schema: linkFileSchema });
  if (line === undefined || more.length > 0) {
    throw new UsageError(`${file}: expected one link, got ${more.length + (line ? 1 : 0)}`);
  }
  return line.value;
}
