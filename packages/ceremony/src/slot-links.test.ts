// Registrations of a holder with several keys: what a link lets a key do at the DP, and what it does not (ADR 38).

import { expect } from "chai";
import fc from "fast-check";
import {
  limits,
  parseCsi,
  type ErrorCode,
  type SignedObject,
  type SlotKeyLink,
} from "@whither/protocol";
import { decodeKeyLink, decodeSlotBody } from "@whither/wire";
import type { Signer } from "@whither/crypto/node";
import { joinKeys, nodeVerifier, sealPublicSlot, verifySlot } from "@whither/zone";
import {
  createSeededRandom,
  fixedBytes,
  fixedSigner,
  makeCredential,
  makeKeyLink,
  makeMapping,
  makeRegistrationParties,
  makeStatement,
  outcomeOf,
  type RegistrationParties,
} from "@whither/testkit";
import { checkRegistration, decideRegistration } from "./dp.js";
import { makeOffer } from "./offer.js";
import { settleRegistration } from "./receipt.js";
import { joinLinks } from "./slot-links.js";

const day = 86_400;
const parties = makeRegistrationParties();
const { zone, csi, manifest, opening } = parties;
const now = parties.nowSeconds;
const offerKey = fixedBytes("offer key");
const random = createSeededRandom(6);
const [phone, tablet, desk, car, watch] = ["phone", "tablet", "desk", "car", "watch"].map((name) =>
  fixedSigner(name),
) as [Signer, Signer, Signer, Signer, Signer];
const link = (from: Signer, to: Signer, knobs: Parameters<typeof makeKeyLink>[1] = {}) =>
  makeKeyLink(parties, { from, to, ...knobs });

const credentialOf = (holder: Signer) =>
  makeCredential(parties, { fields: { holderPublicKey: holder.publicKey } });
const mappingOf = (holder: Signer, msp: 0 | 1) =>
  makeMapping(parties, { credential: credentialOf(holder), holder, msp });

interface Ask {
  /** Whose statement it is. */
  readonly by: Signer;
  readonly names: readonly SignedObject[];
  /** One of the names, with a credential of who signs. */
  readonly add?: SignedObject;
  readonly credential?: SignedObject;
  readonly links?: readonly SlotKeyLink[];
  readonly current?: Uint8Array;
  readonly seq?: number;
  readonly at?: number;
}

/** What the slot becomes. */
function register(ask: Ask): Uint8Array {
  const { by, names, add, links = [], current, seq = 2, at = now } = ask;
  const world: RegistrationParties = { ...parties, nowSeconds: at };
  const { registry, dp, zoneSigner: signer } = world;
  const { nonceD } = makeOffer({
    key: offerKey,
    zone,
    nowSeconds: at,
    randomBytes: (n) => random.bytes(n),
  });
  const statement = makeStatement(world, { mappings: names, holder: by, fields: { seq, nonceD } });
  const credential = ask.credential ?? credentialOf(by);
  const added = add === undefined ? {} : { added: { mapping: add, credential, opening } };
  const context = { manifest, dp, registry, nowSeconds: at };
  const request = { zone, csi, statement, links, ...added };
  const checked = checkRegistration(request, { ...context, verifier: nodeVerifier });
  const isUsed = () => false;
  const decision = decideRegistration({ ...context, checked, current, offerKey, isUsed });
  return settleRegistration({ decision, checked, manifest, signer, nowSeconds: at }).plaintext;
}

const read = (plaintext: Uint8Array) => {
  const { dp, registry } = parties;
  const verifier = nodeVerifier;
  return verifySlot({
    csi,
    zone,
    manifest,
    dp,
    registry,
    plaintext,
    nowSeconds: now,
    verifier,
  });
};
const outcome = (ask: Ask) => outcomeOf(() => register(ask));
const linksIn = (plaintext: Uint8Array) => decodeSlotBody(plaintext).links;

const wire = mappingOf(phone, 0);
const video = mappingOf(tablet, 1);
/** The slot of the first app. */
const one = register({ by: phone, names: [wire], add: wire, seq: 1 });
const approved = link(phone, tablet);
const join = { by: tablet, names: [wire, video], add: video, current: one, links: [approved] };
/** The same after the second app has joined. */
const both = register(join);

describe("a second app's key", () => {
  it("joins the slot of the first by a link, and readers see one holder with both mappings", () => {
    const slot = read(both);
    expect(slot.mappings.map(({ mspId }) => mspId)).to.deep.equal([
      "wire.example",
      "video.example",
    ]);
    expect(slot.holderKeys).to.deep.equal([tablet.publicKey, phone.publicKey]);
    expect(slot.statement.holderPublicKey).to.deep.equal(tablet.publicKey);
  });

  it("keeps the acceptance of what stood", () => {
    const [stood] = decodeSlotBody(one).mappings;
    expect(decodeSlotBody(both).mappings[0]).to.deep.equal(stood);
  });

  it("fills a size class like any other slot", () => {
    const { body } = sealPublicSlot({
      y: fixedBytes("y", 64),
      idx: fixedBytes("idx", 16),
      zone,
      kid: fixedBytes("kid", 4),
      plaintext: both,
      nonce: fixedBytes("nonce", 12),
    });
    expect(limits.bodyClassBytes).to.include(body.length - 28);
  });

  const order = { by: tablet, names: [wire] };
  const cases: readonly [ErrorCode | "ok", string, Ask][] = [
    ["INCUMBENT", "no link", { ...join, links: [] }],
    [
      "ok",
      "a link that the second app's key gave the first",
      { ...join, links: [link(tablet, phone)] },
    ],
    ["ok", "a chain over a third key", { ...join, links: [link(tablet, desk), link(phone, desk)] }],
    ["INCUMBENT", "a link to a third key only", { ...join, links: [link(desk, tablet)] }],
    [
      "BAD_SIGNATURE",
      "a link that the incumbent did not sign",
      { ...join, links: [link(phone, tablet, { signedBy: [tablet] })] },
    ],
    [
      "BAD_SIGNATURE",
      "a link that the newcomer did not sign",
      { ...join, links: [link(phone, tablet, { signedBy: [phone] })] },
    ],
    [
      "BAD_SIGNATURE",
      "a link signed by a stranger for the incumbent",
      { ...join, links: [link(phone, tablet, { signedBy: [desk, tablet] })] },
    ],
    [
      "BAD_OPENING",
      "a link of another identifier",
      { ...join, links: [link(phone, tablet, { csi: parseCsi("+14155550199") })] },
    ],
    ["BAD_KEY_LINK", "a link of a key with itself", { ...join, links: [link(tablet, tablet)] }],
    ["BAD_KEY_LINK", "a link of two other keys", { ...join, links: [link(phone, desk)] }],
    [
      "BAD_KEY_LINK",
      "a chain in the wrong order",
      { ...join, links: [link(phone, desk), link(desk, tablet)] },
    ],
    ["BAD_KEY_LINK", "a link twice", { ...join, links: [approved, approved] }],
    [
      "BAD_KEY_LINK",
      "a circle",
      { ...join, links: [approved, link(phone, desk), link(desk, tablet)] },
    ],
    ["STALE_SEQUENCE", "a seq that is not above the other key's", { ...join, seq: 1 }],
    [
      "BAD_CREDENTIAL",
      "a new mapping by the other key's credential",
      { ...join, credential: credentialOf(phone) },
    ],
    [
      "BAD_STATEMENT",
      "a new mapping of the other key",
      { ...join, names: [wire], add: wire, credential: credentialOf(phone) },
    ],
    [
      "BAD_STATEMENT",
      "one MSP by two keys",
      { ...join, names: [wire, mappingOf(tablet, 0)], add: mappingOf(tablet, 0) },
    ],
    ["ok", "in the place of the first's mapping", { ...join, names: [video] }],
    ["ok", "an order without proof", { ...order, current: one, links: [approved] }],
    ["BAD_STATEMENT", "an order without proof or link", { ...order, current: one }],
    ["BAD_STATEMENT", "an order of what never stood", { ...order, links: [approved] }],
    ["ok", "a removal", { by: tablet, names: [], current: one, links: [approved] }],
    [
      "ok",
      "the link again",
      { by: tablet, names: [video], current: both, links: [approved], seq: 3 },
    ],
    [
      "ok",
      "the first key's order, its link standing",
      { by: phone, names: [video, wire], current: both, seq: 3 },
    ],
    [
      "ok",
      "the first key's removal, its link standing",
      { by: phone, names: [], current: both, seq: 3 },
    ],
    [
      "EXPIRED",
      "keeping the other key's mapping past its end",
      { ...order, current: one, links: [approved], at: now + 40 * day + 300 },
    ],
    [
      "BAD_STATEMENT",
      "a stranger's order of a linked slot",
      { by: desk, names: [wire, video], current: both, seq: 3 },
    ],
  ];
  for (const [code, title, ask] of cases) {
    it(`${code}: ${title}`, () => expect(outcome(ask)).to.equal(code));
  }

  it("does not stand twice, whichever object links the same two keys", () => {
    const other = link(tablet, phone);
    const again = register({ by: phone, names: [wire], current: both, links: [other], seq: 3 });
    expect(linksIn(again)).to.deep.equal([approved]);
  });

  it("goes on from the removal by the other key: an older statement is stale", () => {
    const gone = register({ by: tablet, names: [], current: both, seq: 9 });
    expect(outcome({ by: phone, names: [wire], current: gone, seq: 8 })).to.equal("STALE_SEQUENCE");
    const back = { by: phone, names: [wire], add: wire, current: gone };
    expect(outcome({ ...back, seq: 8 })).to.equal("STALE_SEQUENCE");
    expect(outcome({ ...back, seq: 10 })).to.equal("ok");
  });

  it("joins at most four, and a fifth is told that there is no room", () => {
    const links = [approved, link(tablet, desk), link(desk, car)];
    const four = register({ ...join, by: phone, names: [wire], add: wire, links, seq: 3 });
    expect(read(four).holderKeys).to.have.length(4);
    const late = { by: watch, names: [wire], links: [link(car, watch)], current: four, seq: 4 };
    expect(outcome(late)).to.equal("SLOT_FULL");
    expect(read(register({ ...late, by: car, links: [], seq: 5 })).holderKeys).to.have.length(4);
  });

  it("loses its links with the slot: who comes after the last expiry is linked to nobody", () => {
    const later = now + 45 * day;
    const then: RegistrationParties = { ...parties, nowSeconds: later };
    const credential = makeCredential(then, { fields: { holderPublicKey: desk.publicKey } });
    const mapping = makeMapping(then, { credential, holder: desk });
    const taken = register({
      by: desk,
      names: [mapping],
      add: mapping,
      credential,
      current: both,
      at: later,
    });
    expect(linksIn(taken)).to.deep.equal([]);
  });
});

describe("joinLinks", () => {
  const keys = [phone, tablet, desk, car, watch, fixedSigner("radio")];
  const read = (slotLink: SlotKeyLink) => ({
    slotLink,
    link: decodeKeyLink(slotLink.link.payload),
  });
  const index = fc.nat({ max: keys.length - 1 });
  const ends = fc.array(fc.tuple(index, index), { maxLength: 5 });
  const linked = (pairs: readonly (readonly [number, number])[]) =>
    pairs
      .filter(([from, to]) => from !== to)
      .map(([from, to]) => read(link(keys[from]!, keys[to]!, { signedBy: [] })));

  it("joins exactly the keys that can be reached, by as few links as that takes, or has no room", () => {
    fc.assert(
      fc.property(ends, ends, (stood, came) => {
        const reached = new Set([0]);
        for (const _round of keys) {
          for (const [from, to] of [...stood, ...came]) {
            if (reached.has(from)) reached.add(to);
            if (reached.has(to)) reached.add(from);
          }
        }
        const own = phone.publicKey;
        const join = () => joinLinks({ own, standing: linked(stood), added: linked(came) });
        if (reached.size > limits.keyLinksPerSlotMax + 1) {
          expect(outcomeOf(join)).to.equal("SLOT_FULL");
          return;
        }
        const joined = join();
        const expected = keys.filter((_, at) => reached.has(at)).map(({ publicKey }) => publicKey);
        expect(joined.keys).to.have.deep.members(expected);
        const links = joined.links.map((one) => decodeKeyLink(one.link.payload));
        expect(joinKeys(own, links)).to.deep.equal(joined.keys);
      }),
    );
  });
});
