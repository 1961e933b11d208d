// Number portability end to end: a holder says at its DP where it moved (`ported_to`), and lookups go there.

import { expect } from "chai";
import { parseCsi, parseZoneName } from "@whither/protocol";
import { createFederation, fixedSigner } from "@whither/testkit";
import { bothWays, codeOf, mspsOf } from "./both-ways.js";

const german = parseCsi("+4930123456");
const british = parseCsi("+442079460123");
const holder = fixedSigner("who moves");
const [zoneA, zoneB] = [parseZoneName("de@dp-a.example"), parseZoneName("gb@dp-b.example")];

describe("a holder who has moved", () => {
  bothWays("to a number of another country is found there", async (mirror) => {
    await using federation = await createFederation();
    await federation.register({ csi: german, holder, msps: ["wire.example"], portedTo: british });
    await federation.register({ csi: british, holder, msps: ["video.example"] });
    await federation.publish();
    const resolver = await federation.resolver({ mirror });
    const answer = await federation.during(resolver.lookup(german));
    expect([answer.status, mspsOf(answer), answer.complete]).to.deep.equal([
      "found",
      ["video.example"],
      { answered: 2, asked: 2 },
    ]);
    expect(answer.ports).to.deep.equal([{ zone: zoneA, to: british, outcome: "followed" }]);
    expect(answer.dps.map(({ zone, csi }) => [zone, csi])).to.deep.equal([
      [zoneA, undefined],
      [zoneB, british],
    ]);
  });

  bothWays("to another DP of the same prefix is found there only", async (mirror) => {
    await using federation = await createFederation({
      prefixes: [`"tel:+49": { zones: [${zoneA}, ${zoneB}] }`],
    });
    await federation.register({ csi: german, msps: ["wire.example"], zones: [zoneA] });
    await federation.register({ csi: german, msps: ["video.example"], zones: [zoneB] });
    await federation.people.registrant().change({
      csi: german,
      holder: federation.person(german).holder,
      zones: [zoneA],
      portedTo: zoneB,
      previous: federation.people.memory(german)!,
    });
    await federation.publish();
    const resolver = await federation.resolver({ mirror });
    const answer = await federation.during(resolver.lookup(german));
    expect([mspsOf(answer), answer.ports]).to.deep.equal([
      ["video.example"],
      [{ zone: zoneA, to: zoneB, outcome: "followed" }],
    ]);
    await federation.dp("dp-b.example").stop();
    const left = await federation.during(resolver.lookup(german, { refresh: true }));
    expect([mspsOf(left), left.complete]).to.deep.equal([
      ["wire.example"],
      { answered: 1, asked: 2 },
    ]);
  });

  bothWays("in somebody else's name is not: the other's key does not agree", async (mirror) => {
    await using federation = await createFederation();
    await federation.register({ csi: german, holder, msps: ["wire.example"], portedTo: british });
    await federation.register({ csi: british, msps: ["video.example"] });
    await federation.publish();
    const resolver = await federation.resolver({ mirror });
    const answer = await federation.during(resolver.lookup(german));
    expect([mspsOf(answer), answer.ports[0]?.outcome]).to.deep.equal([
      ["wire.example"],
      "conflict",
    ]);
  });

  it("is told by a DP what nobody could follow", async () => {
    await using federation = await createFederation();
    const registering = federation.register({
      csi: german,
      msps: ["wire.example"],
      portedTo: german,
    });
    expect(await codeOf(registering)).to.equal("BAD_STATEMENT");
  });
});
