import { expect } from "chai";
import fc from "fast-check";
import { parsePrefix, parseZoneName, type Prefix, type ZoneName } from "@whither/protocol";
import { createSigner, sha256, utf8 } from "@whither/crypto/node";
import {
  directoryFixtureSeconds as now,
  makeDirectoryObjects,
  makeRootFixture,
  outcomeOf,
} from "@whither/testkit";
import { nodeVerifier } from "../signed.js";
import { encodeArtefact, openArtefact, type VerifiedArtefact } from "./artefact.js";
import { differenceOf, DifferenceVerifier, touchedBetween } from "./difference.js";
import type { Directory } from "./directory.js";
import { signWithdrawals, withdrawnZonesOf, type WithdrawnZones } from "./withdraw.js";

const hour = 3_600;
const day = 86_400;
const root = makeRootFixture({ online: {} });
const zones = ["de@dp-a.example", "gb@dp-b.example", "rest@dp-c.example"].map(parseZoneName);
const [de, gb, rest] = zones as [ZoneName, ZoneName, ZoneName];
const germany = parsePrefix("tel:+49");
const prefixes = [
  `"tel:": { zones: [${rest}] }`,
  `"tel:+49": { zones: [${de}, ${gb}] }`,
  `"tel:+44": { zones: [${gb}, ${rest}] }`,
  `"tel:+1": { zones: [${de}, ${gb}, ${rest}] }`,
  `"mailto:": { zones: [mail@dp-c.example] }`,
];

function operatorSigns(
  options: Parameters<typeof makeDirectoryObjects>[0] & { readonly nowSeconds: number },
): VerifiedArtefact {
  return artefactOf(
    encodeArtefact(makeDirectoryObjects({ root, prefixes, ...options })),
    options.nowSeconds,
  );
}

function artefactOf(bytes: Uint8Array, nowSeconds: number): VerifiedArtefact {
  return openArtefact({ bytes, anchors: root.anchors, nowSeconds, verifier: nodeVerifier });
}

const first = operatorSigns({ nowSeconds: now });

function finish<T>(work: Generator<undefined, T>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}

function withdraw(
  withdrawn: readonly (readonly [ZoneName, number])[],
  given: Partial<Parameters<typeof signWithdrawals>[0]> = {},
): VerifiedArtefact | undefined {
  const nowSeconds = given.nowSeconds ?? now + hour;
  return finish(
    signWithdrawals({
      base: first,
      served: first.directory,
      withdrawn: new Map(withdrawn),
      signer: root.online,
      anchors: root.anchors,
      verifier: nodeVerifier,
      nowSeconds,
      ...given,
    }),
  );
}

function published(...given: Parameters<typeof withdraw>): VerifiedArtefact {
  const artefact = withdraw(...given);
  if (artefact === undefined) throw new TypeError("nothing to publish");
  return artefact;
}

const heldAt = (directory: Directory, prefix: Prefix): readonly string[] =>
  (directory.node(prefix)?.node.authorities ?? []).flatMap(({ zone, withdrawnAt }) =>
    withdrawnAt === undefined ? [] : [`${zone} ${withdrawnAt - now}`],
  );

describe("authorities held back", () => {
  it("are marked wherever another one stands beside them, and nothing else of the node changes", () => {
    const { directory, messages } = published([[gb, now + 1]]);
    expect(heldAt(directory, germany)).to.deep.equal([`${gb} 1`]);
    expect(heldAt(directory, parsePrefix("tel:+44"))).to.deep.equal([`${gb} 1`]);
    const before = first.directory.node(germany)!.node;
    const after = directory.node(germany)!.node;
    const unmarked = after.authorities.map(({ withdrawnAt: _, ...rest }) => rest);
    expect({ ...after, authorities: unmarked }).to.deep.equal({
      ...before,
      serial: directory.serial,
      ttlSeconds: 300,
    });
    expect(directory.node(parsePrefix("tel:"))).to.equal(first.directory.node(parsePrefix("tel:")));
    const { length } = directory.nodes();
    expect([length, directory.head.notAfter]).to.deep.equal([
      first.directory.nodes().length,
      first.directory.head.notAfter,
    ]);
    const bytes = encodeArtefact(directory.objects());
    expect(artefactOf(bytes, now + hour).messages).to.deep.equal(messages);
    expect([...withdrawnZonesOf(directory)]).to.deep.equal([[gb, now + 1]]);
  });

  it("are never all of a prefix", () => {
    const { directory } = published([
      [de, now],
      [gb, now],
    ]);
    expect(heldAt(directory, germany)).to.deep.equal([]);
    expect(heldAt(directory, parsePrefix("tel:+1"))).to.have.length(2);
    expect(withdraw([[rest, now]])?.directory.node(parsePrefix("tel:"))?.node.ttlSeconds).to.equal(
      3_600,
    );
  });

  it("leave the operator's own signatures alone while there are none", () => {
    expect(withdraw([])).to.equal(undefined);
    const next = operatorSigns({ nowSeconds: now + 60, previous: first.directory });
    expect(withdraw([], { base: next })).to.equal(next);
    const held = published([[gb, now]]);
    expect(withdraw([[gb, now]], { served: held.directory, nowSeconds: now + day })).to.equal(
      undefined,
    );
  });

  it("come back under a serial that a reader who saw them held back accepts", () => {
    const held = published([[gb, now]]).directory;
    const back = published([], { served: held, nowSeconds: now + 2 * hour }).directory;
    expect(heldAt(back, germany)).to.deep.equal([]);
    expect(back.node(germany)?.node).to.include({ serial: back.serial, ttlSeconds: 3_600 });
    expect(back.serial).to.be.greaterThan(held.serial);
    const again = published([[de, now + day]], { served: back, nowSeconds: now + day }).directory;
    expect(again.node(parsePrefix("tel:+44")), "signed once").to.equal(
      back.node(parsePrefix("tel:+44")),
    );
  });

  it("stay so under a newer directory of the operator, whose other changes are taken", () => {
    const held = published([[gb, now]]).directory;
    const next = operatorSigns({
      nowSeconds: now + 2 * hour,
      previous: first.directory,
      prefixes: [...prefixes, `"tel:+33": { zones: [${de}] }`],
    });
    const after = published([[gb, now]], {
      base: next,
      served: held,
      nowSeconds: now + 2 * hour,
    }).directory;
    expect(after.node(parsePrefix("tel:+33"))?.node.disposition).to.equal("delegated");
    expect(heldAt(after, germany)).to.deep.equal([`${gb} 0`]);
    expect(after.serial).to.be.greaterThan(held.serial);
  });

  it("end where the operator goes on from what was published", () => {
    const held = published([[gb, now]]).directory;
    const nowSeconds = now + 2 * hour;
    const next = operatorSigns({ nowSeconds, previous: held }).directory;
    const readers = new Readers();
    readers.see(held, now + hour);
    readers.see(next, nowSeconds);
    expect([...withdrawnZonesOf(next)]).to.deep.equal([]);
    expect(next.serial).to.equal(held.serial + 1);
  });

  it("do not make a directory last longer than the key that signs, or be signed past its end", () => {
    const short = makeRootFixture({ online: { notAfter: now + 2 * day } });
    const objects = makeDirectoryObjects({ root: short, prefixes });
    const base = artefactOf(encodeArtefact(objects), now);
    const held = published([[gb, now]], { base, served: base.directory }).directory;
    expect(held.head.notAfter).to.equal(now + 2 * day);
    expect(held.node(germany)?.node.notAfter).to.equal(now + 2 * day);
    const late = { base, served: base.directory, nowSeconds: now + 3 * day };
    expect(outcomeOf(() => withdraw([[gb, now]], late))).to.equal("EXPIRED");
    const stranger = createSigner(sha256(utf8("stranger")));
    expect(outcomeOf(() => withdraw([[gb, now]], { signer: stranger }))).to.equal("KEY_MISSING");
  });

  it("bear the operator's date: readers do not take a server's fast clock for their own slow one", () => {
    const fast = published([[gb, now]], { nowSeconds: now + 2 * hour }).directory;
    expect(fast.head.notBefore).to.equal(now);
    const bytes = encodeArtefact(fast.objects());
    expect(artefactOf(bytes, now).directory.serial).to.equal(fast.serial);
    const young = makeRootFixture({ online: { notBefore: now + 60 } });
    const base = artefactOf(encodeArtefact(makeDirectoryObjects({ root: young, prefixes })), now);
    const held = published([[gb, now]], { base, served: base.directory }).directory;
    expect(held.head.notBefore, "not before the key").to.equal(now + 60);
  });

  it("are signed anew when the online key is another one", () => {
    const held = published([[gb, now]]).directory;
    const again = published([[gb, now]], { served: held, signer: root.zsk }).directory;
    const keyIds = again.node(germany)?.object.signatures.map(({ keyId }) => keyId);
    expect(keyIds).to.deep.equal([root.zsk.keyId]);
    expect(again.serial).to.be.greaterThan(held.serial);
  });

  it("follow the operator into a new epoch, whatever was published in the old one", () => {
    const held = published([[gb, now]]).directory;
    const compiledAnew = operatorSigns({ nowSeconds: now + hour });
    expect(compiledAnew.directory.head.epoch).to.equal(now + hour);
    const after = published([[gb, now]], {
      base: compiledAnew,
      served: held,
      nowSeconds: now + hour,
    });
    expect(after.directory.head.epoch).to.equal(now + hour);
    expect(heldAt(after.directory, germany)).to.have.length(1);
  });
});

/** A mirror and a walker that have seen everything published so far. */
class Readers {
  #mirror: Directory | undefined;
  readonly #serials = new Map<Prefix, number>();

  /** Throws as a reader that refuses it. */
  see(directory: Directory, nowSeconds: number): void {
    const held = this.#mirror;
    if (held !== undefined) {
      expect(directory.serial, "never back, nor the same number twice").to.be.above(held.serial);
      const check = { trust: directory.trust, nowSeconds, verifier: nodeVerifier, held };
      const difference = new DifferenceVerifier(check);
      for (const _ of difference.add(differenceOf(touchedBetween(held, directory), directory))) {
        continue;
      }
      const mirrored = finish(difference.finish());
      expect(mirrored.objects()).to.deep.equal(directory.objects());
    }
    for (const { node } of directory.nodes()) {
      const { authorities, prefix, serial } = node;
      expect(serial, prefix).to.be.at.least(this.#serials.get(prefix) ?? 0);
      const asked = authorities.filter(({ withdrawnAt }) => withdrawnAt === undefined);
      expect(asked.length > 0 || authorities.length === 0, prefix).to.equal(true);
      this.#serials.set(prefix, serial);
    }
    this.#mirror = directory;
  }
}

describe("whatever the operator signs and the server withdraws", () => {
  const step = fc.record({
    seconds: fc.integer({ min: 1, max: 4 * hour }),
    withdrawn: fc.subarray(zones),
    /** Signed since the last step: with or without +33. */
    operator: fc.constantFrom("nothing", "with", "without"),
    /** The server starts anew without what it had published. */
    isStateLost: fc.boolean(),
  });

  it("readers see serials rise, differences that fit, and somebody to ask, also with the state lost", () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 2, maxLength: 8 }), (steps) => {
        const readers = new Readers();
        let base = first;
        let served: Directory | undefined = first.directory;
        readers.see(first.directory, now);
        let nowSeconds = now;
        for (const { seconds, withdrawn, operator, isStateLost } of steps) {
          nowSeconds += seconds;
          if (operator !== "nothing") {
            const more = operator === "with" ? [`"tel:+33": { zones: [${de}] }`] : [];
            const lines = [...prefixes, ...more];
            const previous = base.directory;
            base = operatorSigns({ nowSeconds, previous, prefixes: lines });
          }
          if (isStateLost) served = undefined;
          const held: WithdrawnZones = new Map(withdrawn.map((zone) => [zone, now]));
          const next = withdraw([...held], { base, served, nowSeconds });
          if (next === undefined) continue;
          readers.see(next.directory, nowSeconds);
          served = next.directory;
        }
      }),
      { numRuns: 60 },
    );
  });
});
