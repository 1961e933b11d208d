// decideRegistration and settleRegistration: what stands against what is asked. The first decision,
// which needs no slot, has its table in dp.test.ts.

import { expect } from "chai";
import { limits, type ErrorCode, type SignedObject, type Statement } from "@whither/protocol";
import {
  decodeAcceptance,
  decodePromise,
  decodeSlotBody,
  decodeStatement,
  encodeSlotBody,
} from "@whither/wire";
import type { Signer } from "@whither/crypto/node";
import { nodeVerifier, payloadSha256, verifySlot } from "@whither/zone";
import {
  createSeededRandom,
  fixedBytes,
  fixedSigner,
  makeCredential,
  makeMapping,
  makeRegistrationParties,
  makeStatement,
  outcomeOf,
  type RegistrationParties,
} from "@whither/testkit";
import { checkRegistration, decideRegistration, type RegistrationDecision } from "./dp.js";
import { makeOffer } from "./offer.js";
import { settleRegistration, type SettledRegistration } from "./receipt.js";

const day = 86_400;
const parties = makeRegistrationParties();
const now = parties.nowSeconds;
const { zone, csi, manifest, holder, otherHolder } = parties;
const offerKey = fixedBytes("offer key");
const random = createSeededRandom(4);
const offer = (nowSeconds = now) =>
  makeOffer({ key: offerKey, zone, nowSeconds, randomBytes: (n) => random.bytes(n) }).nonceD;

interface Ask {
  readonly world?: RegistrationParties;
  /** MSPs of the mappings to name, in order; the mapping of `add` is new, the others stand. */
  readonly names: readonly SignedObject[];
  readonly add?: SignedObject;
  readonly credential?: SignedObject;
  readonly seq?: number;
  readonly nonceD?: Uint8Array;
  readonly holder?: Signer;
  readonly fields?: Partial<Statement>;
  readonly current?: Uint8Array;
  readonly used?: boolean;
  readonly statement?: SignedObject;
}

function decide(ask: Ask): {
  readonly decision: RegistrationDecision;
  readonly settle: () => SettledRegistration;
  readonly statement: SignedObject;
} {
  const world = ask.world ?? parties;
  const { registry, dp, nowSeconds, opening } = world;
  const statement =
    ask.statement ??
    makeStatement(world, {
      mappings: ask.names,
      holder: ask.holder ?? holder,
      fields: { seq: ask.seq ?? 1, nonceD: ask.nonceD ?? offer(nowSeconds), ...ask.fields },
    });
  const added =
    ask.add === undefined
      ? {}
      : { added: { mapping: ask.add, credential: ask.credential ?? credential, opening } };
  const context = { manifest, dp, registry, nowSeconds };
  const checked = checkRegistration(
    { zone, csi, statement, ...added },
    { ...context, verifier: nodeVerifier },
  );
  const isUsed = () => ask.used ?? false;
  const decision = decideRegistration({
    ...context,
    checked,
    current: ask.current,
    offerKey,
    isUsed,
  });
  const signer = world.zoneSigner;
  const settle = () => settleRegistration({ decision, checked, manifest, signer, nowSeconds });
  return { decision, settle, statement };
}

const credential = makeCredential(parties);
const wire = makeMapping(parties, { credential, msp: 0 });
const video = makeMapping(parties, { credential, msp: 1 });
const wireAgain = makeMapping(parties, {
  credential,
  msp: 0,
  fields: { nonceM: fixedBytes("again") },
});
const first = decide({ names: [wire], add: wire, seq: 5 });
const one = first.settle().plaintext;
const two = decide({ names: [wire, video], add: video, seq: 6, current: one }).settle().plaintext;
const gone = decide({ names: [], seq: 7, current: two }).settle().plaintext;
const read = (plaintext: Uint8Array) => {
  const { dp, registry } = parties;
  return verifySlot({
    csi,
    zone,
    manifest,
    dp,
    registry,
    plaintext,
    nowSeconds: now,
    verifier: nodeVerifier,
  });
};
const outcome = (ask: Ask) => outcomeOf(() => decide(ask));

describe("a first mapping", () => {
  it("stands in a slot that every verifier takes", () => {
    expect(read(one).mappings.map((m) => m.mspId)).to.deep.equal(["wire.example"]);
    expect(first.decision).to.include({ kind: "place" });
    expect(first.decision).to.deep.include({ bits: [0] });
  });

  it("is answered by an acceptance and a promise of one minute, dated now", () => {
    const { acceptance, promise } = first.settle();
    expect(decodeAcceptance(acceptance!.payload)).to.deep.equal({
      zone,
      mappingSha256: payloadSha256(wire),
      acceptedAt: now,
    });
    expect(decodePromise(promise.payload)).to.deep.equal({
      zone,
      statementSha256: payloadSha256(first.statement),
      acceptedAt: now,
      by: now + 60,
    });
  });
});

describe("a further MSP of the same holder key", () => {
  it("joins what stands, in the statement's order, and leaves its acceptance alone", () => {
    const later = makeRegistrationParties({ nowSeconds: now + day });
    const fresh = makeMapping(later, { credential, msp: 1, fields: { notAfter: now + 40 * day } });
    const next = decide({
      world: { ...later, manifest },
      names: [fresh, wire],
      add: fresh,
      seq: 6,
      current: one,
    });
    const settled = next.settle();
    const body = decodeSlotBody(settled.plaintext);
    expect(body.mappings.map((m) => payloadSha256(m.mapping))).to.deep.equal(
      [fresh, wire].map(payloadSha256),
    );
    expect(body.mappings[1]).to.deep.equal(decodeSlotBody(one).mappings[0]);
    expect(body.mappings[0]!.acceptance).to.deep.equal(settled.acceptance);
    expect(next.decision).to.deep.include({ bits: [0, 5] });
  });

  it("may replace what stands by not naming it", () => {
    const settled = decide({ names: [video], add: video, seq: 6, current: one }).settle();
    expect(read(settled.plaintext).presentMsps).to.deep.equal(["video.example"]);
  });
});

describe("order, tags and removal", () => {
  it("change without a mapping and without an acceptance", () => {
    const settled = decide({ names: [video, wire], seq: 7, current: two }).settle();
    expect(settled).to.not.have.property("acceptance");
    expect(read(settled.plaintext).mappings.map((m) => m.mspId)).to.deep.equal([
      "video.example",
      "wire.example",
    ]);
  });

  it("drop one mapping of two", () => {
    const settled = decide({ names: [video], seq: 7, current: two }).settle();
    expect(read(settled.plaintext).presentMsps).to.deep.equal(["video.example"]);
  });

  it("remove all: the slot leaves the tree, its statement stays as a receipt", () => {
    const { decision, settle, statement } = decide({ names: [], seq: 7, current: two });
    expect(decision.kind).to.equal("remove");
    expect(decodeSlotBody(settle().plaintext)).to.deep.equal({
      statement,
      mappings: [],
      links: [],
    });
  });

  it("a mapping that stands is named anew with the acceptance it has", () => {
    const settled = decide({ names: [wire], add: wire, seq: 7, current: two }).settle();
    expect(settled.acceptance).to.deep.equal(decodeSlotBody(two).mappings[0]!.acceptance);
    expect(decodeSlotBody(settled.plaintext).mappings).to.have.length(1);
  });
});

describe("the identical statement again", () => {
  const again = { names: [], add: wire, statement: first.statement, current: one };

  it("is answered as before and writes nothing", () => {
    const { decision, settle } = decide(again);
    expect(decision.kind).to.equal("unchanged");
    expect(settle().acceptance).to.deep.equal(first.settle().acceptance);
    expect(settle().plaintext).to.deep.equal(one);
  });

  it("is answered after its offer was used, and after it expired", () => {
    expect(decide({ ...again, used: true }).decision.kind).to.equal("unchanged");
    const world = { ...parties, nowSeconds: now + limits.offerSeconds };
    const { add: _, ...order } = again;
    expect(decide({ ...order, world }).decision.kind).to.equal("unchanged");
  });

  it("is answered for a removal too", () => {
    const statement = decodeSlotBody(gone).statement;
    expect(decide({ names: [], statement, current: gone }).decision.kind).to.equal("unchanged");
  });
});

describe("refusals", () => {
  const otherCredential = makeCredential(parties, {
    fields: { holderPublicKey: otherHolder.publicKey },
  });
  const othersWire = makeMapping(parties, { credential: otherCredential, holder: otherHolder });
  const newcomer = {
    names: [othersWire],
    add: othersWire,
    credential: otherCredential,
    holder: otherHolder,
  };
  const after = (seconds: number): RegistrationParties => ({
    ...makeRegistrationParties({ nowSeconds: now + seconds }),
    manifest,
  });
  const withoutWire = {
    ...parties,
    registry: makeRegistrationParties({ unregistered: ["msp0"] }).registry,
  };
  const usedNonce = decodeSlotBody(two).statement;

  const cases: readonly [ErrorCode | "ok", string, Ask][] = [
    [
      "BAD_OFFER",
      "an offer that nobody made",
      { names: [wire], add: wire, nonceD: new Uint8Array(48) },
    ],
    [
      "BAD_OFFER",
      "an expired offer",
      { names: [wire], add: wire, nonceD: offer(now - limits.offerSeconds) },
    ],
    [
      "BAD_OFFER",
      "an offer of another zone",
      {
        names: [wire],
        add: wire,
        nonceD: makeOffer({
          key: offerKey,
          zone: "gb@dp-a.example" as typeof zone,
          nowSeconds: now,
          randomBytes: (n) => random.bytes(n),
        }).nonceD,
      },
    ],
    ["REPLAYED", "a nonce used elsewhere", { names: [wire], add: wire, used: true }],
    ["STALE_SEQUENCE", "the same seq", { names: [wire, video], seq: 6, current: two }],
    ["STALE_SEQUENCE", "a lower seq", { names: [wire], seq: 5, current: two }],
    [
      "STALE_SEQUENCE",
      "a removal with a lower seq",
      { names: [], seq: 1, current: two, fields: { csiCommits: [] } },
    ],
    [
      "STALE_SEQUENCE",
      "a seq from before the removal",
      { names: [wire], add: wire, seq: 7, current: gone },
    ],
    ["ok", "a newer seq after the removal", { names: [wire], add: wire, seq: 8, current: gone }],
    ["INCUMBENT", "a second holder key", { ...newcomer, seq: 99, current: one }],
    ["ok", "a second holder key after a removal", { ...newcomer, current: gone }],
    ["ok", "a second holder key where nobody is", newcomer],
    [
      "BAD_STATEMENT",
      "a new mapping that is not named",
      { names: [wire], add: video, seq: 7, current: one },
    ],
    [
      "BAD_STATEMENT",
      "a removal that brings a mapping",
      { names: [], add: video, seq: 7, current: one },
    ],
    ["BAD_STATEMENT", "a named mapping that stands nowhere", { names: [wire, video], add: wire }],
    [
      "BAD_STATEMENT",
      "two mappings of one MSP",
      { names: [wire, wireAgain], add: wireAgain, seq: 7, current: one },
    ],
    [
      "BAD_STATEMENT",
      "a commitment of no mapping",
      { names: [wire], add: wire, fields: { csiCommits: [fixedBytes("x")] } },
    ],
    [
      "BAD_STATEMENT",
      "a removal without commitments",
      { names: [], seq: 7, current: two, fields: { csiCommits: [] } },
    ],
    [
      "BAD_STATEMENT",
      "a removal meant for another identifier",
      { names: [], seq: 7, current: two, fields: { csiCommits: [fixedBytes("x")] } },
    ],
    ["BAD_STATEMENT", "a removal after the removal", { names: [], seq: 8, current: gone }],
    [
      "UNKNOWN_MSP",
      "keeps a mapping whose MSP has left",
      { world: withoutWire, names: [wire, video], seq: 7, current: two },
    ],
    [
      "ok",
      "drops a mapping whose MSP has left",
      { world: withoutWire, names: [video], seq: 7, current: two },
    ],
    [
      "EXPIRED",
      "keeps an expired mapping",
      { world: after(40 * day + 300), names: [wire], seq: 7, current: one },
    ],
    [
      "ok",
      "removes an expired mapping",
      { world: after(40 * day + 300), names: [], seq: 7, current: one },
    ],
    [
      "STORE_CORRUPT",
      "what stands does not parse",
      { names: [wire], add: wire, current: Uint8Array.of(255) },
    ],
  ];
  for (const [code, title, ask] of cases) {
    it(`${code}: ${title}`, () => expect(outcome(ask)).to.equal(code));
  }

  it("REPLAYED: the nonce of the statement that stands", () => {
    const nonceD = decodeStatementNonce(usedNonce);
    expect(outcome({ names: [wire], seq: 9, nonceD, current: two })).to.equal("REPLAYED");
  });

  it("gives way to a second holder key only once the last mapping has expired", () => {
    const world = (seconds: number) => after(seconds);
    const claim = (seconds: number): Ask => {
      const then = world(seconds);
      const proof = makeCredential(then, { fields: { holderPublicKey: otherHolder.publicKey } });
      const mapping = makeMapping(then, { credential: proof, holder: otherHolder });
      return {
        world: then,
        names: [mapping],
        add: mapping,
        credential: proof,
        holder: otherHolder,
        current: one,
      };
    };
    expect(outcome(claim(40 * day + limits.clockSkewSeconds - 1))).to.equal("INCUMBENT");
    expect(outcome(claim(40 * day + limits.clockSkewSeconds))).to.equal("ok");
  });

  it("tells who has proved nothing the same about an empty slot and about a stranger's", () => {
    const stranger = { names: [wire], holder: fixedSigner("stranger") };
    const textOf = (ask: Ask): string => {
      try {
        decide(ask);
        return "accepted";
      } catch (error) {
        return String(error);
      }
    };
    const texts = [
      textOf(stranger),
      textOf({ ...stranger, current: one }),
      textOf({ ...stranger, current: gone }),
      textOf({ ...stranger, names: [], current: two }),
      textOf({ ...stranger, names: [] }),
    ];
    expect(new Set(texts).size, texts.join("; ")).to.equal(1);
    expect(texts[0]).to.include("BAD_STATEMENT");
  });

  it("SLOT_FULL: bodies beyond the largest size class", () => {
    const long = "x".repeat(200);
    const big = (object: SignedObject): SignedObject => ({
      payload: object.payload,
      signatures: Array.from({ length: 16 }, () => object.signatures[0]!),
    });
    const { statement, mappings } = decodeSlotBody(one);
    const [entry] = mappings;
    const padded = encodeSlotBody({
      statement,
      mappings: [
        {
          ...entry!,
          credential: { payload: new Uint8Array(15_000), signatures: [] },
          acceptance: big(entry!.acceptance),
        },
      ],
    });
    const tagged: Partial<Statement> = {
      items: [wire, video].map((mapping, i) => ({
        mappingSha256: payloadSha256(mapping),
        preference: i,
        tags: [long.slice(0, 64)],
      })),
    };
    const asked = decide({
      names: [wire, video],
      add: video,
      seq: 7,
      current: padded,
      fields: tagged,
    });
    expect(outcomeOf(asked.settle)).to.equal("SLOT_FULL");
  });

  it("eight mappings of distinct MSPs fit the largest class with room", () => {
    expect(one.length * 8).to.be.lessThan(16_384 - 4);
  });
});

function decodeStatementNonce(object: SignedObject): Uint8Array {
  return decodeStatement(object.payload).nonceD;
}
