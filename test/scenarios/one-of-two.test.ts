// Requirement 9 where two DPs serve one prefix: what is found, incomplete, and found again as they stop and start.

import { expect } from "chai";
import { parseCsi } from "@whither/protocol";
import { createFederation } from "@whither/testkit";

const known = parseCsi("+4930123456");
const unknown = parseCsi("+4930123499");
const together = `"tel:+49": { zones: [de@dp-a.example, gb@dp-b.example] }`;
const others = [`"tel:": { zones: [rest@dp-c.example] }`];

/** Two DPs for +49; the first alone holds a person, who registered before the second came. */
async function twoDps() {
  const federation = await createFederation({
    prefixes: [...others, `"tel:+49": { zones: [de@dp-a.example] }`],
  });
  await federation.register({ csi: known, msps: ["wire.example"] });
  await federation.publish();
  federation.replaceDirectory(federation.signDirectory({ prefixes: [...others, together] }));
  return federation;
}

describe("a prefix that two DPs serve", () => {
  it("is found, 2 of 2, while both are there", async () => {
    await using federation = await twoDps();
    const answer = await (await federation.resolver()).lookup(known);
    expect([answer.status, answer.complete]).to.deep.equal(["found", { answered: 2, asked: 2 }]);
    expect(answer.dps.map(({ outcome }) => outcome)).to.deep.equal(["present", "absent"]);
  });

  it("with the one stopped that does not hold a person: found, 1 of 2; an unknown one is incomplete", async () => {
    await using federation = await twoDps();
    const resolver = await federation.resolver();
    await federation.dp("dp-b.example").stop();
    const found = await federation.during(resolver.lookup(known));
    expect([found.status, found.complete]).to.deep.equal(["found", { answered: 1, asked: 2 }]);
    expect(found.errors.map(({ upstream }) => upstream.split(":")[0])).to.deep.equal([
      "dp-b.example",
    ]);
    const none = await federation.during(resolver.lookup(unknown));
    expect([none.status, none.complete]).to.deep.equal(["incomplete", { answered: 1, asked: 2 }]);
  });

  it("with the one stopped that holds the person: incomplete, never none; found again when it is back", async () => {
    await using federation = await twoDps();
    const resolver = await federation.resolver();
    await federation.dp("dp-a.example").stop();
    for (let time = 0; time < 4; time++) {
      const answer = await federation.during(resolver.lookup(known, { refresh: true }));
      expect(answer.status).to.equal("incomplete");
    }
    const down = resolver.infra().filter(({ state }) => state === "down");
    expect(down.map(({ server }) => server.split(":")[0])).to.include("dp-a.example");
    await federation.dp("dp-a.example").start();
    await federation.clock.advance(2_000);
    const answer = await federation.during(resolver.lookup(known, { refresh: true }));
    expect([answer.status, answer.complete]).to.deep.equal(["found", { answered: 2, asked: 2 }]);
  });
});
