// Sealed slot bodies (protocol.md section 4): layout, size classes, padding that must be zero.
import { isDiscoveryError, limits } from "@whither/protocol";
import { expect } from "chai";
import fc from "fast-check";
import * as portable from "./index.js";
import * as fast from "./node.js";

const { concatBytes, uint32Bytes } = portable;
const key = new Uint8Array(32).fill(1);
const nonce = new Uint8Array(12).fill(2);
const aad = new Uint8Array(7).fill(3);
const overhead = 12 + 16;
const isBogus = (error: unknown) => isDiscoveryError(error, "BOGUS");

for (const [name, backend] of [
  ["portable", portable],
  ["node", fast],
] as const) {
  const { sealBody, openBody, openAead, sealAead } = backend;
  const sealPlaintext = (plaintext: Uint8Array) =>
    concatBytes(nonce, sealAead({ key32: key, nonce12: nonce, aad, plaintext }));

  describe(`sealed bodies, ${name} backend`, () => {
    it("are nonce, then length, body and zeros sealed together", () => {
      const body = Uint8Array.of(9, 8, 7);
      const sealed = sealBody({ key, nonce, aad, body });
      expect(sealed.subarray(0, 12)).to.deep.equal(nonce);
      const plaintext = openAead({
        key32: key,
        nonce12: nonce,
        aad,
        sealed: sealed.subarray(12),
      });
      expect(plaintext).to.deep.equal(
        concatBytes(uint32Bytes(3), body, new Uint8Array(1024 - 4 - 3)),
      );
    });

    for (const [bodyBytes, classBytes] of [
      [0, 1024],
      [1020, 1024],
      [1021, 2048],
      [2044, 2048],
      [2045, 4096],
      [4092, 4096],
      [4093, 8192],
      [8188, 8192],
      [8189, 16384],
      [16380, 16384],
    ] as const) {
      it(`pads ${bodyBytes} bytes to the class of ${classBytes} and opens again`, () => {
        const body = new Uint8Array(bodyBytes).fill(255);
        const sealed = sealBody({ key, nonce, aad, body });
        expect(sealed).to.have.lengthOf(classBytes + overhead);
        expect(openBody({ key, aad, sealed })).to.deep.equal(body);
      });
    }

    it("throws TOO_LARGE above the largest class, also of a list given", () => {
      for (const [length, classes] of [
        [16_381, undefined],
        [4_093, [1024, 2048, 4096]],
      ] as const) {
        const body = new Uint8Array(length);
        expect(() => sealBody({ key, nonce, aad, body, ...(classes && { classes }) }))
          .to.throw()
          .satisfies((error: unknown) => isDiscoveryError(error, "TOO_LARGE"));
      }
    });

    it("refuses to open a class that is not on the list given", () => {
      const sealed = sealBody({ key, nonce, aad, body: new Uint8Array(5_000) });
      const classes = limits.bodyClassBytes.slice(0, 3);
      expect(openBody({ key, aad, sealed })).to.have.lengthOf(5_000);
      expect(() => openBody({ key, aad, sealed, classes }))
        .to.throw()
        .satisfies(isBogus);
    });

    it("opens a body that its maker padded further than needed", () => {
      const plaintext = concatBytes(uint32Bytes(1), new Uint8Array(4092).fill(5, 0, 1));
      expect(openBody({ key, aad, sealed: sealPlaintext(plaintext) })).to.deep.equal(
        Uint8Array.of(5),
      );
    });

    for (const [what, plaintext] of [
      ["padding that is not zero, last byte", withByte({ at: 1023, length: 3 })],
      ["padding that is not zero, first byte", withByte({ at: 7, length: 3 })],
      ["a length one beyond the end", withByte({ length: 1021 })],
      ["a length of 2^32 - 1", withByte({ length: 0xffff_ffff })],
      ["no size class", new Uint8Array(1000)],
      ["a size between classes", new Uint8Array(3072)],
      ["nothing inside", new Uint8Array()],
    ] as const) {
      it(`throws BOGUS for ${what}`, () => {
        expect(() => openBody({ key, aad, sealed: sealPlaintext(plaintext) }))
          .to.throw()
          .satisfies(isBogus);
      });
    }

    it("throws BOGUS for another key, another aad, any changed byte, or cut data", () => {
      const sealed = sealBody({ key, nonce, aad, body: Uint8Array.of(1) });
      const other = new Uint8Array(32);
      const attempts: fast.OpenBodyInput[] = [
        { key: other, aad, sealed },
        { key, aad: other, sealed },
        { key, aad, sealed: sealed.subarray(1) },
        { key, aad, sealed: sealed.subarray(0, 10) },
        { key, aad, sealed: new Uint8Array() },
      ];
      for (let index = 0; index < sealed.length; index++) {
        const changed = Uint8Array.from(sealed);
        changed[index]! ^= 1;
        attempts.push({ key, aad, sealed: changed });
      }
      for (const attempt of attempts)
        expect(() => openBody(attempt))
          .to.throw()
          .satisfies(isBogus);
    });

    it("throws TypeError for a key or nonce of another length", () => {
      const body = new Uint8Array();
      expect(() => sealBody({ key: nonce, nonce, aad, body })).to.throw(TypeError);
      expect(() => sealBody({ key, nonce: key, aad, body })).to.throw(TypeError);
      const sealed = sealBody({ key, nonce, aad, body });
      expect(() => openBody({ key: nonce, aad, sealed })).to.throw(TypeError);
    });
  });
}

function withByte({ at, length }: { at?: number; length: number }): Uint8Array {
  const plaintext = new Uint8Array(1024);
  plaintext.set(uint32Bytes(length));
  if (at !== undefined) plaintext[at] = 1;
  return plaintext;
}

it("sealed bodies of both backends are the same and open with either", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 3_000 }), (body) => {
      const sealed = fast.sealBody({ key, nonce, aad, body });
      expect(portable.sealBody({ key, nonce, aad, body })).to.deep.equal(sealed);
      expect(portable.openBody({ key, aad, sealed })).to.deep.equal(body);
      expect(fast.openBody({ key, aad, sealed })).to.deep.equal(body);
    }),
    { numRuns: 20 },
  );
});
