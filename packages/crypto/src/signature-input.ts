// What a signature of whither covers (protocol.md section 2): domain, type, role, zone and the hash
// of the payload, so that bytes signed for one purpose mean nothing for another.
import { roles, type Role } from "@whither/protocol";
import { concatBytes, lp, uint8Bytes, utf8 } from "./bytes.js";
import type { Hash } from "./hashes.js";

/** The closed list of signed objects. Which message each one holds is listed in proto/README.md. */
export const signedTypes = [
  "root-keys",
  "node",
  "registry",
  "directory-head",
  "manifest",
  "head",
  "mapping",
  "acceptance",
  "slot",
  "statement",
  "key-link",
  "revocation",
  "credential",
  "notice",
  "promise",
  "witness",
] as const;

export type SignedType = (typeof signedTypes)[number];

export interface SignatureInput {
  readonly type: SignedType;
  readonly role: Role;
  /** Name of the zone the signature is bound to; empty or absent where the object is not. */
  readonly zone?: string;
  /** Serialised message, exactly as carried. */
  readonly payload: Uint8Array;
}

/** Binds the construction to a SHA-512. */
export function createSignatureInput(sha512: Hash): (input: SignatureInput) => Uint8Array {
  const domains = new Map(signedTypes.map((type) => [type, utf8(`whither/${type}/v1\0`)] as const));
  const known = new Set<number>(Object.values(roles));
  return ({ type, role, zone = "", payload }) => {
    const domain = domains.get(type);
    if (domain === undefined) throw new TypeError("unknown type of signed object");
    if (!known.has(role)) throw new TypeError("unknown role");
    return concatBytes(domain, uint8Bytes(role), lp(zone), sha512(payload));
  };
}
