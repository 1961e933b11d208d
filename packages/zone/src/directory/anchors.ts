// Trust anchors: the root's key signing keys and the CAs of its servers (protocol.md section 11). All
// that a client must be given by hand.

import { DiscoveryError } from "@whither/protocol";
import { formatPublicKey, keyIdOf, parsePublicKey, toHex } from "@whither/crypto/node";
import { z } from "zod";

export interface Anchors {
  readonly version: number;
  /** Signatures that a root key set needs, 1..keys. */
  readonly threshold: number;
  /** Root KSKs, 32 bytes each, import-checked; 2..16. */
  readonly keys: readonly Uint8Array[];
  /** PEM certificates that server certificates must lead to. */
  readonly tlsCaPem: readonly string[];
}

const anchorsVersion = 1;
const pem = /^-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*$/;

const schema = z.strictObject({
  version: z.literal(anchorsVersion),
  threshold: z.int().min(1).max(16),
  keys: z.array(z.string()).min(2).max(16),
  tls_ca: z.array(z.string().regex(pem)).max(16),
});

/** Reads an anchors file: `{version, threshold, keys[], tls_ca[]}`. Throws CONFIG. */
export function parseAnchors(text: string): Anchors {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new DiscoveryError("CONFIG", "anchors: not a JSON document", { cause });
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const where = issue?.path.join(".") ?? "";
    throw new DiscoveryError("CONFIG", `anchors: ${where}: wrong or missing`.slice(0, 64), {
      cause: parsed.error,
    });
  }
  const { threshold, keys: texts, tls_ca } = parsed.data;
  const keys = texts.map(anchorKey);
  if (new Set(keys.map((key) => toHex(keyIdOf(key)))).size !== keys.length) {
    throw new DiscoveryError("CONFIG", "anchors: keys: expected different keys");
  }
  if (threshold > keys.length) {
    throw new DiscoveryError("CONFIG", `anchors: threshold: expected 1..${keys.length}`);
  }
  return { version: anchorsVersion, threshold, keys, tlsCaPem: tls_ca };
}

/** The text of an anchors file, newline included. */
export function formatAnchors(anchors: Anchors): string {
  const { version, threshold, keys, tlsCaPem } = anchors;
  const value = { version, threshold, keys: keys.map(formatPublicKey), tls_ca: tlsCaPem };
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

function anchorKey(text: string): Uint8Array {
  try {
    return parsePublicKey(text);
  } catch (cause) {
    throw new DiscoveryError("CONFIG", "anchors: keys: expected ed25519:<base64url>", { cause });
  }
}
