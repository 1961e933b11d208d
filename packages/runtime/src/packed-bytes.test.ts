import { expect } from "chai";
import fc from "fast-check";
import { buffersOf, packBytes, unpackBytes } from "./packed-bytes.js";

describe("packed bytes", () => {
  it("come out as they went in, empty ones included", () => {
    const lists = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 20 });
    fc.assert(
      fc.property(lists, (list) => {
        expect(unpackBytes(packBytes(list))).to.deep.equal(list);
      }),
    );
  });

  it("take of a view its own bytes and not the memory around it", () => {
    const memory = new Uint8Array(100_000);
    const packed = packBytes([memory.subarray(10, 42), memory.subarray(50, 82)]);
    expect(buffersOf(packed).map((buffer) => buffer.byteLength)).to.deep.equal([64, 8]);
  });
});
