// The file in which a credential and its opening travel from the prover to the holder: one JSON object,
// in a batch one a line. Whoever has it and the CSI can check the commitment: it is kept private (0600).

import { parseCsi, type Csi, type SignedObject } from "@whither/protocol";
import { fromBase64Url, toBase64Url } from "@whither/crypto";
import { decodeSignedObject, encodeSignedObject } from "@whither/wire";
import { z } from "zod";

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
