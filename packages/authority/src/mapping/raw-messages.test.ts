import { expect } from "chai";
import fc from "fast-check";
import { toBinary, create } from "@bufbuild/protobuf";
import { decodeMessage } from "@whither/rpc";
import {
  BodiesResponseSchema,
  BucketResponseSchema,
  EvaluateResponseSchema,
  FetchResponseSchema,
  GetHeadResponseSchema,
  SignedObjectSchema,
} from "@whither/wire";
import {
  encodeBodiesResponse,
  encodeBucketResponse,
  encodeCorrelated,
  encodeEvaluateResponse,
  encodeObjectResponse,
  fetchCases,
} from "./raw-messages.js";

const bytes = (maxLength: number) => fc.uint8Array({ maxLength });
const object = fc
  .record({ payload: fc.uint8Array({ minLength: 1, maxLength: 300 }) })
  .map((fields) => toBinary(SignedObjectSchema, create(SignedObjectSchema, fields)));

describe("responses written by hand", () => {
  it("are what the generated codec reads, for any content", () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        fc.nat(70_000),
        bytes(20_000),
        fc.nat(5_000),
        bytes(200),
        object,
        (id, count, entries, pad, siblings, head) => {
          const padBytes = entries.length + pad;
          const raw = encodeBucketResponse({ count, entries, padBytes, siblings, head });
          const decoded = decodeMessage(
            FetchResponseSchema,
            encodeCorrelated(id, { field: fetchCases.bucket, bytes: raw }),
          );
          expect(decoded.id).to.equal(id);
          if (decoded.response.case !== "bucket") throw new Error("expected a bucket");
          const { value } = decoded.response;
          expect(value.count).to.equal(count);
          expect(Buffer.compare(value.entries.subarray(0, entries.length), entries)).to.equal(0);
          expect(value.entries.length).to.equal(padBytes);
          expect(value.entries.subarray(entries.length).every((byte) => byte === 0)).to.equal(true);
          expect(value.siblings).to.deep.equal(siblings);
          expect(toBinary(SignedObjectSchema, value.head!)).to.deep.equal(head);
          expect(decodeMessage(BucketResponseSchema, raw).count).to.equal(count);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("are as long for a bucket of one entry as for one of thousands", () => {
    const lengths = [1, 127, 128, 255, 70_000].map((count) => {
      const parts = { entries: new Uint8Array(68), padBytes: 4_096, siblings: new Uint8Array(64) };
      return encodeBucketResponse({ ...parts, count, head: new Uint8Array(300) }).length;
    });
    expect(new Set(lengths).size).to.equal(1);
  });

  it("are the bytes the generated codec writes", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 1 }), { maxLength: 5 }),
        object,
        (list, head) => {
          const bodies = toBinary(
            BodiesResponseSchema,
            create(BodiesResponseSchema, { bodies: list }),
          );
          expect(encodeBodiesResponse(list)).to.deep.equal(bodies);
          const wrapped = decodeMessage(GetHeadResponseSchema, encodeObjectResponse(head));
          expect(toBinary(GetHeadResponseSchema, wrapped)).to.deep.equal(
            encodeObjectResponse(head),
          );
          const evaluated = new Uint8Array(32 * list.length + 32).fill(7);
          const proof = new Uint8Array(64).fill(9);
          const parts = Array.from({ length: list.length + 1 }, () => new Uint8Array(32).fill(7));
          expect(encodeEvaluateResponse({ evaluated: parts, proof })).to.deep.equal(
            toBinary(EvaluateResponseSchema, create(EvaluateResponseSchema, { evaluated, proof })),
          );
        },
      ),
      { numRuns: 40 },
    );
  });
});
