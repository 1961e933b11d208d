// Project Wycheproof's Ed25519 cases through both backends and noble's strict mode, the oracle.
import { readFileSync } from "node:fs";
import { verify as nobleVerify } from "@noble/ed25519";
import { expect } from "chai";
import * as portable from "./index.js";
import * as fast from "./node.js";

type Row = readonly [number, string, string, string, "valid" | "invalid", string];

const fixture = JSON.parse(
  readFileSync(new URL("./fixtures/wycheproof-ed25519.json", import.meta.url), "utf8"),
) as { readonly tests: readonly Row[] }; // our own file, in the shape of its `columns`

const oracle = ({ publicKey, message, signature }: portable.SignatureCheck): boolean => {
  try {
    return nobleVerify(signature, message, publicKey, { zip215: false });
  } catch {
    return false; // noble throws where a length is wrong
  }
};

describe("Ed25519 (Wycheproof eddsa_verify)", () => {
  it("carries all 151 cases, valid and invalid", () => {
    expect(fixture.tests).to.have.lengthOf(151);
    expect(fixture.tests.filter((row) => row[4] === "valid")).to.have.lengthOf(88);
  });

  for (const [name, verify] of [
    ["portable", portable.verifyEd25519],
    ["node", fast.verifyEd25519],
    ["noble strict", oracle],
  ] as const) {
    it(`has the expected verdict for every case: ${name}`, () => {
      for (const [id, publicKey, message, signature, result, comment] of fixture.tests) {
        const verdict = verify({
          publicKey: portable.fromHex(publicKey),
          message: portable.fromHex(message),
          signature: portable.fromHex(signature),
        });
        expect(verdict, `case ${id}: ${comment}`).to.equal(result === "valid");
      }
    });
  }

  it("imports every key of the cases", () => {
    for (const row of fixture.tests) {
      const key = portable.fromHex(row[1]);
      expect(portable.importPublicKey(key)).to.deep.equal(key);
    }
  });
});
