import { create, toBinary } from "@bufbuild/protobuf";
import { roles } from "@whither/protocol";
import { expect } from "chai";
import fc from "fast-check";
import { SignedObjectSchema } from "./gen/whither/v1/record_pb.js";
import { decodeSignedObject, encodeSignedObject, signedObjectToWire } from "./signed-object.js";

const bytes = (minLength: number, maxLength: number) => fc.uint8Array({ minLength, maxLength });
const signature = (lengths: { readonly keyId: number; readonly signature: number }) =>
  fc.record({
    keyId: bytes(lengths.keyId, 8),
    role: fc.constantFrom(...Object.values(roles)),
    signature: bytes(lengths.signature, 64),
  });

describe("a signed object's bytes", () => {
  it("are those of the generated codec, also where fields are empty", () => {
    const object = fc.record({
      payload: bytes(0, 300),
      signatures: fc.array(signature({ keyId: 0, signature: 0 }), { maxLength: 16 }),
    });
    fc.assert(
      fc.property(object, (value) => {
        const generated = toBinary(
          SignedObjectSchema,
          create(SignedObjectSchema, signedObjectToWire(value)),
        );
        expect(Buffer.compare(encodeSignedObject(value), generated)).to.equal(0);
      }),
    );
  });

  it("are read back as what was written, a payload over the length of one byte too", () => {
    const object = fc.record({
      payload: bytes(1, 70_000),
      signatures: fc.array(signature({ keyId: 8, signature: 64 }), { maxLength: 16 }),
    });
    fc.assert(
      fc.property(object, (value) => {
        expect(decodeSignedObject(encodeSignedObject(value))).to.deep.equal(value);
      }),
      { numRuns: 30 },
    );
  });
});
