import { expect } from "chai";
import { requestDraft } from "@whither/ceremony";
import { isDiscoveryError, type Csi } from "@whither/protocol";
import {
  createSeededRandom,
  createSimulatedClock,
  fixedBytes,
  makeCredential,
  makeRegistrationParties,
} from "@whither/testkit";
import { nodeVerifier, readMapping, verifyMspSide } from "@whither/zone";
import { accountsOf } from "./accounts-file.js";
import { createMsp, type Accounts, type MspOptions } from "./msp.js";

const startMs = Date.UTC(2027, 0, 15, 8);
const parties = makeRegistrationParties({ nowSeconds: startMs / 1000 });
const { csi, opening, holder, registry, nowSeconds, msps, mspSigners } = parties;

const random = createSeededRandom(11);
const { request } = requestDraft({
  holder,
  registry,
  nowSeconds,
  verifier: nodeVerifier,
  csi,
  opening,
  credential: makeCredential(parties),
  mspId: msps[0].id,
  randomBytes: (length) => random.bytes(length),
});

function bench(accounts: Accounts, over: Partial<MspOptions> = {}) {
  const clock = createSimulatedClock({ startMs });
  const directory = { registry: () => Promise.resolve(registry) };
  const common = { id: msps[0].id, signer: mspSigners[0], accounts, directory, clock, random };
  return { clock, msp: createMsp({ ...common, answerStepMs: 0, ...over }) };
}
const reached = accountsOf([csi]);
const refusal = async (call: Promise<unknown>) => {
  try {
    await call;
    return "drafted";
  } catch (error) {
    if (!isDiscoveryError(error)) throw error;
    return String(error);
  }
};

describe("createMsp", () => {
  it("drafts for a reachable account", async () => {
    const draft = await bench(reached).msp.draft(request);
    expect(verifyMspSide(readMapping(draft), { registry, verifier: nodeVerifier }).id).to.equal(
      "wire.example",
    );
  });

  it("refuses alike a stranger and a bad credential, and asks the accounts only for a good one", async () => {
    const asked: Csi[] = [];
    const accounts: Accounts = {
      isReachable: (of) => {
        asked.push(of);
        return Promise.resolve(false);
      },
    };
    const { msp } = bench(accounts);
    const stranger = await refusal(msp.draft(request));
    expect(asked).to.deep.equal([csi]);
    const forged = await refusal(msp.draft({ ...request, opening: fixedBytes("other") }));
    expect(asked).to.have.length(1);
    expect(forged).to.equal(stranger).and.include("NOT_REACHABLE_HERE");
  });

  it("answers at the same time whether it drafts, knows nobody or is shown a bad credential", async () => {
    const slow =
      (reachable: boolean, ms: number) =>
      (clock: ReturnType<typeof createSimulatedClock>): Accounts => ({
        isReachable: async () => {
          await clock.sleep(ms);
          return reachable;
        },
      });
    const times: number[] = [];
    for (const [accounts, opens] of [
      [slow(true, 30), opening],
      [slow(false, 5), opening],
      [slow(true, 0), fixedBytes("other")],
    ] as const) {
      const clock = createSimulatedClock({ startMs });
      const { msp } = bench(accounts(clock), { clock, answerStepMs: 50 });
      let answeredMs: number | undefined;
      const answer = refusal(msp.draft({ ...request, opening: opens })).then(() => {
        answeredMs = clock.nowMs() - startMs;
      });
      for (let ms = 0; answeredMs === undefined && ms < 200; ms += 5) await clock.advance(5);
      await answer;
      times.push(answeredMs!);
    }
    expect(times).to.deep.equal([50, 50, 50]);
  });

  it("UNKNOWN_MSP: one that the registry does not accredit", async () => {
    const directory = {
      registry: () =>
        Promise.resolve(makeRegistrationParties({ nowSeconds, unregistered: ["msp0"] }).registry),
    };
    expect(await refusal(bench(reached, { directory }).msp.draft(request))).to.include(
      "UNKNOWN_MSP",
    );
  });

  it("refuses a step that no one would wait for", () => {
    for (const answerStepMs of [-1, 10_001, Number.NaN]) {
      expect(() => bench(reached, { answerStepMs })).to.throw(TypeError);
    }
  });
});
