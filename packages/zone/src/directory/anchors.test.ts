import { expect } from "chai";
import { formatPublicKey } from "@whither/crypto/node";
import { makeRootFixture, outcomeOf } from "@whither/testkit";
import { formatAnchors, parseAnchors } from "./anchors.js";

const { anchors } = makeRootFixture();
const text = formatAnchors(anchors);
const value = JSON.parse(text) as Readonly<Record<string, unknown>>;
const keys = anchors.keys.map(formatPublicKey);

describe("anchors file", () => {
  it("is read as it is written", () => {
    expect(parseAnchors(text)).to.deep.equal(anchors);
  });

  const wrong: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
    ["another version", { version: 2 }],
    ["one key", { keys: keys.slice(0, 1) }],
    ["a key twice", { keys: [keys[0], keys[0], keys[1]] }],
    ["a small-order key", { keys: [keys[0], `ed25519:${"A".repeat(43)}`] }],
    ["a threshold of 0", { threshold: 0 }],
    ["a threshold over the keys", { threshold: 4 }],
    ["a CA that is no certificate", { tls_ca: ["hello"] }],
    ["an unknown key", { extra: 1 }],
    ["no keys", { keys: undefined }],
  ];
  for (const [title, change] of wrong) {
    it(`with ${title} is refused`, () => {
      expect(outcomeOf(() => parseAnchors(JSON.stringify({ ...value, ...change })))).to.equal(
        "CONFIG",
      );
    });
  }
  it("that is no JSON is refused", () => {
    expect(outcomeOf(() => parseAnchors("{"))).to.equal("CONFIG");
  });
});
