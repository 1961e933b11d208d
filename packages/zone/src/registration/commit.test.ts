import { createHash } from "node:crypto";
import { expect } from "chai";
import fc from "fast-check";
import { parseCsi } from "@whither/protocol";
import { fixedBytes, outcomeOf } from "@whither/testkit";
import { csiCommit, verifyCommit } from "./commit.js";

const csi = parseCsi("tel:+14155550123");
const opening = fixedBytes("opening");

describe("csi commitment", () => {
  it("is SHA-256 over the length-prefixed opening and identifier", () => {
    const hash = createHash("sha256")
      .update(Uint8Array.of(0, 32))
      .update(opening)
      .update(Uint8Array.of(0, 16))
      .update("tel:+14155550123")
      .digest();
    expect(Buffer.from(csiCommit({ csi, opening })).equals(hash)).to.equal(true);
  });

  it("opens for its own identifier and opening only", () => {
    const commit = csiCommit({ csi, opening });
    const other = parseCsi("tel:+14155550124");
    const verify = (of: { csi?: typeof csi; opening?: Uint8Array }) =>
      outcomeOf(() => verifyCommit({ commit, csi, opening, ...of }));
    expect(verify({})).to.equal("ok");
    expect(verify({ csi: other })).to.equal("BAD_OPENING");
    expect(verify({ opening: fixedBytes("another") })).to.equal("BAD_OPENING");
  });

  it("refuses openings of every length but 32", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        const expected = bytes.length === 32 ? "ok" : "BAD_OPENING";
        expect(outcomeOf(() => csiCommit({ csi, opening: bytes }))).to.equal(expected);
      }),
    );
  });
});
