// Requirement 2 (MIMI Discovery requirements): a messaging provider confirms that it reaches the holder of an
// identifier on its service.
//
// | must | must not |
// |---|---|
// | a mapping carries the MSP's signature over holder, identifier and dates | stand without it, or with another MSP's |
// | an MSP signs for its own accounts only | sign without a credential that binds the holder's key |
// | every refusal looks alike | tell whom the MSP reaches to who holds no credential |
// | only an MSP accredited now counts | count after its accreditation has ended |

import { isDiscoveryError, parseMspId, type ErrorCode } from "@whither/protocol";
import { createFederation, fixedSigner, makeRegistrationParties, makeSlot } from "@whither/testkit";
import { decodeMapping, decodeSlotBody } from "@whither/wire";
import { expect } from "chai";
import { codeOf } from "../scenarios/both-ways.js";
import { alice, bob, heardDuring, plaintextOf, verdictOn } from "./readers.js";

const zone = "de@dp-a.example";

describe("requirement 2: the MSP confirms reachability", () => {
  it("a published mapping is signed by the MSP's registered key, for its own id", async () => {
    await using federation = await createFederation();
    await federation.register({ csi: alice, msps: ["wire.example"] });
    await federation.publish();
    const { mappings } = decodeSlotBody(await plaintextOf(federation, { zone, csi: alice }));
    expect(mappings).to.have.length(1);
    const [{ mapping }] = mappings as [(typeof mappings)[number]]; // one
    const { keyId } = federation.msp("wire.example").signer;
    const byMsp = mapping.signatures.filter(({ role }) => role === 5);
    expect(byMsp.map((one) => Buffer.from(one.keyId))).to.deep.equal([Buffer.from(keyId)]);
    expect(decodeMapping(mapping.payload).mspId).to.equal("wire.example");
  });

  const parties = makeRegistrationParties();
  const credential = makeSlot(parties).credential;
  // A key that the MSP's record does not hold costs the mapping: it may have been withdrawn since.
  const slots: readonly [
    what: string,
    plaintext: Uint8Array,
    verdict: readonly string[] | ErrorCode,
  ][] = [
    ["with the MSP's signature", makeSlot(parties).plaintext, ["wire.example"]],
    [
      "without it",
      makeSlot(parties, { mapping: { credential, signedBy: ["holder"] } }).plaintext,
      "BOGUS",
    ],
    [
      "with the signature of another MSP",
      makeSlot(parties, { mapping: { credential, mspSigner: parties.mspSigners[1] } }).plaintext,
      [],
    ],
    [
      "with the signature of a stranger",
      makeSlot(parties, { mapping: { credential, mspSigner: fixedSigner("nobody") } }).plaintext,
      [],
    ],
    [
      "for an id that is not the signer's",
      makeSlot(parties, { mapping: { credential, fields: { mspId: parseMspId("video.example") } } })
        .plaintext,
      [],
    ],
  ];
  for (const [what, plaintext, verdict] of slots) {
    const short = typeof verdict === "string" ? verdict : `${verdict.length} mappings`;
    it(`a reader makes ${short} of a slot ${what}`, () => {
      expect(verdictOn(parties, plaintext)).to.deep.equal(verdict);
    });
  }

  it("counts no mapping of an MSP whose accreditation has ended", () => {
    const ended = makeRegistrationParties({
      msps: [{ accreditedTo: parties.nowSeconds - 1 }, {}],
    });
    expect(verdictOn(ended, makeSlot(ended).plaintext)).to.deep.equal([]);
  });

  it("says NOT_REACHABLE_HERE of whom it does not reach, and no DP hears of it", async () => {
    await using federation = await createFederation();
    const { people } = federation;
    const person = federation.person(alice);
    const register = (reached: readonly (typeof alice)[]): Promise<unknown> =>
      people.registrant().register({
        ...person,
        credential: federation.credential({ csi: alice }),
        msp: people.msp("wire.example", reached),
      });
    const heard = await heardDuring(federation, async () => {
      expect(await codeOf(register([]))).to.equal("NOT_REACHABLE_HERE");
      expect(await codeOf(register([bob]))).to.equal("NOT_REACHABLE_HERE");
    });
    expect(heard.filter(({ method }) => method.includes("Registrar"))).to.deep.equal([]);
    expect(await codeOf(register([alice]))).to.equal("ok");
  });

  it("gives the same no to who shows no good credential, reachable or not", async () => {
    await using federation = await createFederation();
    const { people } = federation;
    const person = federation.person(alice);
    const forged = federation.credential({ csi: alice, signer: fixedSigner("no prover") });
    const says = async (reached: readonly (typeof alice)[]): Promise<string> => {
      const request = { ...person, credential: forged, nonceH: federation.random.bytes(16) };
      try {
        await people.msp("wire.example", reached).draft(request);
        return "ok";
      } catch (error) {
        return isDiscoveryError(error) ? `${error.code} ${error.text}` : String(error);
      }
    };
    const [toReachable, toStranger] = [await says([alice]), await says([])];
    expect(toReachable).to.equal(toStranger);
    expect(toReachable).to.match(/^NOT_REACHABLE_HERE /);
  });
});

// Open: the MSP as a process of its own with its service `Reachability` (Register); its asking whether a
// credential still stands at renewal (Register).
