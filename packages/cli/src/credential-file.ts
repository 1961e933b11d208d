// The file in which a credential and its opening travel from the prover to the holder: one JSON object,
// in a batch one a line. Whoever has it and the CSI can check the commitment: it is kept private (0600).

import { parseCsi, type Csi, type SignedObject } from "@whither/protocol";
import { fromBase64Url, toBase64Url } from "@whither/crypto";
import { decodeSignedObject, encodeSignedObject } from "@whither/wire";
import { z } from "zod";
import { readJsonLines } from "./json-lines.js";
import { UsageError } from "./usage.js";

export interface CredentialFile {
  readonly csi: Csi;
  /** 32 bytes. */
  readonly opening: Uint8Array;
  readonly credential: SignedObject;
}

const openingBytes = 32;

const base64Url = z.string().transform((text, context) => {
  try {
    return fromBase64Url(text);
  } catch {
    context.addIssue({ code: "custom", message: "expected base64url" });
    return z.NEVER;
  }
});

/** Strict: unknown keys are refused. */
export const credentialFileSchema = z
  .strictObject({
    version: z.literal(1).default(1),
    csi: z.string().max(1024),
    opening: base64Url.refine((bytes) => bytes.length === openingBytes, {
      message: `expected ${openingBytes} octets`,
    }),
    credential: base64Url,
  })
  .transform((file, context): CredentialFile => {
    try {
      return {
        csi: parseCsi(file.csi),
        opening: file.opening,
        credential: decodeSignedObject(file.credential),
      };
    } catch {
      context.addIssue({ code: "custom", message: "expected a canonical csi and a signed object" });
      return z.NEVER;
    }
  });

/** One line, without newline. */
export function formatCredentialFile(file: CredentialFile): string {
  return JSON.stringify({
    version: 1,
    csi: file.csi,
    opening: toBase64Url(file.opening),
    credential: toBase64Url(encodeSignedObject(file.credential)),
  });
}

/** Reads a file of one credential. Throws CONFIG, UsageError. */
export async function readCredential(file: string): Promise<CredentialFile> {
  const [line, ...more] = await readJsonLines({ file, schema: credentialFileSchema });
  if (line === undefined || more.length > 0) {
    throw new UsageError(`${file}: expected one credential, got ${more.length + (line ? 1 : 0)}`);
  }
  return line.value;
}
