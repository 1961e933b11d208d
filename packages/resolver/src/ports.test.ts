// `ported_to` followed (protocol.md sections 6 and 7): what counts, what is refused, and what each step shows.

import { expect } from "chai";
import { DiscoveryError, limits, parseCsi, parseZoneName, type Csi } from "@whither/protocol";
import { fixedSigner, makeRegistrationParties, type RegistrationParties } from "@whither/testkit";
import { createRegistry } from "@whither/zone";
import type { Answer } from "./answer.js";
import { contactOf, ScriptedZone, scriptedWorld } from "./scripted-zone.test.js";

const parties = makeRegistrationParties();
const { nowSeconds } = parties;
const numbers = Array.from({ length: 8 }, (_, n) => parseCsi(`+1415555012${n}`));
const [one, two] = [numbers[0]!, numbers[1]!];
const [old, other] = [parties.zone, parseZoneName("us@dp-b.example")];

interface Slot {
  readonly csi?: Csi;
  readonly to?: string;
  /** 0 wire.example, 1 video.example; 0 unless told. */
  readonly msp?: 0 | 1;
  readonly seq?: number;
  readonly notBefore?: number;
  readonly notAfter?: number;
  readonly holder?: "other";
}

/** What the holder of one key placed in a zone. */
function slotOf(at: RegistrationParties, slot: Slot) {
  const { csi = one, to: portedTo = "", msp = 0, seq = 1 } = slot;
  const { notBefore = nowSeconds, notAfter = nowSeconds + 90 * 86_400 } = slot;
  const whose = { ...at, csi };
  const holder = slot.holder === undefined ? at.holder : fixedSigner("another holder");
  const fields = { portedTo, seq, notBefore, notAfter };
  return contactOf(
    { ...whose, holder },
    { mapping: { msp }, statement: { fields }, bits: [msp === 0 ? 0 : 5] },
  );
}

/** One DP, and with `there` another one beside it. */
async function worldOf(here: readonly Slot[], there?: readonly Slot[]) {
  const first = new ScriptedZone({
    parties,
    contacts: here.map((slot) => slotOf(parties, slot)),
    fillers: 40,
  });
  const dp = { ...parties.dp, id: "dp-b.example" as typeof parties.dp.id, operator: "Operator B" };
  const theirs = { ...makeRegistrationParties({ manifest: { zone: other }, dp }), zone: other };
  const second = new ScriptedZone({
    parties: theirs,
    contacts: (there ?? []).map((slot) => slotOf(theirs, slot)),
    fillers: 40,
    host: "dp-b.example",
  });
  const registry = createRegistry([parties.dp, theirs.dp, ...parties.msps, parties.prover], 1);
  const zones = there === undefined ? [first] : [first, second];
  return { first, second, ...(await scriptedWorld({ zones, registry })) };
}

function told(answer: Answer) {
  return {
    msps: answer.mappings.map(({ msp }) => msp),
    steps: answer.ports.map(({ to, outcome }) => `${to} ${outcome}`),
    errors: answer.errors.map(({ code }) => code),
    complete: `${answer.complete.answered} of ${answer.complete.asked}`,
  };
}

describe("ported_to", () => {
  it("to another identifier: the answer is from there, with the step, both DPs' parts and the sooner end", async () => {
    const { resolver } = await worldOf([
      { csi: one, to: two, notAfter: nowSeconds + 600 },
      { csi: two, msp: 1 },
    ]);
    const answer = await resolver.lookup(one);
    expect(told(answer)).to.deep.equal({
      msps: ["video.example"],
      steps: [`${two} followed`],
      errors: [],
      complete: "2 of 2",
    });
    expect(answer).to.include({ status: "found", portedTo: two, ttlSeconds: 600 });
    expect(answer.choice?.msp).to.equal("video.example");
    expect(answer.ports[0]?.zone).to.equal(old);
    expect(answer.dps.map(({ csi, outcome }) => [csi, outcome])).to.deep.equal([
      [undefined, "present"],
      [two, "present"],
    ]);
    expect(answer.hops.map(({ learnt }) => learnt)).to.include("ported to another identifier");
    expect((await resolver.lookup(two)).ports).to.deep.equal([]);
  });

  it("to another zone that the directory names: only that one's slot counts, and nobody is asked twice", async () => {
    const { resolver, second } = await worldOf([{ to: other, seq: 3 }], [{ msp: 1, seq: 2 }]);
    const answer = await resolver.lookup(one);
    expect(told(answer)).to.deep.equal({
      msps: ["video.example"],
      steps: [`${other} followed`],
      errors: [],
      complete: "2 of 2",
    });
    expect(answer.proof.zone).to.equal(other);
    expect(second.asked.filter(({ kind }) => kind === "evaluate")).to.have.length(1);
  });

  it("leaves the old zone's list behind once the new zone holds the newer statement", async () => {
    const { resolver } = await worldOf([{ to: other, seq: 2 }], [{ msp: 1, seq: 3 }]);
    expect(told(await resolver.lookup(one))).to.deep.include({
      msps: ["video.example"],
      steps: [],
    });
  });

  it("is followed 4 times, and then the last answer stands", async () => {
    const chain = numbers.map((csi, n): Slot => ({
      csi,
      to: numbers[n + 1] ?? "",
      msp: n === 4 ? 1 : 0,
    }));
    const { resolver, first } = await worldOf(chain);
    const answer = await resolver.lookup(one);
    expect(told(answer)).to.deep.equal({
      msps: ["video.example"],
      steps: [...numbers.slice(1, 5).map((csi) => `${csi} followed`), `${numbers[5]} BUDGET`],
      errors: ["BUDGET"],
      complete: "5 of 5",
    });
    expect(first.asked.length).to.be.at.most(limits.queryRpcsMax);
  });

  it("is followed as often as the caller wishes; what was not followed for that is not kept for others", async () => {
    const { resolver } = await worldOf([
      { csi: one, to: two },
      { csi: two, msp: 1 },
    ]);
    const stays = await resolver.lookup(one, { maxHops: 0 });
    expect(told(stays)).to.deep.include({ msps: ["wire.example"], steps: [`${two} BUDGET`] });
    expect(told(await resolver.lookup(one))).to.deep.include({ msps: ["video.example"] });
  });

  const refusals: readonly {
    readonly title: string;
    readonly here: readonly Slot[];
    readonly there?: readonly Slot[];
    readonly steps: readonly string[];
    readonly errors?: readonly string[];
    readonly complete?: string;
  }[] = [
    {
      title: "to itself",
      here: [{ to: one }],
      steps: [`${one} BAD_STATEMENT`],
      errors: ["BAD_STATEMENT"],
    },
    {
      title: "in a circle",
      here: [{ to: two }, { csi: two, to: one }],
      steps: [`${two} followed`, `${one} BAD_STATEMENT`],
      errors: ["BAD_STATEMENT"],
      complete: "2 of 2",
    },
    {
      title: "to a zone that sends back",
      here: [{ to: other, seq: 3 }],
      there: [{ to: old, seq: 2 }],
      steps: [`${other} followed`, `${old} BAD_STATEMENT`],
      errors: ["BAD_STATEMENT"],
      complete: "2 of 2",
    },
    {
      title: "to where another holder is",
      here: [{ to: two }, { csi: two, msp: 1, holder: "other" }],
      steps: [`${two} conflict`],
      complete: "2 of 2",
    },
    {
      title: "to a zone where another holder is",
      here: [{ to: other }],
      there: [{ msp: 1, holder: "other" }],
      steps: [`${other} conflict`],
      complete: "2 of 2",
    },
    {
      title: "to where nobody is",
      here: [{ to: two }],
      steps: [`${two} absent`],
      complete: "2 of 2",
    },
    {
      title: "to a zone that proves it absent",
      here: [{ to: other }],
      there: [],
      steps: [`${other} absent`],
      complete: "2 of 2",
    },
    {
      title: "to a zone that the directory does not name",
      here: [{ to: "it@dp-z.example" }],
      steps: ["it@dp-z.example NOT_AUTHORITATIVE"],
      errors: ["NOT_AUTHORITATIVE"],
    },
  ];
  for (const { title, here, there, steps, errors = [], complete = "1 of 1" } of refusals) {
    it(`${title} is not followed, and what the holder left stands`, async () => {
      const { resolver } = await worldOf(here, there);
      const answer = await resolver.lookup(one);
      expect(told(answer)).to.deep.equal({ msps: ["wire.example"], steps, errors, complete });
    });
  }

  it("counts only with a mapping that counts: a statement past its end sends nobody anywhere", async () => {
    const { resolver } = await worldOf([
      { csi: one, to: two, notBefore: nowSeconds - 900, notAfter: nowSeconds - 400 },
      { csi: two, msp: 1 },
    ]);
    const answer = await resolver.lookup(one);
    expect([answer.status, answer.ports]).to.deep.equal(["none", []]);
  });

  it("is not seen in the compact form, which shows what stands where was asked", async () => {
    const { resolver, first } = await worldOf([
      { csi: one, to: two },
      { csi: two, msp: 1 },
    ]);
    const answer = await resolver.lookup(one, { form: "compact" });
    expect([answer.mappings.map(({ msp }) => msp), answer.ports]).to.deep.equal([
      ["wire.example"],
      [],
    ]);
    expect(first.asked.filter(({ kind }) => kind === "evaluate")).to.have.length(1);
  });

  it("that fails now does not hide what it led to before", async () => {
    const { resolver, second, clock } = await worldOf(
      [{ to: other, seq: 3 }],
      [{ msp: 1, seq: 2 }],
    );
    await resolver.lookup(one);
    await clock.advance(3_600_001);
    second.lies.fail = () => new DiscoveryError("NOT_AUTHORITATIVE", "lame");
    const answer = await resolver.lookup(one);
    expect(told(answer)).to.deep.include({ msps: ["video.example"], steps: [`${other} followed`] });
    expect(answer.warnings.map(({ code }) => code)).to.deep.equal(["STALE"]);
  });
});
