import { expect } from "chai";
import { limits, parseCsi } from "@whither/protocol";
import { decodeKeyLink } from "@whither/wire";
import {
  createSeededRandom,
  fixedSigner,
  flipSignature,
  makeRegistrationParties,
  outcomeOf,
} from "@whither/testkit";
import { addSignature, keyLinkPlace, nodeVerifier, verifyKeyLink } from "@whither/zone";
import { agreeToKeyLink, approveKeyLink } from "./key-link.js";

const { csi, holder, otherHolder } = makeRegistrationParties();
const random = createSeededRandom(3);
const approve = (of: Partial<Parameters<typeof approveKeyLink>[0]> = {}) =>
  approveKeyLink({
    csi,
    holder,
    newPublicKey: otherHolder.publicKey,
    randomBytes: (length) => random.bytes(length),
    ...of,
  });
const agree = (of: Partial<Parameters<typeof agreeToKeyLink>[0]> = {}) =>
  agreeToKeyLink({ approved: approve(), csi, holder: otherHolder, verifier: nodeVerifier, ...of });

describe("key-link, approved and agreed to", () => {
  it("counts once both keys have signed, and not before", () => {
    const check = { csi, verifier: nodeVerifier };
    expect(outcomeOf(() => verifyKeyLink({ ...approve(), ...check }))).to.equal("BAD_SIGNATURE");
    const link = verifyKeyLink({ ...agree(), ...check });
    expect([link.oldPublicKey, link.newPublicKey]).to.deep.equal([
      holder.publicKey,
      otherHolder.publicKey,
    ]);
  });

  it("draws commitment and nonce anew for each link", () => {
    const [one, other] = [approve(), approve()].map(({ link }) => decodeKeyLink(link.payload));
    expect(one?.csiCommit).to.not.deep.equal(other?.csiCommit);
    expect(one?.nonce).to.not.deep.equal(other?.nonce);
  });

  it("is refused between a key and itself", () => {
    expect(outcomeOf(() => approve({ newPublicKey: holder.publicKey }))).to.equal("BAD_KEY_LINK");
  });

  it("is not agreed to unless it approves this key for this identifier", () => {
    const approved = approve();
    const altered = { ...approved, link: flipSignature(approved.link) };
    const stranger = fixedSigner("stranger");
    expect(outcomeOf(() => agree({ holder: stranger }))).to.equal("BAD_KEY_LINK");
    expect(outcomeOf(() => agree({ holder }))).to.equal("BAD_KEY_LINK");
    expect(outcomeOf(() => agree({ csi: parseCsi("+14155550199") }))).to.equal("BAD_OPENING");
    expect(outcomeOf(() => agree({ approved: altered }))).to.equal("BAD_SIGNATURE");
  });

  it("holds two signatures, however many came with the approval", () => {
    const approved = approve();
    let { link } = approved;
    while (link.signatures.length < limits.signaturesMax) {
      const signer = fixedSigner(`stranger ${link.signatures.length}`);
      link = addSignature(link, { ...keyLinkPlace, signer });
    }
    const reversed = { ...link, signatures: link.signatures.toReversed() };
    const agreed = agree({ approved: { ...approved, link: reversed } });
    expect(agreed.link.signatures).to.have.length(2);
    expect(outcomeOf(() => verifyKeyLink({ ...agreed, csi, verifier: nodeVerifier }))).to.equal(
      "ok",
    );
  });
});
