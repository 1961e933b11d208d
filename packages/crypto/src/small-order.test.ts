// Keys and signatures outside the prime-order group, encodings that are not canonical, and S that
// wraps around: what Ed25519 implementations disagree about. All backends must refuse alike.
import { Point, etc, hash, verify as nobleVerify } from "@noble/ed25519";
import { isDiscoveryError } from "@whither/protocol";
import { expect } from "chai";
import * as portable from "./index.js";
import * as fast from "./node.js";

const { concatBytes, fromHex, toHex } = portable;
const order = Point.CURVE().n;
const zeros = "0".repeat(64);

// The eight points of small order; `order 8` names the four that share two y-coordinates.
const smallOrder = [
  ["identity", "0100000000000000000000000000000000000000000000000000000000000000"],
  ["order 2", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"],
  ["order 4, x even", "0000000000000000000000000000000000000000000000000000000000000000"],
  ["order 4, x odd", "0000000000000000000000000000000000000000000000000000000000000080"],
  ["order 8, a", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"],
  ["order 8, -a", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"],
  ["order 8, b", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"],
  ["order 8, -b", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"],
] as const;

// y of p or more, and x = 0 with the sign bit: encodings that a lenient decoder takes for a point.
const notCanonical = [
  ["identity, sign bit", "0100000000000000000000000000000000000000000000000000000000000080"],
  ["order 2, sign bit", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"],
  ["y = p", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"],
  ["y = p, sign bit", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"],
  ["y = p + 1", "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"],
  ["y = p + 1, sign bit", "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"],
  ["y = 2^255 - 1", "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"],
] as const;

const secret = new Uint8Array(32).fill(3);
const honest = fast.createSigner(secret);
const messages = Array.from({ length: 16 }, (_, index) => Uint8Array.of(index));

const verdicts = (check: portable.SignatureCheck) =>
  [portable.verifyEd25519(check), fast.verifyEd25519(check)] as const;

const strict = ({ publicKey, message, signature }: portable.SignatureCheck) =>
  nobleVerify(signature, message, publicKey, { zip215: false });

const fromLittleEndian = (bytes: Uint8Array) =>
  BigInt(`0x${toHex(Uint8Array.from(bytes).reverse())}`);
const toLittleEndian = (value: bigint) => fromHex(value.toString(16).padStart(64, "0")).reverse();

/** The clamped scalar of the honest key (RFC 8032 section 5.1.5). */
function secretScalar(): bigint {
  const head = hash(secret).slice(0, 32);
  head[0]! &= 248;
  head[31] = (head[31]! & 127) | 64;
  return fromLittleEndian(head);
}

/** A signature whose S fits any encoding of R as if R stood for r·B, r = `nonce`. */
function forgeWith(options: {
  encodedR: Uint8Array;
  nonce: bigint;
  publicKey: Uint8Array;
  message: Uint8Array;
}): Uint8Array {
  const { encodedR, nonce, publicKey, message } = options;
  const k = fromLittleEndian(hash(concatBytes(encodedR, publicKey, message)));
  return concatBytes(encodedR, toLittleEndian(etc.mod(nonce + k * secretScalar(), order)));
}

describe("Ed25519 keys that are no keys", () => {
  for (const [name, encoding] of [...smallOrder, ...notCanonical]) {
    it(`refuses to import ${name}`, () => {
      expect(() => portable.importPublicKey(fromHex(encoding)))
        .to.throw()
        .satisfies((error: unknown) => isDiscoveryError(error, "INVALID_DATA"));
    });
  }

  it("refuses to import a y-coordinate that is not on the curve, and wrong lengths", () => {
    const offCurve = fromHex(`02${"0".repeat(62)}`);
    expect(() => Point.fromBytes(offCurve, true)).to.throw();
    for (const key of [offCurve, new Uint8Array(), new Uint8Array(31), new Uint8Array(33)]) {
      expect(() => portable.importPublicKey(key))
        .to.throw()
        .satisfies((error: unknown) => isDiscoveryError(error, "INVALID_DATA"));
    }
  });

  it("never shows the bytes of a key in an error", () => {
    try {
      portable.importPublicKey(fromHex(smallOrder[4][1]));
      expect.fail("imported");
    } catch (error) {
      expect(String(error)).not.to.contain("26e895");
    }
  });

  it("is needed: noble alone accepts pk = R = identity, S = 0 for any message, as OpenSSL 3.0 does", () => {
    const identity = fromHex(smallOrder[0][1]);
    const signature = concatBytes(identity, fromHex(zeros));
    expect(nobleVerify(signature, Uint8Array.of(1), identity)).to.be.true; // its default, ZIP 215
  });

  for (const [keyName, key] of [...smallOrder, ...notCanonical]) {
    it(`accepts no signature with S = 0 under ${keyName}, whatever R`, () => {
      for (const [, encodedR] of [...smallOrder, ...notCanonical]) {
        for (const message of messages) {
          const check = {
            publicKey: fromHex(key),
            message,
            signature: fromHex(encodedR + zeros),
          };
          expect(fast.verifyEd25519(check)).to.be.false;
          expect(portable.verifyEd25519(check)).to.be.false;
        }
        const check = {
          publicKey: fromHex(key),
          message: secret,
          signature: fromHex(encodedR + zeros),
        };
        expect(strict(check)).to.be.false;
      }
    });
  }
});

describe("Ed25519 signatures under an honest key", () => {
  const message = Uint8Array.of(42);
  const { publicKey } = honest;

  it("refuses S + L, S = L and S of 256 set bits", () => {
    const signature = honest.sign(message);
    const encodedR = signature.subarray(0, 32);
    const s = fromLittleEndian(signature.subarray(32));
    expect(verdicts({ publicKey, message, signature })).to.deep.equal([true, true]);
    for (const wrapped of [s + order, order, 2n ** 256n - 1n, s + 2n * order]) {
      const check = {
        publicKey,
        message,
        signature: concatBytes(encodedR, toLittleEndian(wrapped)),
      };
      expect(verdicts(check)).to.deep.equal([false, false]);
      expect(strict(check)).to.be.false;
    }
  });

  it("refuses R = identity also where the equation holds: OpenSSL's verdict depends on its version", () => {
    const encodedR = fromHex(smallOrder[0][1]);
    const signature = forgeWith({ encodedR, nonce: 0n, publicKey, message });
    expect(strict({ publicKey, message, signature }), "the equation holds").to.be.true;
    expect(verdicts({ publicKey, message, signature })).to.deep.equal([false, false]);
  });

  for (const [name, encoding] of notCanonical) {
    it(`refuses R that is not canonical even where the equation holds: ${name}`, () => {
      const encodedR = fromHex(encoding);
      const signature = forgeWith({ encodedR, nonce: 0n, publicKey, message });
      expect(verdicts({ publicKey, message, signature })).to.deep.equal([false, false]);
      expect(strict({ publicKey, message, signature })).to.be.false;
    });
  }

  for (const [name, encoding] of smallOrder.slice(1)) {
    it(`refuses R with a component of small order, which a cofactored check lets pass: ${name}`, () => {
      const nonce = 5n;
      const encodedR = Point.BASE.multiply(nonce).add(Point.fromHex(encoding)).toBytes();
      const signature = forgeWith({ encodedR, nonce, publicKey, message });
      expect(verdicts({ publicKey, message, signature })).to.deep.equal([false, false]);
      expect(strict({ publicKey, message, signature })).to.be.true; // the one difference from noble
    });
  }

  it("gives one verdict under keys of mixed order, where implementations are known to differ", () => {
    const seen = new Set<boolean>();
    for (const [, encoding] of smallOrder.slice(1)) {
      const mixed = Point.fromBytes(publicKey).add(Point.fromHex(encoding)).toBytes();
      const encodedR = Point.BASE.multiply(9n).toBytes();
      for (const each of messages) {
        const signature = forgeWith({ encodedR, nonce: 9n, publicKey: mixed, message: each });
        const [ours, theirs] = verdicts({ publicKey: mixed, message: each, signature });
        expect(ours).to.equal(theirs);
        seen.add(ours);
      }
    }
    // k a multiple of 8 happens: the case would prove nothing if every signature were refused
    expect([...seen].sort()).to.deep.equal([false, true]);
  });
});
