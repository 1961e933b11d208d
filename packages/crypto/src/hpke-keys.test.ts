// X25519 keys of HPKE against OpenSSL and RFC 9180, appendix A.1 (DHKEM(X25519, HKDF-SHA256)).

import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { expect } from "chai";
import fc from "fast-check";
import { isDiscoveryError } from "@whither/protocol";
import {
  decodeHpkeKeyPem,
  encodeHpkeKeyPem,
  formatHpkePublicKey,
  generateHpkeKey,
  hpkePublicKeyOf,
  importHpkePublicKey,
} from "./hpke-keys.js";
import { encodePrivateKeyPem } from "./key-identities.js";
import { fromHex, toHex } from "./text-encodings.js";

const codeOf = (work: () => unknown): string => {
  try {
    work();
    return "ok";
  } catch (error) {
    if (isDiscoveryError(error)) return error.code;
    throw error;
  }
};

describe("hpke keys", () => {
  it("have the public key of RFC 9180 A.1.1, ephemeral and recipient", () => {
    const pairs = [
      [
        "52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736",
        "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431",
      ],
      [
        "4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8",
        "3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d",
      ],
    ] as const;
    for (const [secret, expected] of pairs) {
      expect(toHex(hpkePublicKeyOf(fromHex(secret)))).to.equal(expected);
      expect(toHex(importHpkePublicKey(fromHex(expected)))).to.equal(expected);
    }
  });

  it("travel in files that OpenSSL writes and reads", () => {
    const { privateKey } = generateKeyPairSync("x25519");
    const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    const secret = decodeHpkeKeyPem(pem);
    const jwk = createPublicKey(createPrivateKey(encodeHpkeKeyPem(secret))).export({
      format: "jwk",
    });
    expect(formatHpkePublicKey(hpkePublicKeyOf(secret))).to.equal(`x25519:${jwk.x ?? ""}`);
  });

  it("come back from their file, whatever they are", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (secret) => {
        expect(decodeHpkeKeyPem(encodeHpkeKeyPem(secret))).to.deep.equal(secret);
        expect(codeOf(() => importHpkePublicKey(hpkePublicKeyOf(secret)))).to.equal("ok");
      }),
      { numRuns: 20 },
    );
  });

  const bad: readonly (readonly [string, string])[] = [
    ["a file of an Ed25519 key", encodePrivateKeyPem(new Uint8Array(32))],
    ["a file of a public key", "-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n"],
    ["a file that is cut off", encodeHpkeKeyPem(new Uint8Array(32)).replace("AAAA\n", "\n")],
    ["nothing", ""],
  ];
  for (const [what, pem] of bad) {
    it(`are not read from ${what}`, () => {
      expect(codeOf(() => decodeHpkeKeyPem(pem))).to.equal("INVALID_DATA");
    });
  }

  it("are refused where everybody would know the shared secret, or where they have two encodings", () => {
    // RFC 7748's curve: the points of order 1, 2, 4 and 8, and p, p + 1.
    const lowOrder = [
      "0000000000000000000000000000000000000000000000000000000000000000",
      "0100000000000000000000000000000000000000000000000000000000000000",
      "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
      "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
      "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
      "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
      "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    const good = hpkePublicKeyOf(generateHpkeKey((n) => new Uint8Array(n).fill(7)));
    const topBit = good.map((byte, at) => (at === 31 ? byte | 0x80 : byte));
    for (const key of [...lowOrder.map(fromHex), topBit, good.slice(1)]) {
      expect(
        codeOf(() => importHpkePublicKey(key)),
        toHex(key),
      ).to.equal("INVALID_DATA");
    }
  });
});
