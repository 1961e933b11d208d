// A clock that is a day off, in either direction, at the resolver or at the DP: named as such, nothing wrong
// remembered, and everything as before once it is right again.

import { expect } from "chai";
import { parseCsi } from "@whither/protocol";
import { createResolver, type Resolver } from "@whither/resolver";
import { createInlineVoprf } from "@whither/runtime";
import { loadSodiumVoprf } from "@whither/crypto/node";
import { createFederation, EventLog, type Federation } from "@whither/testkit";
import { bothWays, failureOf, outcomeOf, resigned } from "./both-ways.js";

const alice = parseCsi("+4930123456");
const ada = parseCsi("+442079460123");
const dayMs = 86_400_000;

async function start(): Promise<Federation> {
  const federation = await createFederation({ seed: 61 });
  await federation.register({ csi: alice, msps: ["wire.example"] });
  await federation.register({ csi: ada, msps: ["video.example"] });
  await federation.publish();
  return federation;
}

/** A resolver whose own wall clock is `ms` off; time passes for it as for everybody. */
async function resolverOff(
  federation: Federation,
  {
    ms,
    mirror,
    log = new EventLog(),
  }: { readonly ms: () => number; readonly mirror: boolean; readonly log?: EventLog },
): Promise<Resolver> {
  const { clock, random } = federation;
  const off = {
    ...clock,
    nowMs: () => clock.nowMs() + ms(),
    nowSeconds: () => Math.floor((clock.nowMs() + ms()) / 1000),
  };
  const { certPem: cert, keyPem: key } = federation.identity;
  const resolver = await createResolver({
    anchors: federation.anchors,
    directory: federation.directoryAddress,
    identity: { cert, key },
    mirror,
    clock: off,
    random,
    voprf: createInlineVoprf(await loadSodiumVoprf(), random),
    openChannel: federation.openChannel("off"),
    logger: log,
  });
  if (mirror) await log.settled(clock, ["directory mirrored", "directory refresh failed"]);
  return resolver;
}

describe("a resolver whose clock is a day", () => {
  bothWays("slow from the start: CLOCK_SKEW, and well once it is set right", async (mirror) => {
    await using federation = await start();
    let off = -dayMs;
    await using resolver = await resolverOff(federation, { ms: () => off, mirror });
    expect(await outcomeOf(resolver, alice)).to.equal("CLOCK_SKEW");
    off = 0;
    expect(await outcomeOf(resolver, alice)).to.equal("found wire.example");
  });

  bothWays("slow after it has seen heads: CLOCK_SKEW, with how much", async (mirror) => {
    await using federation = await start();
    let off = 0;
    await using resolver = await resolverOff(federation, { ms: () => off, mirror });
    expect(await outcomeOf(resolver, alice)).to.equal("found wire.example");
    off = -dayMs;
    const error = await failureOf(resolver.lookup(ada, { refresh: true }));
    expect(error).to.include({ code: "CLOCK_SKEW" });
    expect(error.message).to.match(/clock is (at least )?86\d\d\d s behind/);
    off = 0;
    expect(await outcomeOf(resolver, ada)).to.equal("found video.example");
  });

  bothWays(
    "fast: EXPIRED or CLOCK_SKEW in words that name the clock, for the second zone CLOCK_SKEW",
    async (mirror) => {
      await using federation = await start();
      let off = dayMs;
      await using resolver = await resolverOff(federation, { ms: () => off, mirror });
      const first = await failureOf(resolver.lookup(alice));
      expect(first).to.include({
        code: "EXPIRED",
        text: "head: expired, or the local clock is ahead",
      });
      const second = await failureOf(resolver.lookup(ada));
      expect(second).to.include({ code: "CLOCK_SKEW" });
      expect(second.message).to.match(/the local clock is ahead/);
      off = 0;
      await federation.clock.advance(6_000);
      expect(await outcomeOf(resolver, alice)).to.equal("found wire.example");
      expect(await outcomeOf(resolver, ada)).to.equal("found video.example");
    },
  );

  bothWays("within five minutes either way notices nothing", async (mirror) => {
    await using federation = await start();
    for (const off of [-290_000, 290_000]) {
      await using resolver = await resolverOff(federation, { ms: () => off, mirror });
      expect(await outcomeOf(resolver, alice)).to.equal("found wire.example");
    }
  });
});

describe("a DP whose clock is a day", () => {
  for (const [title, seconds, code] of [
    ["fast", 86_400, "CLOCK_SKEW"],
    ["slow", -86_400, "EXPIRED"],
  ] as const) {
    bothWays(`${title}: ${code}; other zones go on`, async (mirror) => {
      await using federation = await start();
      const zone = federation.zone("de@dp-a.example");
      federation.tamper("dp-a.example", {
        head: resigned(zone, (head) => ({
          ...head,
          time: head.time + seconds,
          notAfter: head.notAfter + seconds,
        })),
      });
      const resolver = await federation.resolver({ mirror });
      expect(await outcomeOf(resolver, alice)).to.equal(code);
      expect(await outcomeOf(resolver, ada)).to.equal("found video.example");
      federation.tamper("dp-a.example", undefined);
      await federation.clock.advance(6_000);
      expect(await outcomeOf(resolver, alice)).to.equal("found wire.example");
    });
  }
});

describe("a holder whose clock is a day", () => {
  for (const [title, ms, code] of [
    ["fast", dayMs, "NOT_YET_VALID"],
    ["slow", -dayMs, "EXPIRED"],
  ] as const) {
    it(`${title}: the credential it is given says ${code}`, async () => {
      await using federation = await start();
      const csi = parseCsi("+4930123499");
      const nowSeconds = federation.clock.nowSeconds() + ms / 1000;
      const credential = federation.credential({
        csi,
        fields: {
          issued: nowSeconds - (ms < 0 ? 45 * 86_400 : 0),
          firstProvedAt: nowSeconds - (ms < 0 ? 45 * 86_400 : 0),
          expires: nowSeconds + (ms < 0 ? 0 : 86_400),
        },
      });
      const error = await failureOf(
        federation.register({ csi, msps: ["wire.example"], credential }),
      );
      expect(error).to.include({ code });
      await federation.register({ csi, msps: ["wire.example"] });
      await federation.publish();
      expect(await outcomeOf(await federation.resolver(), csi)).to.equal("found wire.example");
    });
  }
});
