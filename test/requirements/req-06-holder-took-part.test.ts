// Requirement 6 (MIMI Discovery requirements): others can verify that the holder of an identifier took part in
// making a mapping.
//
// | must | must not |
// |---|---|
// | a verbose answer rest on the holder's own signatures and the credential that binds its key | be given on the DP's word |
// | the slot be proven to lie in the tree under the signed head | be shown to one reader and not to the next |
// | the newest head be remembered | an older or a second head of one serial pass |
// | a change of the holder's key be told | go unnoticed |

import { expect } from "chai";
import { createFederation, fixedSigner } from "@whither/testkit";
import { decodeSlotBody, decodeStatement } from "@whither/wire";
import { toHex } from "@whither/crypto";
import { failureOf, forgetFailures, outcomeOf, resigned } from "../scenarios/both-ways.js";
import { alice, plaintextOf, readSlot } from "./readers.js";

const zone = "de@dp-a.example";
const dp = "dp-a.example";

describe("requirement 6: others verify that the holder took part", () => {
  it("a verbose answer is attested by signatures and by presence in the tree", async () => {
    await using federation = await createFederation();
    await federation.register({ csi: alice, msps: ["wire.example"] });
    await federation.publish();
    const answer = await (await federation.resolver()).lookup(alice);
    expect(answer).to.include({ status: "found", form: "verbose", attested: "signatures" });
    const { serial } = federation.zone(zone).mapping.head();
    expect(answer.proof).to.include({ kind: "presence", verified: true, zone, serial });
    expect(answer.mappings[0]?.level).to.equal(1);
  });

  it("the key under statement and mapping is the one that the prover saw", async () => {
    await using federation = await createFederation();
    const { holder } = await federation.register({ csi: alice, msps: ["wire.example"] });
    const plaintext = await plaintextOf(federation, { zone, csi: alice });
    const slot = readSlot(federation, { zone, csi: alice, plaintext });
    const keys = [
      ...slot.holderKeys,
      ...slot.mappings.flatMap(({ mapping, credential }) => [
        mapping.holderPublicKey,
        credential.holderPublicKey,
      ]),
      decodeStatement(decodeSlotBody(plaintext).statement.payload).holderPublicKey,
    ];
    expect(new Set(keys.map(toHex))).to.deep.equal(new Set([toHex(holder.publicKey)]));
  });

  it("a second holder key for the identifier is refused, and the first one stands", async () => {
    await using federation = await createFederation();
    await federation.register({ csi: alice, msps: ["wire.example"] });
    await federation.publish();
    const thief = fixedSigner("thief");
    const error = await failureOf(
      federation.register({ csi: alice, msps: ["video.example"], holder: thief, forget: true }),
    );
    expect(error).to.have.property("code", "INCUMBENT");
    await federation.publish();
    expect(await outcomeOf(await federation.resolver(), alice)).to.equal("found wire.example");
  });

  it("an older head is refused, and kept as evidence", async () => {
    await using federation = await createFederation();
    await federation.register({ csi: alice, msps: ["wire.example"] });
    await federation.publish();
    const resolver = await federation.resolver();
    expect(await outcomeOf(resolver, alice)).to.equal("found wire.example");
    federation.tamper(dp, {
      head: resigned(federation.zone(zone), (head) => ({ ...head, serial: head.serial - 1 })),
    });
    expect(await outcomeOf(resolver, alice, { refresh: true })).to.equal("ROLLBACK");
    expect(resolver.evidence().map(({ code }) => code)).to.include("ROLLBACK");
    federation.tamper(dp, undefined);
    await forgetFailures(federation);
    expect(await outcomeOf(resolver, alice, { refresh: true })).to.equal("found wire.example");
  });

  it("two heads of one serial are a fork, and kept as evidence", async () => {
    await using federation = await createFederation();
    await federation.publish();
    const resolver = await federation.resolver();
    expect(await outcomeOf(resolver, alice)).to.equal("none");
    federation.tamper(dp, {
      head: resigned(federation.zone(zone), (head) => ({ ...head, time: head.time + 1 })),
    });
    expect(await outcomeOf(resolver, alice, { refresh: true })).to.equal("FORKED");
    expect(resolver.evidence().map(({ code }) => code)).to.include("FORKED");
  });
});

// Open: the holder's monitor of its own slots and their last writes, and evidence that convinces a third
// party (Register); heads countersigned by witnesses (Hold); the file that `whither verify` judges (Register).
