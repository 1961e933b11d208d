// Requirement 4 (MIMI Discovery requirements): a discovery provider cannot create a verifiable mapping without
// the holder and the messaging provider.
//
// | must | must not |
// |---|---|
// | five signatures stand under a mapping: prover, MSP, holder twice, DP | any proper subset of them be accepted, by a reader or by a DP |
// | each key be the one that the signed registry, or the credential, names | a DP's own key pass as a holder's, an MSP's or a prover's |
// | prover and DP be of different operators | a DP prove possession to itself |
// | a signature be of its type, role and zone | be moved from one record to another |

import { roles, type SignedObject } from "@whither/protocol";
import {
  createFederation,
  makeAcceptance,
  makeCredential,
  makeMapping,
  makeRegistrationParties,
  makeStatement,
} from "@whither/testkit";
import { encodeSlotBody, Registrar, signedObjectToWire } from "@whither/wire";
import { createClient } from "@whither/rpc";
import { peerNamed } from "@whither/testkit";
import { addSignature } from "@whither/zone";
import { expect } from "chai";
import { codeOf } from "../scenarios/both-ways.js";
import { alice, plaintextOf, verdictOn } from "./readers.js";

const parties = makeRegistrationParties();
const names = ["prover", "msp", "holder", "statement", "acceptance"] as const;
type Name = (typeof names)[number];

/** A slot on which only these have signed. */
function slotSignedBy(signed: ReadonlySet<Name>): Uint8Array {
  const bare = ({ payload }: SignedObject): SignedObject => ({ payload, signatures: [] });
  const given = makeCredential(parties);
  const credential = signed.has("prover") ? given : bare(given);
  const signedBy = (["msp", "holder"] as const).filter((name) => signed.has(name));
  const mapping = makeMapping(parties, { credential, signedBy });
  const statement = makeStatement(parties, {
    mappings: [mapping],
    unsigned: !signed.has("statement"),
  });
  const acceptance = makeAcceptance(parties, { mapping, unsigned: !signed.has("acceptance") });
  const { opening } = parties;
  return encodeSlotBody({ statement, mappings: [{ mapping, credential, opening, acceptance }] });
}

const subsets = Array.from({ length: 2 ** names.length }, (_, bits) =>
  names.filter((_name, at) => (bits & (1 << at)) !== 0),
);

describe("requirement 4: a DP cannot mint alone", () => {
  it("a reader accepts the five signatures together", () => {
    expect(verdictOn(parties, slotSignedBy(new Set(names)))).to.deep.equal(["wire.example"]);
  });

  for (const subset of subsets.filter(({ length }) => length < names.length)) {
    it(`a reader refuses a slot signed by ${subset.join(", ") || "nobody"}`, () => {
      expect(verdictOn(parties, slotSignedBy(new Set(subset)))).to.equal("BOGUS");
    });
  }

  it("a DP's own key is nobody else's", () => {
    const own = parties.zoneSigner;
    const credential = makeCredential(parties);
    const place = { type: "mapping", zone: "" } as const;
    const { payload } = makeMapping(parties, { credential });
    const bare = { payload, signatures: [] };
    const asMsp = addSignature(bare, { ...place, role: roles.msp, signer: own });
    const asBoth = addSignature(asMsp, { ...place, role: roles.holder, signer: own });
    const byHolder = addSignature(asMsp, { ...place, role: roles.holder, signer: parties.holder });
    const { opening } = parties;
    for (const [what, mapping] of [
      ["msp and holder", asBoth],
      ["msp", byHolder],
    ] as const) {
      const statement = makeStatement(parties, { mappings: [mapping] });
      const acceptance = makeAcceptance(parties, { mapping });
      const slot = { statement, mappings: [{ mapping, credential, opening, acceptance }] };
      const verdict = verdictOn(parties, encodeSlotBody(slot));
      expect(typeof verdict === "string" ? [] : verdict, what).to.deep.equal([]);
    }
    const proved = makeCredential(parties, { signer: own });
    const mapping = makeMapping(parties, { credential: proved });
    const statement = makeStatement(parties, { mappings: [mapping] });
    const acceptance = makeAcceptance(parties, { mapping });
    const slot = { statement, mappings: [{ mapping, credential: proved, opening, acceptance }] };
    const verdict = verdictOn(parties, encodeSlotBody(slot));
    expect(typeof verdict === "string" ? [] : verdict, "prover").to.deep.equal([]);
  });

  it("a DP that also runs the prover is not believed", () => {
    const owned = makeRegistrationParties({ prover: { operator: "Operator A" } });
    expect(owned.dp.operator).to.equal("Operator A");
    const credential = makeCredential(owned);
    const mapping = makeMapping(owned, { credential });
    const statement = makeStatement(owned, { mappings: [mapping] });
    const acceptance = makeAcceptance(owned, { mapping });
    const { opening } = owned;
    const slot = { statement, mappings: [{ mapping, credential, opening, acceptance }] };
    expect(verdictOn(owned, encodeSlotBody(slot))).to.deep.equal([]);
  });

  it("a holder's signature under a mapping is none under a statement", () => {
    const credential = makeCredential(parties);
    const mapping = makeMapping(parties, { credential });
    const right = makeStatement(parties, { mappings: [mapping] });
    const acceptance = makeAcceptance(parties, { mapping });
    const { opening, holder } = parties;
    const bare = { payload: right.payload, signatures: [] };
    const moved = addSignature(bare, {
      type: "mapping",
      zone: "",
      role: roles.holder,
      signer: holder,
    });
    const slot = { mappings: [{ mapping, credential, opening, acceptance }] };
    expect(verdictOn(parties, encodeSlotBody({ ...slot, statement: right }))).to.deep.equal([
      "wire.example",
    ]);
    expect(verdictOn(parties, encodeSlotBody({ ...slot, statement: moved }))).to.equal("BOGUS");
  });

  it("a DP, too, takes no registration without every signature but its own", async () => {
    await using federation = await createFederation();
    const zone = "de@dp-a.example";
    const registered = await federation.register({ csi: alice, msps: ["wire.example"] });
    const { mapping, credential, opening, registered: slots } = registered;
    const [{ statement } = { statement: mapping }] = slots;
    const { clientAddress } = federation.dp("dp-a.example").identity;
    const client = createClient(
      Registrar,
      federation.network.connect(clientAddress, {
        identity: peerNamed("wire.example"),
        from: "dp",
      }),
    );
    const before = await plaintextOf(federation, { zone, csi: alice });
    const send = (of: {
      mapping?: SignedObject;
      statement?: SignedObject;
      credential?: SignedObject;
    }) =>
      codeOf(
        client.register({
          zone,
          csi: alice,
          opening,
          credential: signedObjectToWire(of.credential ?? credential),
          slot: {
            case: "public",
            value: {
              mapping: signedObjectToWire(of.mapping ?? mapping),
              statement: signedObjectToWire(of.statement ?? statement),
            },
          },
        }),
      );
    expect(await send({}), "as it was sent: known again").to.equal("ok");
    const only = (object: SignedObject, role: number): SignedObject => ({
      ...object,
      signatures: object.signatures.filter((one) => one.role === role),
    });
    const refused = {
      "without the holder under the mapping": { mapping: only(mapping, roles.msp) },
      "without the MSP": { mapping: only(mapping, roles.holder) },
      "without the holder under the statement": { statement: only(statement, roles.msp) },
      "without the prover": { credential: only(credential, roles.msp) },
    };
    for (const [what, of] of Object.entries(refused)) {
      expect(await send(of), what).not.to.equal("ok");
    }
    expect(await plaintextOf(federation, { zone, csi: alice })).to.deep.equal(before);
  });
});

// Open: a DP that withholds a slot whole is seen by the holder's monitor (Register); heads countersigned by
// witnesses, so that a DP cannot show different trees to different people (Hold).
