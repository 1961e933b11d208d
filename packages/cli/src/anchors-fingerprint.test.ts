import { expect } from "chai";
import fc from "fast-check";
import { anchorsFingerprint, formatFingerprint, parseFingerprint } from "./anchors-fingerprint.js";

// FIPS 180-4's example, "abc".
const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

describe("the fingerprint of an anchors file", () => {
  it("is the SHA-256 of its bytes, as sha256sum prints it", () => {
    expect(anchorsFingerprint(new TextEncoder().encode("abc"))).to.equal(abc);
  });

  it("is shown in groups and read back in any of the usual forms", () => {
    const shown = formatFingerprint(abc);
    expect(shown).to.equal(
      "ba7816bf 8f01cfea 414140de 5dae2223 b00361a3 96177a9c b410ff61 f20015ad",
    );
    const colons = abc.match(/../g)?.join(":") ?? "";
    for (const text of [shown, abc, abc.toUpperCase(), colons, ` ${shown}\n`]) {
      expect(parseFingerprint(text), text).to.equal(abc);
    }
  });

  it("is never half of one, or something else", () => {
    for (const text of ["", abc.slice(1), `${abc}0`, abc.replace("b", "g"), `sha256:${abc}`]) {
      expect(parseFingerprint(text), text).to.be.undefined;
    }
  });

  it("survives writing and reading, whatever the file", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (file) => {
        const fingerprint = anchorsFingerprint(file);
        expect(parseFingerprint(formatFingerprint(fingerprint))).to.equal(fingerprint);
      }),
    );
  });
});
