// Push end to end (Zone.Watch, requirements 16 and 20): what changes at a DP shows at resolvers that listen, within an
// epoch and not after an hour; and what happens to the stream is nothing to whoever asks.

import { expect } from "chai";
import { parseCsi } from "@whither/protocol";
import { createFederation } from "@whither/testkit";
import { bothWays, outcomeOf } from "./both-ways.js";

const known = parseCsi("+4930123456");
const newcomer = parseCsi("+4930123499");

async function listening(mirror: boolean) {
  const federation = await createFederation();
  await federation.register({ csi: known, msps: ["wire.example"] });
  await federation.publish();
  const listener = await federation.resolver({ mirror, watch: true });
  const other = await federation.resolver({ mirror });
  for (const resolver of [listener, other]) {
    await federation.during(resolver.lookup(known));
    await federation.during(resolver.lookup(newcomer));
  }
  await federation.clock.settle();
  return { federation, listener, other };
}

describe("a resolver that listens", () => {
  bothWays(
    "sees what changed in the next epoch; one that does not, when its cache ends",
    async (mirror) => {
      const { federation, listener, other } = await listening(mirror);
      await federation.register({ csi: known, msps: ["video.example"] });
      await federation.register({ csi: newcomer, msps: ["chat.example"] });
      await federation.publish();
      const ask = async () => [
        await federation.during(outcomeOf(listener, known)),
        await federation.during(outcomeOf(listener, newcomer)),
        await federation.during(outcomeOf(other, known)),
        await federation.during(outcomeOf(other, newcomer)),
      ];
      expect(await ask()).to.deep.equal([
        "found wire.example video.example",
        "found chat.example",
        "found wire.example",
        "none",
      ]);
      await federation[Symbol.asyncDispose]();
    },
  );

  bothWays(
    "goes on from its cache while the DP is away, and listens again after it",
    async (mirror) => {
      const { federation, listener } = await listening(mirror);
      await federation.dp("dp-a.example").stop();
      await federation.clock.advance(60_000);
      expect(await federation.during(outcomeOf(listener, known))).to.equal("found wire.example");
      await federation.dp("dp-a.example").start();
      await federation.clock.advance(400_000);
      await federation.during(listener.lookup(known));
      await federation.register({ csi: known, msps: ["video.example"] });
      await federation.publish();
      expect(await federation.during(outcomeOf(listener, known))).to.equal(
        "found wire.example video.example",
      );
      await federation[Symbol.asyncDispose]();
    },
  );

  bothWays("answers as ever over a link that has gone silent", async (mirror) => {
    const { federation, listener } = await listening(mirror);
    const { publicAddress } = federation.dp("dp-a.example").identity;
    federation.network.setFaults({ to: publicAddress }, { partition: "silent" });
    await federation.register({ csi: newcomer, msps: ["chat.example"] });
    await federation.publish();
    expect(await federation.during(outcomeOf(listener, known))).to.equal("found wire.example");
    federation.network.setFaults({ to: publicAddress }, undefined);
    await federation.clock.advance(62_000);
    expect(await federation.during(outcomeOf(listener, newcomer))).to.equal("found chat.example");
    await federation[Symbol.asyncDispose]();
  });
});
