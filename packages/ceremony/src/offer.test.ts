import { expect } from "chai";
import fc from "fast-check";
import { parseZoneName } from "@whither/protocol";
import { createSeededRandom, fixedBytes, outcomeOf } from "@whither/testkit";
import { checkOffer, makeOffer } from "./offer.js";

const key = fixedBytes("offer key");
const zone = parseZoneName("us@dp-a.example");
const nowSeconds = 1_790_000_000;
const random = createSeededRandom(1);
const randomBytes = (length: number) => random.bytes(length);
const offer = makeOffer({ key, zone, nowSeconds, randomBytes });
const check = (over: Partial<Parameters<typeof checkOffer>[0]> = {}) =>
  outcomeOf(() => checkOffer({ key, zone, nonceD: offer.nonceD, nowSeconds, ...over }));

describe("offers", () => {
  it("hold their expiry, 15 minutes ahead, in 48 bytes", () => {
    expect(offer.nonceD).to.have.length(48);
    expect(offer.expires).to.equal(nowSeconds + 900);
    expect(new DataView(offer.nonceD.buffer).getBigUint64(0)).to.equal(BigInt(offer.expires));
    expect(checkOffer({ key, zone, nonceD: offer.nonceD, nowSeconds })).to.equal(offer.expires);
  });

  it("differ each time", () => {
    const other = makeOffer({ key, zone, nowSeconds, randomBytes });
    expect(other.nonceD).to.not.deep.equal(offer.nonceD);
  });

  const table = [
    ["ok", "as made", {}],
    ["ok", "in its last second", { nowSeconds: nowSeconds + 899 }],
    ["BAD_OFFER", "expired", { nowSeconds: nowSeconds + 900 }],
    ["BAD_OFFER", "another zone", { zone: parseZoneName("gb@dp-a.example") }],
    ["BAD_OFFER", "another key, as after a restart", { key: fixedBytes("other key") }],
    ["BAD_OFFER", "one byte short", { nonceD: offer.nonceD.subarray(0, 47) }],
    ["BAD_OFFER", "one byte long", { nonceD: new Uint8Array([...offer.nonceD, 0]) }],
    ["BAD_OFFER", "zeros", { nonceD: new Uint8Array(48) }],
    ["BAD_OFFER", "empty", { nonceD: new Uint8Array() }],
  ] as const;
  for (const [code, title, over] of table) {
    it(`${code}: ${title}`, () => expect(check(over)).to.equal(code));
  }

  it("refuse any changed byte, an expiry moved ahead included", () => {
    fc.assert(
      fc.property(fc.nat(47), fc.integer({ min: 1, max: 255 }), (at, xor) => {
        const nonceD = offer.nonceD.slice();
        nonceD[at] = nonceD[at]! ^ xor;
        expect(check({ nonceD })).to.equal("BAD_OFFER");
      }),
    );
  });
});
