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
