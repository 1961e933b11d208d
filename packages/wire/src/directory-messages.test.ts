import { create, toBinary } from "@bufbuild/protobuf";
import { expect } from "chai";
import { DiscoveryError, parsePrefix, type SignedObject } from "@whither/protocol";
import {
  decodeRecordsAnswer,
  decodeReferAnswer,
  decodeTransferChunk,
  encodeRecordsAnswer,
  encodeReferAnswer,
  encodeTransferChunk,
} from "./directory-messages.js";
import { ReferResponseSchema, TransferResponseSchema } from "./gen/whither/v1/directory_pb.js";

const object = (byte: number): SignedObject => ({
  payload: Uint8Array.of(byte),
  signatures: [{ keyId: new Uint8Array(8), role: 2, signature: new Uint8Array(64).fill(byte) }],
});
const codeOf = (decode: () => unknown): string => {
  try {
    decode();
    return "ok";
  } catch (error) {
    return error instanceof DiscoveryError ? error.code : "another failure";
  }
};

describe("messages of the Directory service", () => {
  it("carry signed objects unchanged", () => {
    const [rootKeys, head, node, cover] = [1, 2, 3, 4].map(object) as [
      SignedObject,
      SignedObject,
      SignedObject,
      SignedObject,
    ];
    const refer = { rootKeys, head, node, cover };
    expect(decodeReferAnswer(encodeReferAnswer(refer))).to.deep.equal(refer);
    const exact = { rootKeys, head, node };
    expect(decodeReferAnswer(encodeReferAnswer(exact))).to.deep.equal(exact);
    const records = { rootKeys, head, records: [node, cover] };
    expect(decodeRecordsAnswer(encodeRecordsAnswer(records))).to.deep.equal(records);
    const first = { rootKeys, head, nodes: [], records: [] };
    expect(decodeTransferChunk(encodeTransferChunk(first))).to.deep.equal(first);
    const further = { nodes: [node], records: [cover] };
    expect(decodeTransferChunk(encodeTransferChunk(further))).to.deep.equal(further);
    const difference = {
      incremental: true,
      nodes: [node],
      records: [],
      removedPrefixes: [parsePrefix("tel:+49"), parsePrefix("mailto:example.org")],
      removedRecords: [{ kind: "msp", id: "wire.example" } as const],
    };
    expect(decodeTransferChunk(encodeTransferChunk(difference))).to.deep.equal(difference);
  });

  it("without a part that must be there, or with too many signatures, are refused", () => {
    const many = {
      ...object(1),
      signatures: Array.from({ length: 17 }, () => object(1).signatures[0]!),
    };
    expect(codeOf(() => decodeReferAnswer(new Uint8Array()))).to.equal("INVALID_DATA");
    expect(codeOf(() => decodeRecordsAnswer(new Uint8Array()))).to.equal("INVALID_DATA");
    expect(codeOf(() => decodeReferAnswer(Uint8Array.of(255)))).to.equal("INVALID_DATA");
    const headless = create(ReferResponseSchema, { rootKeys: object(1) as never });
    expect(codeOf(() => decodeReferAnswer(toBinary(ReferResponseSchema, headless)))).to.equal(
      "INVALID_DATA",
    );
    expect(
      codeOf(() => decodeTransferChunk(encodeTransferChunk({ nodes: [many], records: [] }))),
    ).to.equal("INVALID_DATA");
    const differences = [
      { removedPrefixes: ["tel:049"] },
      { removedRecords: [{ kind: 0, id: "wire.example" }] },
      { removedRecords: [{ kind: 9, id: "wire.example" }] },
      { removedRecords: [{ kind: 2, id: "w".repeat(256) }] },
    ];
    for (const fields of differences) {
      const bytes = toBinary(TransferResponseSchema, create(TransferResponseSchema, fields));
      expect(codeOf(() => decodeTransferChunk(bytes))).to.equal("INVALID_DATA");
    }
  });
});
