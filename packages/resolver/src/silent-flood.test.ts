// A DP that hears everything and says nothing while many different people are looked up there: what it costs the DP and
// the callers is bounded (protocol.md sections 7 and 8; RFC 9520). Counted at the DP.

import { expect } from "chai";
import { isDiscoveryError, limits, parseCsi } from "@whither/protocol";
import { makeRegistrationParties } from "@whither/testkit";
import { contactOf, ScriptedZone, scriptedWorld } from "./scripted-zone.test.js";

const parties = makeRegistrationParties();
const [seconds, perSecond] = [30, 20];

describe("a flood of lookups at a DP that went silent", () => {
  it("costs the DP 3 requests a second at most, and callers 7 s at first and then nothing", async () => {
    const zone = new ScriptedZone({ parties, contacts: [contactOf(parties)], fillers: 40 });
    const { resolver, clock } = await scriptedWorld({ zones: [zone] });
    await resolver.lookup(parties.csi);
    zone.lies.silent = () => true;
    zone.asked.length = 0;
    const ended: { readonly code: string; readonly ms: number }[] = [];
    for (let n = 0; n < seconds * perSecond; n++) {
      const begunMs = clock.monotonicMs();
      void resolver.lookup(parseCsi(`+1415666${1_000 + n}`)).catch((error: unknown) => {
        const code = isDiscoveryError(error) ? error.code : String(error);
        ended.push({ code, ms: clock.monotonicMs() - begunMs });
      });
      await clock.settle();
      await clock.advance(1_000 / perSecond);
    }
    await clock.advance(limits.queryTimeoutMs);
    expect(ended).to.have.length(seconds * perSecond);
    for (const { code, ms } of ended) {
      expect(code).to.be.oneOf(["DEADLINE", "NETWORK", "UNREACHABLE"]);
      expect(ms).to.be.at.most(limits.queryTimeoutMs);
    }
    const atOnce = ended.filter(({ ms }) => ms < 1_000 / perSecond).length;
    console.log(
      `      ${zone.asked.length} requests for ${ended.length} lookups; ${atOnce} refused at once`,
    );
    expect(zone.asked.length).to.be.at.most(3 * seconds);
    expect(atOnce).to.be.at.least(0.9 * ended.length);
    zone.lies.silent = () => false;
    await clock.advance(limits.failureTtlSecondsMin * 1_000);
    expect((await resolver.lookup(parties.csi, { refresh: true })).status).to.equal("found");
  });
});
