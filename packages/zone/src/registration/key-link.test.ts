import { expect } from "chai";
import fc from "fast-check";
import { parseCsi, type ErrorCode, type SignedObject } from "@whither/protocol";
import {
  fixedBytes,
  fixedSigner,
  flipSignature,
  makeKeyLink,
  makeRegistrationParties,
  malleateSignature,
  outcomeOf,
  smallOrderSigner,
} from "@whither/testkit";
import { nodeVerifier, signObject } from "../signed.js";
import { joinKeys, keyLinkPlace, verifyApproval, verifyKeyLink } from "./key-link.js";

const parties = makeRegistrationParties();
const { csi, holder, otherHolder } = parties;
const stranger = fixedSigner("stranger");
const smallOrder = smallOrderSigner();
type Knobs = Parameters<typeof makeKeyLink>[1];

const verify = (knobs: Knobs, change: (link: SignedObject) => SignedObject = (link) => link) => {
  const made = makeKeyLink(parties, knobs);
  return outcomeOf(() =>
    verifyKeyLink({ ...made, link: change(made.link), csi, verifier: nodeVerifier }),
  );
};

describe("verifyKeyLink", () => {
  it("returns both keys of a link that both signed", () => {
    const link = verifyKeyLink({ ...makeKeyLink(parties), csi, verifier: nodeVerifier });
    expect(link.oldPublicKey).to.deep.equal(holder.publicKey);
    expect(link.newPublicKey).to.deep.equal(otherHolder.publicKey);
  });

  const cases: readonly [ErrorCode | "ok", string, Knobs][] = [
    ["ok", "signed in the other order", { signedBy: [otherHolder, holder] }],
    ["ok", "with a stranger's signature beside", { signedBy: [stranger, holder, otherHolder] }],
    ["BAD_SIGNATURE", "unsigned", { signedBy: [] }],
    ["BAD_SIGNATURE", "by the old key alone: nobody is joined unasked", { signedBy: [holder] }],
    ["BAD_SIGNATURE", "by the new key alone: nobody lets himself in", { signedBy: [otherHolder] }],
    ["BAD_SIGNATURE", "by a stranger for the old key", { signedBy: [stranger, otherHolder] }],
    ["BAD_SIGNATURE", "by a stranger for the new key", { signedBy: [holder, stranger] }],
    ["BAD_SIGNATURE", "from a key of small order", { from: smallOrder }],
    ["BAD_SIGNATURE", "to a key of small order", { to: smallOrder }],
    ["BAD_KEY_LINK", "from a key to itself", { to: holder }],
    ["BAD_KEY_LINK", "a nonce of 15 octets", { fields: { nonce: new Uint8Array(15) } }],
    ["BAD_OPENING", "for another identifier", { csi: parseCsi("+14155550124") }],
    ["BAD_OPENING", "another commitment", { fields: { csiCommit: fixedBytes("commit") } }],
  ];
  for (const [code, title, knobs] of cases) {
    it(`${code}: ${title}`, () => {
      expect(verify(knobs)).to.equal(code);
    });
  }

  it("refuses altered and malleated signatures of either key", () => {
    for (const place of [0, 1]) {
      expect(verify({}, (link) => flipSignature(link, place))).to.equal("BAD_SIGNATURE");
      expect(verify({}, (link) => malleateSignature(link, place))).to.equal("BAD_SIGNATURE");
    }
  });

  it("refuses the holders' signatures made for another type or for a zone", () => {
    const { payload } = makeKeyLink(parties).link;
    for (const place of [
      { ...keyLinkPlace, type: "mapping" },
      { ...keyLinkPlace, zone: parties.zone },
    ] as const) {
      const moved = [holder, otherHolder].flatMap(
        (signer) => signObject({ ...place, payload, signer }).signatures,
      );
      const outcome = verify({}, () => ({ payload, signatures: moved }));
      expect(outcome).to.equal("BAD_SIGNATURE");
    }
  });

  it("checks the approval alone for who has not agreed yet", () => {
    const approved = makeKeyLink(parties, { signedBy: [holder] });
    const check = { ...approved, csi, verifier: nodeVerifier };
    expect(verifyApproval(check).newPublicKey).to.deep.equal(otherHolder.publicKey);
    const unapproved = makeKeyLink(parties, { signedBy: [otherHolder] });
    expect(outcomeOf(() => verifyApproval({ ...check, ...unapproved }))).to.equal("BAD_SIGNATURE");
  });
});

describe("joinKeys", () => {
  const keys = Array.from({ length: 5 }, (_, n) => fixedBytes(`key ${n}`));
  const [own, a, b, c] = [keys[0]!, keys[1]!, keys[2]!, keys[3]!];
  const link = (oldPublicKey: Uint8Array, newPublicKey: Uint8Array) => ({
    oldPublicKey,
    newPublicKey,
  });
  const cases: readonly [string, Parameters<typeof joinKeys>[1], readonly Uint8Array[] | string][] =
    [
      ["no link", [], [own]],
      ["from and to the holder's key", [link(own, a), link(b, own)], [own, a, b]],
      ["a chain", [link(own, a), link(a, b), link(b, c)], [own, a, b, c]],
      ["a chain in the wrong order", [link(a, b), link(own, a)], "BAD_KEY_LINK"],
      ["a link twice", [link(own, a), link(own, a)], "BAD_KEY_LINK"],
      ["a link and its reverse", [link(own, a), link(a, own)], "BAD_KEY_LINK"],
      ["a circle of three", [link(own, a), link(a, b), link(b, own)], "BAD_KEY_LINK"],
      ["a link between strangers", [link(b, c)], "BAD_KEY_LINK"],
      ["a link of a key to itself", [link(own, own)], "BAD_KEY_LINK"],
    ];
  for (const [title, links, expected] of cases) {
    it(title, () => {
      if (typeof expected === "string") {
        expect(outcomeOf(() => joinKeys(own, links))).to.equal(expected);
      } else expect(joinKeys(own, links)).to.deep.equal(expected);
    });
  }

  it("names every key once, one more than there are links, or refuses", () => {
    const index = fc.nat({ max: keys.length - 1 });
    fc.assert(
      fc.property(fc.array(fc.tuple(index, index), { maxLength: 6 }), (ends) => {
        const links = ends.map(([x, y]) => link(keys[x]!, keys[y]!));
        const outcome = outcomeOf(() => {
          const joined = joinKeys(own, links).map((key) => Buffer.from(key).toString("hex"));
          expect(new Set(joined).size).to.equal(joined.length);
          expect(joined).to.have.length(links.length + 1);
        });
        expect(outcome).to.be.oneOf(["ok", "BAD_KEY_LINK"]);
      }),
    );
  });
});
