// The two entries: `./node` gives every name of `.`, so that a consumer needs only one import.
import { readFileSync, readdirSync } from "node:fs";
import { expect } from "chai";
import * as portable from "./index.js";
import * as fast from "./node.js";

describe("entries", () => {
  it("give every portable name in ./node with the same kind of value", () => {
    const values = new Map<string, unknown>(Object.entries(fast));
    for (const [name, value] of Object.entries(portable)) {
      expect(typeof values.get(name), name).to.equal(typeof value);
    }
    const more = Object.keys(fast).filter((name) => !(name in portable));
    expect(more).to.deep.equal(["loadSodiumVoprf"]);
  });

  it("have the fast backend behind the names that have one", () => {
    for (const name of [
      "sha256",
      "sha384",
      "sha512",
      "hmacSha256",
      "permuteBlocks",
      "hkdf",
      "sealAead",
      "openAead",
      "sealBody",
      "openBody",
      "createSigner",
      "publicKeyOf",
      "keyIdOf",
      "verifyEd25519",
      "signatureInput",
    ] as const) {
      expect(fast[name], name).not.to.equal(portable[name]);
    }
  });

  it("keep node: modules and libsodium out of the portable sources", () => {
    const here = new URL(".", import.meta.url);
    const sources = readdirSync(here).filter(
      (file) => file.endsWith(".ts") && !file.endsWith(".test.ts") && file !== "node.ts",
    );
    expect(sources).to.include("index.ts");
    for (const file of sources) {
      const text = readFileSync(new URL(file, here), "utf8");
      expect(text, file).not.to.match(/from "(node:|libsodium|\.\/node)/);
    }
  });
});
