// Building blocks of the protocol's test vectors: bytes that a seed text repeats, records as JSON and
// signed objects with everything a signature covers. No vector is made here.

import { fromBinary, type DescEnum, type DescField, type DescMessage } from "@bufbuild/protobuf";
import { reflect, type ReflectMessage } from "@bufbuild/protobuf/reflect";
import {
  createSigner,
  sha256,
  sha512,
  signatureInput,
  toHex,
  utf8,
  type SignedType,
  type Signer,
} from "@whither/crypto/node";
import type { SignedObject } from "@whither/protocol";
import {
  BucketRequestSchema,
  encodeSignedObject,
  ErrorDetailSchema,
  EvaluateRequestSchema,
  ReferRequestSchema,
  RegisterRequestSchema,
  SignedObjectSchema,
} from "@whither/wire";

export type Json = string | number | boolean | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

/** The first `length` octets (up to 64) of SHA-512("whither-v1 vectors: " ‖ seed). */
export function drawn(seed: string, length = 32): Uint8Array {
  if (length > 64) throw new TypeError("a seed gives at most 64 octets");
  return sha512(utf8(`whither-v1 vectors: ${seed}`)).slice(0, length);
}

/** Seeds of the signing keys, by the name that the vectors give them. */
const signerSeeds = {
  ksk_1: "ksk 1",
  ksk_2: "ksk 2",
  zsk: "zsk",
  zone: "zone key",
  msp_wire: "msp wire.example",
  msp_video: "msp video.example",
  prover: "prover",
  holder: "holder",
  holder_second: "holder second app",
} as const;
export type SignerName = keyof typeof signerSeeds;

export function signerOf(name: SignerName): Signer {
  return createSigner(drawn(signerSeeds[name]));
}

const names = Object.keys(signerSeeds) as SignerName[]; // the keys of the closed set above
const nameByKeyId = new Map(names.map((name) => [toHex(signerOf(name).keyId), name]));

/** The keys, for the vectors. */
export function signerVectors(): JsonObject {
  return Object.fromEntries(
    names.map((name) => {
      const { publicKey, keyId } = signerOf(name);
      const seed = signerSeeds[name];
      const secret_key = toHex(drawn(seed));
      return [name, { seed, secret_key, public_key: toHex(publicKey), key_id: toHex(keyId) }];
    }),
  );
}

const messages = new Map<string, DescMessage>(
  [
    SignedObjectSchema,
    BucketRequestSchema,
    ErrorDetailSchema,
    EvaluateRequestSchema,
    ReferRequestSchema,
    RegisterRequestSchema,
  ].flatMap(({ file }) => file.messages.map((message) => [message.name, message])),
);

/** An encoded message as JSON: octets in hex, enums by name, absent messages and oneof members left out. */
export function fieldsOf(messageName: string, bytes: Uint8Array): JsonObject {
  const message = messages.get(messageName);
  if (message === undefined) throw new TypeError(`no message ${messageName}`);
  return jsonOf(reflect(message, fromBinary(message, bytes)));
}

function jsonOf(message: ReflectMessage): JsonObject {
  const entries: [string, Json][] = [];
  for (const field of message.fields) {
    const isOptional = field.oneof !== undefined || field.fieldKind === "message";
    if (isOptional && !message.isSet(field)) continue;
    entries.push([field.name, fieldJson(message, field)]);
  }
  return Object.fromEntries(entries);
}

function fieldJson(message: ReflectMessage, field: DescField): Json {
  switch (field.fieldKind) {
    case "message":
      return jsonOf(message.get(field));
    case "list":
      return Array.from(message.get(field), (item) =>
        field.listKind === "message"
          ? jsonOf(item as ReflectMessage) // what a list of messages holds
          : scalarJson(item, field.enum),
      );
    case "enum":
      return scalarJson(message.get(field), field.enum);
    case "scalar":
      return scalarJson(message.get(field), undefined);
    case "map":
      throw new TypeError("whither.v1 has no maps");
  }
}

function scalarJson(value: unknown, enumeration: DescEnum | undefined): Json {
  if (value instanceof Uint8Array) return toHex(value);
  if (typeof value === "bigint") return Number(value);
  if (typeof value === "number" && enumeration !== undefined) {
    return enumeration.value[value]?.name ?? value;
  }
  if (typeof value === "number" || typeof value === "string" || typeof value === "boolean") {
    return value;
  }
  throw new TypeError("no scalar");
}

/** What is signed and how it travels. */
export function signedVector(
  of: { readonly type: SignedType; readonly zone: string; readonly message: string },
  object: SignedObject,
): JsonObject {
  const { type, zone, message } = of;
  const { payload } = object;
  return {
    type,
    message,
    zone,
    fields: fieldsOf(message, payload),
    payload: toHex(payload),
    payload_sha256: toHex(sha256(payload)),
    payload_sha512: toHex(sha512(payload)),
    signatures: object.signatures.map(({ keyId, role, signature }) => ({
      by: nameByKeyId.get(toHex(keyId)) ?? "nobody",
      role,
      key_id: toHex(keyId),
      input: toHex(signatureInput({ type, role, zone, payload })),
      signature: toHex(signature),
    })),
    object: toHex(encodeSignedObject(object)),
  };
}
