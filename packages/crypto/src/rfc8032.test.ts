// RFC 8032 section 7.1 through both backends: key, signature, verdict.
import { expect } from "chai";
import fc from "fast-check";
import * as portable from "./index.js";
import * as fast from "./node.js";

const { fromHex, toHex } = portable;

const vectors = [
  {
    name: "TEST 1, empty message",
    secret: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    publicKey: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    message: "",
    signature:
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155" +
      "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
  },
  {
    name: "TEST 2, one byte",
    secret: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    publicKey: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    message: "72",
    signature:
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da" +
      "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
  },
  {
    name: "TEST 3, two bytes",
    secret: "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
    publicKey: "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
    message: "af82",
    signature:
      "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac" +
      "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
  },
  {
    name: "TEST SHA(abc)",
    secret: "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
    publicKey: "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
    message:
      "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a" +
      "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    signature:
      "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589" +
      "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
  },
];

for (const [name, backend] of [
  ["portable", portable],
  ["node", fast],
] as const) {
  describe(`Ed25519, ${name} backend (RFC 8032 section 7.1)`, () => {
    for (const vector of vectors) {
      it(`signs and verifies ${vector.name}`, () => {
        const signer = backend.createSigner(fromHex(vector.secret));
        const message = fromHex(vector.message);
        const signature = fromHex(vector.signature);
        expect(toHex(backend.publicKeyOf(fromHex(vector.secret)))).to.equal(vector.publicKey);
        expect(toHex(signer.publicKey)).to.equal(vector.publicKey);
        expect(toHex(signer.sign(message))).to.equal(vector.signature);
        expect(backend.verifyEd25519({ publicKey: signer.publicKey, message, signature })).to.be
          .true;
      });
    }

    it("takes the first 8 bytes of SHA-256 of the key as its id", () => {
      const { publicKey, keyId } = backend.createSigner(fromHex(vectors[0]!.secret));
      // `openssl dgst -sha256` of the 32 bytes
      expect(toHex(keyId)).to.equal("21fe31dfa154a261");
      expect(backend.keyIdOf(publicKey)).to.deep.equal(keyId);
    });

    it("signs with its own copy of the secret key", () => {
      const secret = fromHex(vectors[0]!.secret);
      const signer = backend.createSigner(secret);
      secret.fill(0);
      expect(toHex(signer.sign(new Uint8Array()))).to.equal(vectors[0]!.signature);
    });

    it("refuses keys and signatures of a wrong length without an exception in verification", () => {
      const signer = backend.createSigner(fromHex(vectors[0]!.secret));
      const { publicKey } = signer;
      const message = Uint8Array.of(1);
      const signature = signer.sign(message);
      const check = (change: Partial<portable.SignatureCheck>) =>
        backend.verifyEd25519({ publicKey, message, signature, ...change });
      expect(check({})).to.be.true;
      expect(check({ signature: signature.subarray(0, 63) })).to.be.false;
      expect(check({ signature: fast.concatBytes(signature, Uint8Array.of(0)) })).to.be.false;
      expect(check({ signature: new Uint8Array() })).to.be.false;
      expect(check({ publicKey: publicKey.subarray(0, 31) })).to.be.false;
      expect(check({ publicKey: fast.concatBytes(publicKey, Uint8Array.of(0)) })).to.be.false;
    });

    it("throws TypeError for a secret key that is not 32 bytes", () => {
      for (const length of [0, 31, 33, 64]) {
        expect(() => backend.createSigner(new Uint8Array(length))).to.throw(TypeError, /32 bytes/);
        expect(() => backend.publicKeyOf(new Uint8Array(length))).to.throw(TypeError, /32 bytes/);
      }
      expect(() => backend.keyIdOf(new Uint8Array(31))).to.throw(TypeError);
    });
  });
}

describe("Ed25519 backends", () => {
  const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 });

  it("make the same keys and signatures and accept each other's", () => {
    fc.assert(
      fc.property(bytes32, fc.uint8Array({ maxLength: 200 }), (secret, message) => {
        const ours = portable.createSigner(secret);
        const theirs = fast.createSigner(secret);
        const signature = ours.sign(message);
        expect(theirs.publicKey).to.deep.equal(ours.publicKey);
        expect(theirs.keyId).to.deep.equal(ours.keyId);
        expect(theirs.sign(message)).to.deep.equal(signature);
        const check = { publicKey: ours.publicKey, message, signature };
        expect(portable.verifyEd25519(check)).to.be.true;
        expect(fast.verifyEd25519(check)).to.be.true;
      }),
      { numRuns: 20 },
    );
  });

  it("refuse a signature, key or message with any one bit changed", () => {
    const flip = (bytes: Uint8Array, bit: number) => {
      const changed = Uint8Array.from(bytes);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      return changed;
    };
    const signer = fast.createSigner(fromHex(vectors[2]!.secret));
    const message = new Uint8Array(32).fill(7);
    const signature = signer.sign(message);
    const whole = { publicKey: signer.publicKey, message, signature };
    expect(fast.verifyEd25519(whole)).to.be.true;
    for (let bit = 0; bit < 512; bit++) {
      const changes = [
        { ...whole, signature: flip(signature, bit) },
        ...(bit < 256 ? [{ ...whole, publicKey: flip(whole.publicKey, bit) }] : []),
        ...(bit < 256 ? [{ ...whole, message: flip(message, bit) }] : []),
      ];
      for (const change of changes) expect(fast.verifyEd25519(change), `bit ${bit}`).to.be.false;
      // noble takes 2 ms for each: every eighth bit is enough to show that it is no looser
      if (bit % 8 === 0)
        for (const change of changes) expect(portable.verifyEd25519(change)).to.be.false;
    }
  });

  it("give one verdict for arbitrary bytes in place of key and signature", () => {
    fc.assert(
      fc.property(
        bytes32,
        fc.uint8Array({ minLength: 64, maxLength: 64 }),
        (publicKey, signature) => {
          const check = { publicKey, message: publicKey, signature };
          expect(fast.verifyEd25519(check)).to.equal(portable.verifyEd25519(check));
        },
      ),
      { numRuns: 100 },
    );
  });

  it("keep verifying correctly when more keys pass through than the cache holds", () => {
    const message = Uint8Array.of(1, 2, 3);
    const signer = fast.createSigner(fromHex(vectors[0]!.secret));
    const check = { publicKey: signer.publicKey, message, signature: signer.sign(message) };
    const random = new Uint8Array(32);
    for (let i = 0; i < 9_000; i++) {
      random.set(fast.uint32Bytes(i), 0);
      fast.verifyEd25519({ ...check, publicKey: random });
      if (i % 3_000 === 0) expect(fast.verifyEd25519(check)).to.be.true;
    }
    expect(fast.verifyEd25519(check)).to.be.true;
  });

  it("draws a secret key of 32 bytes from the randomness it is given", () => {
    const asked: number[] = [];
    const secret = portable.generateSecretKey((length) => {
      asked.push(length);
      return new Uint8Array(length).fill(9);
    });
    expect(asked).to.deep.equal([32]);
    expect(secret).to.deep.equal(new Uint8Array(32).fill(9));
    expect(() => portable.generateSecretKey(() => new Uint8Array(31))).to.throw(TypeError);
  });
});
