// AES-256-GCM: published answers, agreement of backends, refusal of every changed bit.
import { isDiscoveryError } from "@whither/protocol";
import { expect } from "chai";
import fc from "fast-check";
import * as portable from "./index.js";
import * as fast from "./node.js";

const { fromHex, toHex } = portable;
const sized = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const isBogus = (error: unknown) => isDiscoveryError(error, "BOGUS");

// Test cases 13 to 16 of McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B.
const vectors = [
  {
    key: "0".repeat(64),
    nonce: "0".repeat(24),
    plaintext: "",
    aad: "",
    sealed: "530f8afbc74536b9a963b4f1c4cb738b",
  },
  {
    key: "0".repeat(64),
    nonce: "0".repeat(24),
    plaintext: "0".repeat(32),
    aad: "",
    sealed: "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919",
  },
  {
    key: "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
    nonce: "cafebabefacedbaddecaf888",
    plaintext:
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72" +
      "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
    aad: "",
    sealed:
      "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa" +
      "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad" +
      "b094dac5d93471bdec1a502270e3cc6c",
  },
  {
    key: "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
    nonce: "cafebabefacedbaddecaf888",
    plaintext:
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72" +
      "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
    aad: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
    sealed:
      "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa" +
      "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662" +
      "76fc6ece0f4e1768cddf8853bb2d551b",
  },
];

for (const [name, { sealAead, openAead }] of [
  ["portable", portable],
  ["node", fast],
] as const) {
  describe(`AES-256-GCM, ${name} backend`, () => {
    vectors.forEach((vector, index) => {
      it(`has the published answer of case ${index + 13}`, () => {
        const common = {
          key32: fromHex(vector.key),
          nonce12: fromHex(vector.nonce),
          aad: fromHex(vector.aad),
        };
        const sealed = sealAead({ ...common, plaintext: fromHex(vector.plaintext) });
        expect(toHex(sealed)).to.equal(vector.sealed);
        expect(toHex(openAead({ ...common, sealed }))).to.equal(vector.plaintext);
      });
    });

    it("throws BOGUS for any one bit changed in key, nonce, aad, ciphertext or tag", () => {
      const key32 = new Uint8Array(32).fill(1);
      const nonce12 = new Uint8Array(12).fill(2);
      const aad = new Uint8Array(5).fill(3);
      const whole = { key32, nonce12, aad };
      const input = { ...whole, sealed: sealAead({ ...whole, plaintext: new Uint8Array(20) }) };
      expect(openAead(input)).to.deep.equal(new Uint8Array(20));
      for (const part of ["key32", "nonce12", "aad", "sealed"] as const) {
        for (let bit = 0; bit < 8 * input[part].length; bit++) {
          const changed = Uint8Array.from(input[part]);
          changed[bit >> 3]! ^= 1 << (bit & 7);
          expect(() => openAead({ ...input, [part]: changed }), `${part} bit ${bit}`)
            .to.throw()
            .satisfies(isBogus);
        }
      }
    });

    it("throws BOGUS for data shorter than a tag, or cut", () => {
      const whole = { key32: new Uint8Array(32), nonce12: new Uint8Array(12), aad: fromHex("") };
      const sealed = sealAead({ ...whole, plaintext: fromHex("0102") });
      for (let length = 0; length < sealed.length; length++) {
        expect(() => openAead({ ...whole, sealed: sealed.subarray(0, length) }))
          .to.throw()
          .satisfies(isBogus);
      }
    });

    it("throws TypeError for a key or nonce of another length", () => {
      const input = { key32: new Uint8Array(32), nonce12: new Uint8Array(12), aad: fromHex("") };
      for (const change of [
        { key32: new Uint8Array(16) },
        { key32: new Uint8Array(33) },
        { nonce12: new Uint8Array(11) },
        { nonce12: new Uint8Array(16) },
      ]) {
        expect(() => sealAead({ ...input, ...change, plaintext: fromHex("") })).to.throw(TypeError);
        expect(() => openAead({ ...input, ...change, sealed: new Uint8Array(16) })).to.throw(
          TypeError,
        );
      }
    });
  });
}

it("AES-256-GCM backends seal alike and open each other's", () => {
  const bytes = fc.uint8Array({ maxLength: 200 });
  fc.assert(
    fc.property(sized(32), sized(12), bytes, bytes, (key32, nonce12, aad, plaintext) => {
      const sealed = fast.sealAead({ key32, nonce12, aad, plaintext });
      expect(portable.sealAead({ key32, nonce12, aad, plaintext })).to.deep.equal(sealed);
      expect(portable.openAead({ key32, nonce12, aad, sealed })).to.deep.equal(plaintext);
      expect(fast.openAead({ key32, nonce12, aad, sealed })).to.deep.equal(plaintext);
    }),
    { numRuns: 50 },
  );
});
