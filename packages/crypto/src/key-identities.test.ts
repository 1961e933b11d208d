// Texts and files of keys (protocol.md section 11; RFC 8410 for PEM).
import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { isDiscoveryError } from "@whither/protocol";
import { expect } from "chai";
import fc from "fast-check";
import {
  decodePrivateKeyPem,
  decodeVaultKey,
  decodeVoprfKey,
  encodePrivateKeyPem,
  encodeVaultKey,
  encodeVoprfKey,
  formatPin,
  formatPublicKey,
  fromHex,
  parsePin,
  parsePublicKey,
  publicKeyOf,
  toBase64,
  toBase64Url,
  toHex,
} from "./node.js";

const isInvalid = (error: unknown) => isDiscoveryError(error, "INVALID_DATA");
const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 });

describe("public keys and pins as text", () => {
  // RFC 8032 section 7.1, TEST 1
  const key = fromHex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
  const text = "ed25519:11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

  it("are ed25519: and sha256: with base64url", () => {
    expect(formatPublicKey(key)).to.equal(text);
    expect(parsePublicKey(text)).to.deep.equal(key);
    expect(formatPin(key)).to.equal(text.replace("ed25519", "sha256"));
    expect(parsePin(formatPin(key))).to.deep.equal(key);
  });

  it("round-trip for every key and pin", () => {
    fc.assert(
      fc.property(bytes32, (bytes) => {
        const publicKey = publicKeyOf(bytes);
        expect(parsePublicKey(formatPublicKey(publicKey))).to.deep.equal(publicKey);
        expect(parsePin(formatPin(bytes))).to.deep.equal(bytes);
      }),
      { numRuns: 30 },
    );
  });

  for (const [what, parse] of [
    ["a pin as a key", () => parsePublicKey(text.replace("ed25519", "sha256"))],
    ["a key as a pin", () => parsePin(text)],
    ["upper-case", () => parsePublicKey(text.replace("ed25519", "ED25519"))],
    ["white space", () => parsePublicKey(`${text}\n`)],
    ["padding", () => parsePublicKey(`${text}=`)],
    ["31 bytes", () => parsePublicKey(`ed25519:${toBase64Url(key.subarray(1))}`)],
    ["33 bytes of pin", () => parsePin(`sha256:${toBase64Url(new Uint8Array(33))}`)],
    ["a key of small order", () => parsePublicKey(`ed25519:${toBase64Url(new Uint8Array(32))}`)],
    ["nothing", () => parsePin("")],
  ] as const) {
    it(`throws INVALID_DATA for ${what}`, () => {
      expect(parse).to.throw().satisfies(isInvalid);
    });
  }

  it("throws TypeError for bytes of another length", () => {
    expect(() => formatPublicKey(new Uint8Array(31))).to.throw(TypeError);
    expect(() => formatPin(new Uint8Array(33))).to.throw(TypeError);
  });
});

describe("Ed25519 private keys as PEM", () => {
  it("are what OpenSSL writes and reads", () => {
    const { privateKey } = generateKeyPairSync("ed25519");
    const pem = privateKey.export({ format: "pem", type: "pkcs8" }).toString();
    const secret = decodePrivateKeyPem(pem);
    expect(encodePrivateKeyPem(secret)).to.equal(pem);
    const jwk = createPublicKey(createPrivateKey(pem)).export({ format: "jwk" });
    expect(toBase64Url(publicKeyOf(secret))).to.equal(jwk.x);
  });

  it("match the key of RFC 8410 section 10.3", () => {
    const pem =
      "-----BEGIN PRIVATE KEY-----\n" +
      "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n" +
      "-----END PRIVATE KEY-----\n";
    expect(toHex(decodePrivateKeyPem(pem))).to.equal(
      "d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842",
    );
  });

  it("are read with carriage returns, wrapped lines and white space around", () => {
    const secret = new Uint8Array(32).fill(7);
    const pem = encodePrivateKeyPem(secret);
    const [header, body, footer] = pem.trim().split("\n") as [string, string, string]; // three lines
    const wrapped = `\n${header}\r\n${body.slice(0, 40)}\r\n${body.slice(40)}\r\n${footer}\r\n\r\n`;
    expect(decodePrivateKeyPem(wrapped)).to.deep.equal(secret);
  });

  const other = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  const x25519 = generateKeyPairSync("x25519").privateKey;
  const good = encodePrivateKeyPem(new Uint8Array(32).fill(7));
  for (const [what, pem] of [
    ["a P-256 key", other.export({ format: "pem", type: "pkcs8" }).toString()],
    ["an X25519 key", x25519.export({ format: "pem", type: "pkcs8" }).toString()],
    ["a SEC1 block", other.export({ format: "pem", type: "sec1" }).toString()],
    ["two keys", good + good],
    ["a missing footer", good.split("\n").slice(0, 2).join("\n")],
    ["a key cut short", good.replace(/(?<=\n)..../, "")],
    ["an empty block", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"],
    ["header and footer that overlap", "-----BEGIN PRIVATE KEY-----END PRIVATE KEY-----"],
    ["an empty file", ""],
    ["text in front", `Key:\n${good}`],
  ] as const) {
    it(`throws INVALID_DATA for ${what}, showing none of it`, () => {
      expect(() => decodePrivateKeyPem(pem))
        .to.throw()
        .satisfies(
          (error: unknown) => isInvalid(error) && !String(error).includes(pem.slice(40, 60) || "?"),
        );
    });
  }

  it("throws TypeError for a secret of another length", () => {
    expect(() => encodePrivateKeyPem(new Uint8Array(64))).to.throw(TypeError);
  });
});

describe("VOPRF keys as one line", () => {
  const scalar = new Uint8Array(32).fill(7, 0, 31);

  it("are base64 and a newline, and read with or without it", () => {
    const line = encodeVoprfKey(scalar);
    expect(line).to.equal(`${toBase64(scalar)}\n`);
    for (const text of [line, line.trimEnd(), line.replace("\n", "\r\n")]) {
      expect(decodeVoprfKey(text)).to.deep.equal(scalar);
    }
  });

  for (const [what, text] of [
    ["zero", toBase64(new Uint8Array(32))],
    ["the group order", "7dP1XBpjEljWnPei3vneFAAAAAAAAAAAAAAAAAAAABA="],
    ["all bits set", toBase64(new Uint8Array(32).fill(255))],
    ["31 bytes", toBase64(new Uint8Array(31).fill(1))],
    ["33 bytes", toBase64(new Uint8Array(33).fill(1))],
    ["two lines", `${toBase64(scalar)}\n${toBase64(scalar)}\n`],
    ["two newlines", `${toBase64(scalar)}\n\n`],
    ["base64url", toBase64Url(scalar)],
    ["nothing", ""],
  ] as const) {
    it(`throws INVALID_DATA for ${what}`, () => {
      expect(() => decodeVoprfKey(text))
        .to.throw()
        .satisfies(isInvalid);
    });
  }

  it("accept the largest scalar, one below the group order", () => {
    const largest = fromHex("ecd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    expect(decodeVoprfKey(encodeVoprfKey(largest))).to.deep.equal(largest);
  });

  it("are refused on writing when they are no key", () => {
    expect(() => encodeVoprfKey(new Uint8Array(32)))
      .to.throw()
      .satisfies(isInvalid);
  });
});

describe("vault keys as one line", () => {
  const key = new Uint8Array(32).fill(255);

  it("are read with or without their newline, and are no VOPRF key", () => {
    const line = encodeVaultKey(key);
    expect(line).to.equal(`vault:${toBase64(key)}\n`);
    for (const text of [line, line.trimEnd(), line.replace("\n", "\r\n")]) {
      expect(decodeVaultKey(text)).to.deep.equal(key);
    }
    expect(() => decodeVoprfKey(line))
      .to.throw()
      .satisfies(isInvalid);
  });

  for (const [what, text] of [
    ["a VOPRF key", encodeVoprfKey(new Uint8Array(32).fill(7, 0, 31))],
    ["31 bytes", `vault:${toBase64(new Uint8Array(31))}`],
    ["33 bytes", `vault:${toBase64(new Uint8Array(33))}`],
    ["no base64", "vault:?"],
    ["nothing", ""],
  ] as const) {
    it(`throws INVALID_DATA for ${what}`, () => {
      expect(() => decodeVaultKey(text))
        .to.throw()
        .satisfies(isInvalid);
    });
  }
});
