// Whose mappings count when several DPs show several keys (protocol.md section 5, "Across DPs"; ADR 38).

import { expect } from "chai";
import { encodeSlotBody } from "@whither/wire";
import {
  limits,
  parseCsi,
  parseDpId,
  parseMspId,
  parseZoneName,
  type SlotKeyLink,
} from "@whither/protocol";
import {
  fixedSigner,
  makeAcceptance,
  makeCredential,
  makeKeyLink,
  makeMapping,
  makeRegistrationParties,
  makeStatement,
  type RegistrationParties,
} from "@whither/testkit";
import { createRegistry, nodeVerifier, type SignatureVerifier } from "@whither/zone";
import type { Answer } from "./answer.js";
import { contactOf, ScriptedZone, scriptedWorld } from "./scripted-zone.test.js";

const parties = makeRegistrationParties();
const { csi, nowSeconds } = parties;
const keys = ["one", "two", "three", "four"].map((name) => fixedSigner(`holder ${name}`));
const [one, two, three, four] = [keys[0]!, keys[1]!, keys[2]!, keys[3]!];
type Signer = typeof one;

const places = ["dp-a.example", "dp-b.example", "dp-c.example"].map((host): RegistrationParties => {
  const zone = parseZoneName(`us@${host}`);
  const dp = { ...parties.dp, id: parseDpId(host), operator: `Operator of ${host}` };
  return { ...makeRegistrationParties({ manifest: { zone }, dp }), zone };
});
const registry = createRegistry(
  [...places.map(({ dp }) => dp), ...parties.msps, parties.prover],
  1,
);
const link = (from: Signer, to: Signer, knobs: Parameters<typeof makeKeyLink>[1] = {}) =>
  makeKeyLink(parties, { from, to, ...knobs });

interface Slot {
  readonly holder: Signer;
  readonly msp?: 0 | 1;
  readonly level?: number;
  readonly seq?: number;
  readonly portedTo?: string;
  readonly links?: readonly SlotKeyLink[];
  readonly csi?: typeof csi;
}

function contact(at: RegistrationParties, slot: Slot) {
  const { holder, msp = 0, level = 1, seq = 1, portedTo = "", links = [] } = slot;
  const whose = { ...at, holder, csi: slot.csi ?? csi };
  return contactOf(whose, {
    credential: makeCredential(whose, { fields: { level } }),
    mapping: { msp },
    statement: { fields: { seq, portedTo } },
    links,
    bits: [msp === 0 ? 0 : 5],
  });
}

/** One DP for each list of slots. */
async function worldOf(slots: readonly (readonly Slot[])[], verifier?: SignatureVerifier) {
  const zones = slots.map((own, n) => {
    const at = places[n]!;
    const contacts = own.map((slot) => contact(at, slot));
    return new ScriptedZone({ parties: at, contacts, host: at.dp.id, fillers: 20 });
  });
  const options = verifier === undefined ? {} : { verifier };
  return { zones, ...(await scriptedWorld({ zones, registry, ...options })) };
}

function told({ mappings, dps, warnings, errors }: Answer) {
  return {
    msps: mappings.map(({ msp }) => msp).join(" "),
    dps: dps.map(({ outcome }) => outcome).join(" "),
    warnings: warnings.map(({ code }) => code),
    errors: errors.map(({ code }) => code),
  };
}

const lookup = async (...slots: readonly (readonly Slot[])[]) => {
  const { resolver } = await worldOf(slots);
  return told(await resolver.lookup(csi));
};
const conflict = {
  msps: "wire.example",
  dps: "present conflict",
  warnings: ["CONFLICT"],
  errors: [],
};
const bogus = { msps: "wire.example", dps: "present failed", warnings: [], errors: ["BOGUS"] };

describe("one person with a key at each of two DPs", () => {
  const stronger: Slot = { holder: one, msp: 0, level: 2 };
  const weaker: Slot = { holder: two, msp: 1 };
  const joined = {
    msps: "video.example wire.example",
    dps: "present present",
    warnings: [],
    errors: [],
  };

  it("is two holders without a link: the stronger counts", async () => {
    expect(await lookup([stronger], [weaker])).to.deep.equal(conflict);
  });

  it("is one holder by a link, whichever key let the other in and whichever slot shows it", async () => {
    for (const links of [[link(one, two)], [link(two, one)]]) {
      const newer = { ...weaker, seq: 2 };
      expect(await lookup([{ ...stronger, links }], [newer])).to.deep.equal(joined);
      expect(await lookup([stronger], [{ ...newer, links }])).to.deep.equal(joined);
    }
  });

  it("is one holder over a key that has no slot, each slot showing its end of the way", async () => {
    const here = { ...stronger, links: [link(one, three)] };
    const there = { ...weaker, seq: 2, links: [link(three, two)] };
    expect(await lookup([here], [there])).to.deep.equal(joined);
  });

  it("is one holder by a third slot that joins two", async () => {
    const third: Slot = { holder: three, seq: 3, links: [link(one, three), link(two, three)] };
    const answer = await lookup([stronger], [{ ...weaker, seq: 2 }], [third]);
    expect(answer).to.deep.include({ msps: "wire.example video.example", warnings: [] });
    expect(answer.dps).to.equal("present present present");
  });

  const useless: readonly [string, SlotKeyLink][] = [
    [
      "which only the claimant signed, to be taken for the other",
      link(two, one, { signedBy: [two] }),
    ],
    ["which only the claimant signed, as if let in", link(one, two, { signedBy: [two] })],
    ["of another identifier", link(one, two, { csi: parseCsi("+14155550199") })],
    ["between two others", link(three, four)],
  ];
  for (const [title, forged] of useless) {
    it(`gains nothing by a link ${title}: that slot is bogus`, async () => {
      const slot = { ...weaker, seq: 2, links: [forged] };
      expect(await lookup([stronger], [slot])).to.deep.equal(bogus);
    });
  }

  it("is still another holder by a good link to a third key", async () => {
    const slot = { ...weaker, seq: 2, links: [link(two, three)] };
    expect(await lookup([stronger], [slot])).to.deep.equal(conflict);
  });
});

describe("a holder's other key", () => {
  const changed = async (links: readonly SlotKeyLink[]) => {
    const { zones, resolver, clock } = await worldOf([[{ holder: one }]]);
    await resolver.lookup(csi);
    const next = contact(places[0]!, { holder: two, seq: 2, links });
    zones[0]!.publish(nowSeconds + 3_700, [next]);
    await clock.advance(3_700_000);
    return told(await resolver.lookup(csi)).warnings;
  };

  it("is no other holder's if a link joins it to the one that was remembered", async () => {
    expect(await changed([link(one, two)])).to.deep.equal([]);
    expect(await changed([link(one, three), link(three, two)].toReversed())).to.deep.equal([]);
  });

  it("is warned of where no link does", async () => {
    expect(await changed([])).to.deep.equal(["HOLDER_KEY_CHANGED"]);
    expect(await changed([link(two, three)])).to.deep.equal(["HOLDER_KEY_CHANGED"]);
  });

  it("may be the one where the holder moved to", async () => {
    const to = parseCsi("+14155550124");
    const moved = (links: readonly SlotKeyLink[]) =>
      worldOf([
        [
          { holder: one, portedTo: to },
          { holder: two, msp: 1, csi: to, links },
        ],
      ]);
    const linked = makeKeyLink(parties, { from: one, to: two, csi: to });
    for (const [links, outcome] of [
      [[linked], "followed"],
      [[], "conflict"],
    ] as const) {
      const { resolver } = await moved(links);
      expect((await resolver.lookup(csi)).ports.map((step) => step.outcome)).to.deep.equal([
        outcome,
      ]);
    }
  });
});

function countingVerifier(): SignatureVerifier & { verifications: number } {
  return {
    verifications: 0,
    verify(check) {
      this.verifications += 1;
      return nodeVerifier.verify(check);
    },
  };
}

describe("what links cost a reader", () => {
  const lookupCounting = async (links: readonly SlotKeyLink[]) => {
    const counted = countingVerifier();
    const { resolver } = await worldOf([[{ holder: one, links }]], counted);
    const outcome = await resolver.lookup(csi).then(
      ({ status }) => status,
      (error: unknown) => error,
    );
    return { outcome, verifications: counted.verifications };
  };

  it("is two verifications each, three links a slot; a fourth is refused before any is verified", async () => {
    const chain = [link(one, two), link(two, three), link(three, four)];
    const without = await lookupCounting([]);
    const with3 = await lookupCounting(chain);
    expect(with3).to.deep.equal({ outcome: "found", verifications: without.verifications + 6 });
    const with4 = await lookupCounting([...chain, link(four, fixedSigner("holder five"))]);
    expect(with4.outcome).to.have.property("code", "BOGUS");
    expect(with4.verifications).to.be.below(without.verifications);
  });

  it("leaves room for the largest slot: eight mappings of four keys, three links, no signature twice", async () => {
    const at = places[0]!;
    const registered = Array.from({ length: limits.mappingsPerSlotMax }, (_, n) => {
      const signer = fixedSigner(`msp ${n}`);
      const record = {
        ...at.msps[0],
        id: parseMspId(`msp${n}.example`),
        bit: n,
        keys: [{ ...at.msps[0].keys[0]!, publicKey: signer.publicKey }],
      };
      return { signer, record };
    });
    const mappings = registered.map(({ signer, record }, n) => {
      const holder = keys[n % keys.length]!;
      const issued = nowSeconds - 60 - n;
      const fields = { issued, firstProvedAt: issued, expires: issued + 45 * 86_400 };
      const credential = makeCredential({ ...at, holder }, { fields });
      const mapping = makeMapping(at, {
        credential,
        holder,
        mspSigner: signer,
        fields: { mspId: record.id },
      });
      const acceptance = makeAcceptance(at, { mapping });
      return { mapping, credential, opening: at.opening, acceptance };
    });
    const statement = makeStatement(at, {
      holder: one,
      mappings: mappings.map(({ mapping }) => mapping),
    });
    const links = [link(one, two), link(two, three), link(three, four)];
    const plaintext = encodeSlotBody({ statement, mappings, links });
    const bits = registered.map((_, n) => n);
    const zone = new ScriptedZone({ parties: at, contacts: [{ csi, plaintext, bits }] });
    const msps = registered.map(({ record }) => record);
    const counted = countingVerifier();
    const { resolver } = await scriptedWorld({
      zones: [zone],
      registry: createRegistry([at.dp, ...msps, at.prover], 1),
      verifier: counted,
    });
    const answer = await resolver.lookup(csi);
    expect(answer.mappings.map(({ msp }) => msp)).to.deep.equal(msps.map(({ id }) => id));
    // Head and statement, two under each link, four under each mapping.
    expect(counted.verifications).to.equal(2 + 2 * 3 + 4 * 8);
  });
});
