// SHA-2, HMAC and HKDF: published answers, and node:crypto against noble on arbitrary input.
import { createHash, createHmac, hkdfSync } from "node:crypto";
import { expect } from "chai";
import fc from "fast-check";
import * as portable from "./index.js";
import * as fast from "./node.js";

const { fromHex, toHex, utf8 } = portable;
const bytes = fc.uint8Array({ maxLength: 300 });

for (const [name, backend] of [
  ["portable", portable],
  ["node", fast],
] as const) {
  describe(`hashes, ${name} backend`, () => {
    it("has the answers of FIPS 180-4 for abc", () => {
      const abc = utf8("abc");
      expect(toHex(backend.sha256(abc))).to.equal(
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
      );
      expect(toHex(backend.sha384(abc))).to.equal(
        "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded163" +
          "1a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
      );
      expect(toHex(backend.sha512(abc))).to.equal(
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a" +
          "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
      );
    });

    it("has the answer of RFC 4231 section 4.3 for HMAC-SHA256", () => {
      const key = utf8("Jefe");
      const expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
      expect(toHex(backend.hmacSha256(key, utf8("what do ya want for nothing?")))).to.equal(
        expected,
      );
      expect(
        toHex(backend.hmacSha256(key, utf8("what do ya "), utf8("want for nothing?"))),
      ).to.equal(expected);
    });

    it("is HMAC-SHA256, as node:crypto computes it, around the sizes of its block and its one-shot form", () => {
      const patterned = (length: number) => new Uint8Array(length).map((_, i) => i * 7 + length);
      for (const keyLength of [0, 1, 32, 63, 64, 65, 200]) {
        const key = patterned(keyLength);
        for (const length of [0, 1, 32, 64, 959, 960, 961, 2_000]) {
          const message = patterned(length);
          const expected = createHmac("sha256", key).update(message).digest("hex");
          const cut = length >> 1;
          const mac = backend.hmacSha256(key, message.subarray(0, cut), message.subarray(cut));
          expect(toHex(mac), `${keyLength} ${length}`).to.equal(expected);
        }
      }
    });

    it("hashes parts as their concatenation, short and long", () => {
      // 2048 bytes is where the node backend turns from one call to a stream
      for (const length of [0, 1, 63, 64, 65, 2047, 2048, 2049, 20_000]) {
        const whole = new Uint8Array(length).map((_, index) => index);
        for (const cut of [0, 1, length >> 1, length]) {
          const parts = [whole.subarray(0, cut), whole.subarray(cut)];
          for (const algorithm of ["sha256", "sha384", "sha512"] as const) {
            const expected = createHash(algorithm).update(whole).digest("hex");
            expect(toHex(backend[algorithm](...parts)), `${algorithm} ${length}`).to.equal(
              expected,
            );
            expect(toHex(backend[algorithm](whole))).to.equal(expected);
          }
        }
      }
      expect(toHex(backend.sha256())).to.equal(createHash("sha256").digest("hex"));
    });

    it("gives arrays of their own and plain type", () => {
      const digest = backend.sha256(utf8("a"));
      expect(Object.getPrototypeOf(digest)).to.equal(Uint8Array.prototype);
      const copy = Uint8Array.from(digest);
      backend.sha256(utf8("b"), utf8("c"));
      expect(digest).to.deep.equal(copy);
    });

    it("is HKDF-SHA512 with an empty salt, as node:crypto computes it whole", () => {
      fc.assert(
        fc.property(bytes, bytes, fc.integer({ min: 1, max: 300 }), (secret, info, lengthBytes) => {
          const expected = Buffer.from(hkdfSync("sha512", secret, "", info, lengthBytes));
          expect(toHex(backend.hkdf({ secret, info, lengthBytes }))).to.equal(
            expected.toString("hex"),
          );
          const prk = backend.hkdfExtract(secret);
          expect(toHex(backend.hkdfExpand({ prk, info, lengthBytes }))).to.equal(
            expected.toString("hex"),
          );
        }),
        { numRuns: 50 },
      );
    });

    it("throws TypeError for an HKDF output of no bytes, of a fraction, or above 255 blocks", () => {
      const derive = (lengthBytes: number) => () =>
        backend.hkdf({ secret: fromHex("00"), info: fromHex(""), lengthBytes });
      expect(derive(16_320)()).to.have.lengthOf(16_320);
      for (const length of [0, -1, 1.5, 16_321, NaN]) {
        expect(derive(length)).to.throw(TypeError);
      }
    });
  });
}

it("hash backends agree on arbitrary parts", () => {
  fc.assert(
    fc.property(fc.array(bytes, { maxLength: 4 }), bytes, (parts, key) => {
      expect(fast.sha256(...parts)).to.deep.equal(portable.sha256(...parts));
      expect(fast.sha384(...parts)).to.deep.equal(portable.sha384(...parts));
      expect(fast.sha512(...parts)).to.deep.equal(portable.sha512(...parts));
      expect(fast.hmacSha256(key, ...parts)).to.deep.equal(portable.hmacSha256(key, ...parts));
      expect(fast.hkdfExtract(key)).to.deep.equal(portable.hkdfExtract(key));
    }),
    { numRuns: 50 },
  );
});
