import { expect } from "chai";
import { isDiscoveryError, parseCsi, type ErrorCode } from "@whither/protocol";
import { createFederation } from "./federation.js";

const csi = parseCsi("+4930123456");

async function codeOf(work: Promise<unknown>): Promise<ErrorCode | "ok"> {
  try {
    await work;
    return "ok";
  } catch (error) {
    if (isDiscoveryError(error)) return error.code;
    throw error;
  }
}

describe("a simulated federation", () => {
  for (const mirror of [true, false]) {
    it(`does what its example says, ${mirror ? "mirrored" : "walking"}`, async () => {
      await using federation = await createFederation({ seed: 7 });
      await federation.register({ csi, msps: ["wire.example", "video.example"] });
      await federation.publish();
      const resolver = await federation.resolver({ mirror });
      const answer = await resolver.lookup(csi);
      expect(answer.mappings.map(({ msp }) => msp)).to.deep.equal([
        "wire.example",
        "video.example",
      ]);
      federation.tamper("dp-a.example", { bucket: (b) => ({ ...b, count: 0 }) });
      expect(await codeOf(resolver.lookup(csi, { refresh: true }))).to.equal("BOGUS");
      federation.tamper("dp-a.example", undefined);
      expect((await resolver.lookup(csi, { refresh: true })).status).to.equal("found");
    });
  }

  it("has replicas that follow a DP and answer while it is stopped: all by a full one, the known by any", async () => {
    const probe = "tel:+4930123456";
    const replicas = [
      { id: "full.example", probe, full: true },
      { id: "buckets.example", probe },
    ];
    const dps = [{ id: "dp-a.example", zones: ["de"], replicas }];
    const prefixes = [`"tel:+49": { zones: [de@dp-a.example] }`];
    await using federation = await createFederation({ seed: 7, dps, prefixes });
    await federation.register({ csi, msps: ["wire.example"] });
    await federation.publish();
    await federation.clock.advance(5_000);
    const { serial } = federation.zone("de@dp-a.example").mapping.head();
    const held = federation.replicas.map((host) => host.replicas[0]?.head().serial);
    expect(held).to.deep.equal([serial, serial]);
    const resolver = await federation.resolver();
    await federation.dp("dp-a.example").stop();
    const stranger = parseCsi("+4930123499");
    const ask = async (one: typeof csi) =>
      (await federation.during(resolver.lookup(one, { refresh: true }))).status;
    expect([await ask(csi), await ask(stranger)]).to.deep.equal(["found", "none"]);
    await federation.host("full.example").stop();
    expect(await ask(csi)).to.equal("found");
    const another = resolver.lookup(parseCsi("+4930123498"));
    expect(await codeOf(federation.during(another))).to.be.oneOf(["NETWORK", "UNREACHABLE"]);
  });

  it("is the same for the same seed", async () => {
    const heard: string[] = [];
    for (let run = 0; run < 2; run += 1) {
      await using federation = await createFederation({ seed: 3 });
      const bytes: string[] = [];
      federation.tap((record) => {
        if (record.kind === "message") bytes.push(Buffer.from(record.bytes).toString("hex"));
      });
      await federation.register({ csi, msps: ["wire.example"] });
      await federation.publish();
      await (await federation.resolver()).lookup(csi);
      heard.push(bytes.join(" "));
    }
    expect(heard[0]).to.equal(heard[1]);
    expect(heard[0]?.length).to.be.greaterThan(1_000);
  });
});
