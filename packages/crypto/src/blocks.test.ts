import { expect } from "chai";
import * as portable from "./blocks.js";
import * as node from "./node/blocks.js";
import { fromHex, toHex } from "./text-encodings.js";

// FIPS 197 appendix C.3, and NIST SP 800-38A section F.1.5 with its four blocks at once.
const vectors = [
  {
    key: "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
    blocks: "00112233445566778899aabbccddeeff",
    permuted: "8ea2b7ca516745bfeafc49904b496089",
  },
  {
    key: "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
    blocks:
      "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51" +
      "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
    permuted:
      "f3eed1bdb5d2a03c064b5a7e3db181f8591ccb10d410ed26dc5ba74a31362870" +
      "b6ed21b99ca6f4f9f153e7b1beafed1d23304b7a39f9f3ff067d8d8f9e24ecc7",
  },
];

for (const [name, { permuteBlocks }] of Object.entries({ portable, node })) {
  describe(`blocks, ${name}`, () => {
    it("gives what NIST published", () => {
      for (const { key, blocks, permuted } of vectors) {
        expect(toHex(permuteBlocks(fromHex(key), fromHex(blocks)))).to.equal(permuted);
      }
    });

    it("takes no block at all, and no part of one", () => {
      const key = new Uint8Array(32);
      expect(permuteBlocks(key, new Uint8Array())).to.have.length(0);
      expect(() => permuteBlocks(key, new Uint8Array(17))).to.throw(TypeError);
      expect(() => permuteBlocks(new Uint8Array(16), new Uint8Array(16))).to.throw(TypeError);
    });
  });
}
