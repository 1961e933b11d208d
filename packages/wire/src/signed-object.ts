// SignedObject on the wire. Codec only: nothing here verifies a signature.

import { create, fromBinary } from "@bufbuild/protobuf";
import { limits, roles, type Role, type Signature, type SignedObject } from "@whither/protocol";
import { DiscoveryError } from "@whither/protocol";
import {
  SignedObjectSchema,
  type SignedObject as WireSignedObject,
} from "./gen/whither/v1/record_pb.js";
import { integer, invalid, list, octets } from "./fields.js";
import { encodeRaw, type RawField } from "./raw-fields.js";

const context = { record: "signed object" };
const roleNumbers: ReadonlySet<number> = new Set(Object.values(roles));

function decodeRole(value: number): Role {
  const role = integer(context, "role", value);
  if (!roleNumbers.has(role)) throw invalid(context, "role", "a known role");
  return role as Role; // checked against the closed set on the line above
}

/** Bounded view of a received signed object. Throws INVALID_DATA; a missing message counts as invalid. */
export function signedObjectFromWire(value: WireSignedObject | undefined): SignedObject {
  if (value === undefined) throw invalid(context, "payload", "to be present");
  if (value.payload.length === 0) throw invalid(context, "payload", "to be present");
  const signatures = list(
    context,
    { field: "signatures", min: 0, max: limits.signaturesMax },
    value.signatures,
    (signature): Signature => ({
      keyId: octets(context, "key_id", signature.keyId, 8),
      role: decodeRole(signature.role),
      signature: octets(context, "signature", signature.signature, 64),
    }),
  );
  return { payload: value.payload, signatures };
}

export function signedObjectToWire(value: SignedObject): WireSignedObject {
  return create(SignedObjectSchema, {
    payload: value.payload,
    signatures: value.signatures.map((s) => ({
      keyId: s.keyId,
      role: s.role,
      signature: s.signature,
    })),
  });
}

/** The bytes that the generated codec would write; every head, record and slot is encoded some times over on its way. */
export function encodeSignedObject({ payload, signatures }: SignedObject): Uint8Array {
  const parts = signatures.map(({ keyId, role, signature }) => ({
    field: 2,
    bytes: encodeRaw([
      ...bytesField(1, keyId),
      { field: 2, varint: role },
      ...bytesField(3, signature),
    ]),
  }));
  return encodeRaw([...bytesField(1, payload), ...parts]);
}

/** Empty ones are not written (proto3). */
function bytesField(field: number, bytes: Uint8Array): readonly RawField[] {
  return bytes.length === 0 ? [] : [{ field, bytes }];
}

export function decodeSignedObject(bytes: Uint8Array): SignedObject {
  return signedObjectFromWire(parseMessage(() => fromBinary(SignedObjectSchema, bytes)));
}

/** Turns any parser failure into INVALID_DATA. */
export function parseMessage<T>(parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    throw new DiscoveryError("INVALID_DATA", "not a valid protobuf message", { cause });
  }
}
