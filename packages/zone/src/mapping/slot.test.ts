import { expect } from "chai";
import fc from "fast-check";
import { hkdf, sha256, concatBytes, lp, utf8, toHex } from "@whither/crypto";
import { isDiscoveryError, parseCsi } from "@whither/protocol";
import {
  bitPositionsOf,
  maskMspBits,
  mspBitsOf,
  openPublicSlot,
  sealPublicSlot,
  slotIndex,
  slotInput,
  slotSecret,
  unmaskMspBits,
} from "./slot.js";

const zone = "de@dp-a.example";
const kid = Uint8Array.of(1, 2, 3, 4);
const y = new Uint8Array(64).fill(7);
const nonce = new Uint8Array(12).fill(9);
const place = { y, zone, kid };
const idx = slotIndex(place);

const bogus = (error: unknown): boolean => isDiscoveryError(error, "BOGUS");
const throwsBogus = (run: () => unknown): void => {
  try {
    run();
  } catch (error) {
    expect(bogus(error), String(error)).to.equal(true);
    return;
  }
  throw new Error("expected BOGUS");
};

describe("slot derivations", () => {
  it("builds x from label, CSI and tag with length prefixes", () => {
    const csi = parseCsi("tel:+14155550123");
    expect(toHex(slotInput(csi))).to.equal(
      toHex(utf8("whither/csi/v1")) + "0010" + toHex(utf8("tel:+14155550123")) + "0000",
    );
    const tag = new Uint8Array(32).fill(5);
    expect(toHex(slotInput(csi, tag)).endsWith("0020" + "05".repeat(32))).to.equal(true);
  });

  it("derives idx as HKDF over label, zone and kid", () => {
    const info = concatBytes(utf8("whither/idx/v1"), lp(zone), kid);
    expect(toHex(idx)).to.equal(toHex(hkdf({ secret: y, info, lengthBytes: 16 })));
  });

  it("gives another idx for another y, zone or kid", () => {
    const others = [
      slotIndex({ ...place, y: new Uint8Array(64) }),
      slotIndex({ ...place, zone: "gb@dp-a.example" }),
      slotIndex({ ...place, kid: Uint8Array.of(1, 2, 3, 5) }),
    ];
    for (const other of others) expect(toHex(other)).not.to.equal(toHex(idx));
  });
});

describe("a slot's secret made ready", () => {
  it("gives the idx, the key and the mask that the secret itself gives, and no other's", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 64, maxLength: 64 }), (secret) => {
        const ready = slotSecret(secret);
        const raw = { y: secret, zone, kid };
        const prepared = { ...raw, y: ready };
        expect(slotIndex(prepared)).to.deep.equal(slotIndex(raw));
        const plaintext = utf8("a slot");
        const sealed = { idx, plaintext, nonce };
        const { body, vhash } = sealPublicSlot({ ...prepared, ...sealed });
        expect(sealPublicSlot({ ...raw, ...sealed })).to.deep.equal({ body, vhash });
        expect(openPublicSlot({ ...prepared, idx, body })).to.deep.equal(plaintext);
        const bits = mspBitsOf([0, 9, 63]);
        const masked = maskMspBits({ secret, vhash, registryVersion: 3, bits });
        expect(unmaskMspBits({ secret: ready, vhash, masked })).to.deep.equal({
          registryVersion: 3,
          bits,
        });
        const other = slotSecret(secret.map((byte) => byte ^ 1));
        throwsBogus(() => openPublicSlot({ ...prepared, y: other, idx, body }));
      }),
      { numRuns: 30 },
    );
  });
});

describe("public slot sealing", () => {
  it("opens what it sealed and names it by its hash, in a size class", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000 }), (plaintext) => {
        const { body, vhash } = sealPublicSlot({ ...place, idx, plaintext, nonce });
        expect([1024, 2048, 4096]).to.include(body.length - 28);
        expect(vhash).to.deep.equal(sha256(body));
        expect(openPublicSlot({ ...place, idx, body })).to.deep.equal(plaintext);
      }),
      { numRuns: 30 },
    );
  });

  it("refuses a body of another slot, zone or kid, and any changed bit", () => {
    const plaintext = utf8("slot");
    const { body } = sealPublicSlot({ ...place, idx, plaintext, nonce });
    throwsBogus(() => openPublicSlot({ ...place, idx: new Uint8Array(16), body }));
    throwsBogus(() => openPublicSlot({ ...place, zone: "gb@dp-a.example", idx, body }));
    throwsBogus(() => openPublicSlot({ ...place, kid: new Uint8Array(4), idx, body }));
    throwsBogus(() => openPublicSlot({ ...place, y: new Uint8Array(64), idx, body }));
    for (let at = 0; at < body.length; at += 13) {
      const broken = body.slice();
      broken[at] = broken[at]! ^ 0x10;
      throwsBogus(() => openPublicSlot({ ...place, idx, body: broken }));
    }
    throwsBogus(() => openPublicSlot({ ...place, idx, body: body.subarray(1) }));
  });
});

describe("masked MSP bits", () => {
  const vhash = new Uint8Array(32).fill(3);

  it("counts bit n from the high end of octet n div 8", () => {
    const table: [readonly number[], string][] = [
      [[], "0000000000000000"],
      [[0], "8000000000000000"],
      [[7, 8], "0180000000000000"],
      [[63], "0000000000000001"],
    ];
    for (const [positions, hex] of table) {
      expect(toHex(mspBitsOf(positions))).to.equal(hex);
      expect(bitPositionsOf(mspBitsOf(positions))).to.deep.equal(positions);
    }
    expect(() => mspBitsOf([64])).to.throw(TypeError);
    expect(() => mspBitsOf([-1])).to.throw(TypeError);
  });

  it("unmasks with the same secret and body only", () => {
    const bits = mspBitsOf([1, 33]);
    const masked = maskMspBits({ secret: y, vhash, registryVersion: 77, bits });
    expect(masked).to.have.length(12);
    expect(unmaskMspBits({ secret: y, vhash, masked })).to.deep.equal({
      registryVersion: 77,
      bits,
    });
    const other = unmaskMspBits({ secret: y, vhash: new Uint8Array(32), masked });
    expect(other).not.to.deep.equal({ registryVersion: 77, bits });
  });
});
