// A server that hides one of a person's providers in a verbose answer: all of them, or none from that server. What a
// DP that seals the slot can do is in lying-with-keys.test.ts; what it costs in resolver/src/hidden-mapping.test.ts.

import { expect } from "chai";
import { parseCsi } from "@whither/protocol";
import { createFederation, type DpLies, type Federation } from "@whither/testkit";
import { bothWays, flip, mspsOf } from "./both-ways.js";

const alice = parseCsi("+4930123456");
const msps = ["wire.example", "video.example"];
const replica = "replica.example";

const hidings: readonly (readonly [string, DpLies["bodies"]])[] = [
  ["a body less", (b) => ({ ...b, bodies: b.bodies.slice(1) })],
  ["no body", (b) => ({ ...b, bodies: [] })],
  ["other bodies", (b) => ({ ...b, bodies: b.bodies.map((body) => flip(body, -20)) })],
];

async function withReplica(): Promise<Federation> {
  const federation = await createFederation({
    seed: 23,
    dps: [
      { id: "dp-a.example", zones: ["de"], replicas: [{ id: replica, probe: "tel:+4930123400" }] },
    ],
    prefixes: [`"tel:+49": { zones: [de@dp-a.example] }`],
  });
  await federation.register({ csi: alice, msps });
  await federation.publish();
  await federation.clock.advance(5_000);
  return federation;
}

describe("a replica that hides a provider of somebody", () => {
  for (const [title, bodies] of hidings) {
    bothWays(`by ${title} is passed over: the DP shows both`, async (mirror) => {
      await using federation = await withReplica();
      if (bodies !== undefined) federation.tamper(replica, { bodies });
      const resolver = await federation.resolver({ mirror });
      const answer = await federation.during(resolver.lookup(alice));
      expect([answer.status, mspsOf(answer)]).to.deep.equal(["found", msps]);
      const [lame] = resolver.infra().filter((row) => row.lame.length > 0);
      expect(lame?.server).to.match(/^replica\.example/);
      expect(lame?.lame.map(({ code }) => code)).to.deep.equal(["BOGUS"]);
    });
  }
});
