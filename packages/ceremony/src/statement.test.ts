import { expect } from "chai";
import fc from "fast-check";
import { limits, parseZoneName, type SignedObject } from "@whither/protocol";
import { decodeStatement } from "@whither/wire";
import {
  nodeVerifier,
  payloadSha256,
  readMapping,
  verifySlot,
  verifyStatement,
} from "@whither/zone";
import {
  fixedBytes,
  makeCredential,
  makeMapping,
  makeRegistrationParties,
  makeSlot,
} from "@whither/testkit";
import type { Countersigned } from "./holder.js";
import {
  composeStatement,
  holderSlotOf,
  type HolderItem,
  type StatementWish,
} from "./statement.js";

const day = 86_400;
const parties = makeRegistrationParties();
const { zone, holder, nowSeconds, opening } = parties;
const credential = makeCredential(parties);

function countersigned(msp: 0 | 1): Countersigned {
  const mapping = makeMapping(parties, { credential, msp });
  const { mapping: record, sha256 } = readMapping(mapping);
  return { kind: "countersigned", mapping, credential, opening, record, mappingSha256: sha256 };
}
const [wire, video] = [countersigned(0), countersigned(1)];
const compose = (wish: Partial<StatementWish> = {}) =>
  composeStatement({ holder, zone, nonceD: new Uint8Array(48), nowSeconds, ...wish });
const first = compose({ added: { mapping: wire } });
const brief = (items: readonly HolderItem[]) => items.map((item) => [item.mspId, item.preference]);

describe("composeStatement", () => {
  it("places a first mapping", () => {
    const { statement } = verifyStatement({
      object: first.object,
      zone,
      nowSeconds,
      verifier: nodeVerifier,
    });
    expect(statement).to.deep.include({ seq: nowSeconds, notBefore: nowSeconds, exclusive: false });
    expect(statement.notAfter).to.equal(wire.record.notAfter);
    expect(statement.csiCommits).to.deep.equal([wire.record.csiCommit]);
    expect(statement.items).to.deep.equal([
      { mappingSha256: wire.mappingSha256, preference: 1, tags: [] },
    ]);
    expect(first.sha256).to.deep.equal(payloadSha256(first.object));
  });

  it("keeps what stands and adds behind it", () => {
    const second = compose({ previous: first.slot, added: { mapping: video, tags: ["work"] } });
    expect(brief(second.slot.items)).to.deep.equal([
      ["wire.example", 1],
      ["video.example", 2],
    ]);
    expect(second.slot.items[1]!.tags).to.deep.equal(["work"]);
    expect(second.slot.seq).to.equal(first.slot.seq + 1);
  });

  it("moves others down where the place is taken", () => {
    const second = compose({ previous: first.slot, added: { mapping: video, preference: 1 } });
    expect(brief(second.slot.items)).to.deep.equal([
      ["video.example", 1],
      ["wire.example", 2],
    ]);
  });

  it("leaves others alone where the place is free", () => {
    const second = compose({ previous: first.slot, added: { mapping: video, preference: 0 } });
    expect(brief(second.slot.items)).to.deep.equal([
      ["video.example", 0],
      ["wire.example", 1],
    ]);
  });

  it("replaces an earlier mapping of the same MSP", () => {
    const again = { ...wire, mappingSha256: fixedBytes("again") };
    const second = compose({ previous: first.slot, added: { mapping: again } });
    expect(second.slot.items.map((item) => item.mappingSha256)).to.deep.equal([
      again.mappingSha256,
    ]);
  });

  it("lets go of what has expired", () => {
    const later = nowSeconds + 50 * day;
    const next = compose({ previous: first.slot, nowSeconds: later, added: { mapping: video } });
    expect(brief(next.slot.items)).to.deep.equal([["video.example", 1]]);
  });

  it("reorders and drops as the holder wishes", () => {
    const both = compose({ previous: first.slot, added: { mapping: video } });
    const swapped = compose({
      previous: both.slot,
      keep: (items) => items.map((item) => ({ ...item, preference: 3 - item.preference })),
    });
    expect(brief(swapped.slot.items)).to.deep.equal([
      ["video.example", 1],
      ["wire.example", 2],
    ]);
    const dropped = compose({ previous: both.slot, keep: (items) => items.slice(0, 1) });
    expect(brief(dropped.slot.items)).to.deep.equal([["wire.example", 1]]);
  });

  it("binds a removal to its identifier by the commitments of what it removes", () => {
    const removal = compose({ previous: first.slot, keep: () => [] });
    const statement = decodeStatement(removal.object.payload);
    expect(statement.items).to.deep.equal([]);
    expect(statement.csiCommits).to.deep.equal([wire.record.csiCommit]);
    expect(statement.notAfter).to.equal(nowSeconds + limits.offerSeconds);
  });

  it("keeps flags until they are changed", () => {
    const exclusive = compose({ previous: first.slot, exclusive: true });
    expect(compose({ previous: exclusive.slot }).slot.exclusive).to.equal(true);
    expect(compose({ previous: exclusive.slot, exclusive: false }).slot.exclusive).to.equal(false);
  });

  it("says where the holder moved until that is taken back, and not in the place itself", () => {
    const elsewhere = parseZoneName("us@dp-b.example");
    const portedTo = ({ object }: { readonly object: SignedObject }) =>
      decodeStatement(object.payload).portedTo;
    const moved = compose({ previous: first.slot, portedTo: elsewhere });
    expect(portedTo(moved)).to.equal(elsewhere);
    const later = compose({ previous: moved.slot, added: { mapping: video } });
    expect(portedTo(later)).to.equal(elsewhere);
    expect(portedTo(compose({ previous: later.slot, portedTo: "" }))).to.equal("");
    expect(portedTo(compose({ previous: first.slot, portedTo: zone }))).to.equal("");
    expect(portedTo(compose({ previous: moved.slot, keep: () => [] }))).to.equal("");
  });

  it("refuses two equal preferences before it signs", () => {
    const both = compose({ previous: first.slot, added: { mapping: video } });
    const level = (items: readonly HolderItem[]) =>
      items.map((item) => ({ ...item, preference: 1 }));
    expect(() => compose({ previous: both.slot, keep: level })).to.throw(TypeError);
  });

  it("always rises in seq and never repeats a preference", () => {
    const preferences = fc.uniqueArray(fc.nat(20), { maxLength: 7 });
    fc.assert(
      fc.property(preferences, fc.nat(20), fc.nat(2 ** 40), (taken, preference, seq) => {
        const items = taken.map((place) => ({
          ...first.slot.items[0]!,
          mspId: parties.msps[1].id,
          preference: place,
        }));
        const previous = { ...first.slot, seq, items };
        const { slot } = compose({ previous, added: { mapping: wire, preference } });
        expect(slot.seq).to.be.greaterThan(seq);
        expect(new Set(slot.items.map((item) => item.preference)).size).to.equal(taken.length + 1);
        expect(slot.items.find((item) => item.mspId === "wire.example")!.preference).to.equal(
          preference,
        );
      }),
    );
  });

  it("takes up what a verified look-up shows", () => {
    const { plaintext } = makeSlot(parties, { count: 2 });
    const { csi, manifest, dp, registry } = parties;
    const check = { csi, zone, manifest, dp, registry, nowSeconds, verifier: nodeVerifier };
    const found = holderSlotOf(verifySlot({ ...check, plaintext }));
    expect(brief(found.items)).to.deep.equal([
      ["wire.example", 1],
      ["video.example", 2],
    ]);
    const next = compose({ previous: found });
    expect(decodeStatement(next.object.payload).csiCommits).to.have.length(1);
  });
});
