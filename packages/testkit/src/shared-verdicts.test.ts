import { expect } from "chai";
import fc from "fast-check";
import { nodeVerifier, type SignatureVerifier } from "@whither/zone";
import { fixedSigner } from "./registration-fixtures.js";
import { shareVerdicts } from "./shared-verdicts.js";

const signer = fixedSigner("somebody");

function counted(): { readonly verifier: SignatureVerifier; readonly asked: () => number } {
  let asked = 0;
  const verify: SignatureVerifier["verify"] = (check) => {
    asked += 1;
    return nodeVerifier.verify(check);
  };
  return { verifier: { verify }, asked: () => asked };
}

describe("verdicts shared by simulated processes", () => {
  const message = Uint8Array.of(1, 2, 3);
  const good = { publicKey: signer.publicKey, message, signature: signer.sign(message) };

  it("judges a signature once, good or bad", () => {
    const { verifier, asked } = counted();
    const shared = shareVerdicts(verifier);
    const bad = { ...good, message: Uint8Array.of(1, 2, 4) };
    for (let n = 0; n < 3; n += 1) {
      expect(shared.verify(good)).to.equal(true);
      expect(shared.verify(bad)).to.equal(false);
    }
    expect(asked()).to.equal(2);
  });

  it("tells apart triples that differ in any octet, or in where their parts end", () => {
    const shared = shareVerdicts();
    expect(shared.verify(good)).to.equal(true);
    fc.assert(
      fc.property(
        fc.constantFrom("publicKey", "message", "signature"),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (part, place, flip) => {
          const octets = Uint8Array.from(good[part]);
          const at = place % octets.length;
          octets[at] = (octets[at] ?? 0) ^ flip;
          const other = { ...good, [part]: octets };
          expect(shared.verify(other)).to.equal(nodeVerifier.verify(other));
          expect(shared.verify(good)).to.equal(true);
        },
      ),
    );
    const joined = Uint8Array.of(...message, ...good.signature);
    const shifted = { ...good, message: joined.subarray(0, 4), signature: joined.subarray(4) };
    expect(shared.verify(shifted)).to.equal(false);
  });

  it("forgets the oldest, and judges them again", () => {
    const { verifier, asked } = counted();
    const shared = shareVerdicts({
      verify: (check) => check.message.length > 4 || verifier.verify(check),
    });
    expect(shared.verify(good)).to.equal(true);
    for (let n = 0; n < 10_000; n += 1) {
      const bytes = new Uint8Array(8);
      new DataView(bytes.buffer).setUint32(0, n);
      shared.verify({ ...good, message: bytes });
    }
    expect(shared.verify(good)).to.equal(true);
    expect(asked()).to.equal(2);
  });
});
