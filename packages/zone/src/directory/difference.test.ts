import { expect } from "chai";
import fc from "fast-check";
import { DiscoveryError, type SignedObject } from "@whither/protocol";
import {
  directoryFixtureSeconds as now,
  makeDirectoryObjects,
  makeRootFixture,
  prefixesFixture,
  registryFixtureText,
} from "@whither/testkit";
import { nodeVerifier } from "../signed.js";
import {
  differenceOf,
  DifferenceVerifier,
  touchedBetween,
  type DirectoryDifference,
} from "./difference.js";
import type { Directory } from "./directory.js";
import { DirectoryHistory, parseDirectoryHistory } from "./history.js";
import type { DirectoryTrust } from "./trust.js";
import { verifyDirectory, type PartsCheck } from "./verify.js";

const root = makeRootFixture();
const day = 86_400;

function directory(options: Parameters<typeof makeDirectoryObjects>[0] = {}): Directory {
  const nowSeconds = options.nowSeconds ?? now;
  return verifyDirectory({
    objects: makeDirectoryObjects({ root, ...options }),
    anchors: root.anchors,
    nowSeconds,
    verifier: nodeVerifier,
  });
}

function applied(
  held: Directory,
  change: {
    readonly difference: Partial<DirectoryDifference>;
    readonly next: Directory;
    readonly nowSeconds?: number;
  },
): Directory {
  const { next, nowSeconds = now } = change;
  const check: PartsCheck<DirectoryTrust> = {
    trust: next.trust,
    nowSeconds,
    verifier: nodeVerifier,
  };
  const difference = new DifferenceVerifier({ ...check, held });
  for (const _ of difference.add(change.difference)) continue;
  const work = difference.finish();
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}

function codeOf(work: () => unknown): string {
  try {
    work();
    return "ok";
  } catch (error) {
    if (error instanceof DiscoveryError) return error.code;
    throw error;
  }
}

const prefixes = [
  `"tel:": { unassigned: true }`,
  `"tel:+1": { zones: [rest@dp-c.example] }`,
  `"tel:+44": { zones: [gb@dp-b.example] }`,
  `"tel:+441481": { zones: [rest@dp-c.example] }`,
  `"tel:+49": { zones: [de@dp-a.example] }`,
  `"tel:+999": { unassigned: true }`,
  `"mailto:": { zones: [mail@dp-c.example] }`,
  `"mailto:example.org": { zones: [mail@dp-a.example], expected_csis: 5000 }`,
  `"acct:": { zones: [mail@dp-c.example] }`,
];
const withoutProver = registryFixtureText.replace(/provers:[^]*/u, "provers: []\n");
const first = directory();
const second = directory({
  prefixes: prefixesFixture.filter((line) => !line.includes("441481")),
  previous: first,
});

describe("difference of directories", () => {
  it("of any two directories leads from one to the other, exactly", () => {
    const content = fc.record({
      lines: fc.subarray(prefixes),
      registryText: fc.constantFrom(registryFixtureText, withoutProver),
    });
    fc.assert(
      fc.property(content, content, fc.integer({ min: 1, max: 5 * day }), (a, b, later) => {
        const older = directory({ prefixes: a.lines, registryText: a.registryText });
        const nowSeconds = now + later;
        const next = { prefixes: b.lines, registryText: b.registryText, nowSeconds };
        const newer = directory({ ...next, previous: older });
        const difference = differenceOf(touchedBetween(older, newer), newer);
        const made = applied(older, { difference, next: newer, nowSeconds });
        expect(made.objects()).to.deep.equal(newer.objects());
        expect(made.registry.msps()).to.deep.equal(newer.registry.msps());
      }),
      { numRuns: 40 },
    );
  });

  it("holds what has changed and the siblings that point there, and nothing else", () => {
    const difference = differenceOf(touchedBetween(first, second), second);
    expect(difference.removedPrefixes).to.deep.equal([
      "tel:+441",
      "tel:+4414",
      "tel:+44148",
      "tel:+441481",
    ]);
    expect(difference.nodes).to.have.length(1);
    expect(difference.records).to.deep.equal([]);
    expect(second.node("tel:+49" as never)?.node.serial).to.equal(1);
  });

  it("over what is signed again after half of a lifetime is everything", () => {
    const nowSeconds = now + 4 * day;
    const later = directory({ previous: first, nowSeconds });
    expect(touchedBetween(first, later).prefixes).to.have.length(first.nodes().length);
    expect(later.head.notAfter).to.equal(nowSeconds + 7 * day);
    const soon = directory({ previous: first, nowSeconds: now + 3 * day });
    expect(touchedBetween(first, soon)).to.deep.equal({ prefixes: [], parties: [] });
    expect(soon.head.notAfter, "the head ends with what it kept").to.equal(now + 7 * day);
  });

  const whole = differenceOf(touchedBetween(first, second), second);
  const flip = (object: SignedObject): SignedObject => ({
    ...object,
    payload: object.payload.with(-1, (object.payload.at(-1) ?? 0) ^ 1),
  });
  const lies: readonly (readonly [string, Partial<DirectoryDifference>, string])[] = [
    ["keeps a node that is gone", { ...whole, removedPrefixes: [] }, "BOGUS"],
    ["takes a node that is there", { ...whole, removedPrefixes: ["tel:+49" as never] }, "BOGUS"],
    ["leaves a changed node out", { ...whole, nodes: [] }, "BOGUS"],
    ["flips a bit", { ...whole, nodes: whole.nodes.map(flip) }, "BOGUS"],
    [
      "sends an old node for a new one",
      { ...whole, nodes: [first.node("tel:+44" as never)!.object] },
      "BOGUS",
    ],
    ["sends a node twice", { ...whole, nodes: [...whole.nodes, ...whole.nodes] }, "BOGUS"],
    ["sends nodes out of order", { ...whole, nodes: second.objects().nodes.toReversed() }, "BOGUS"],
    [
      "takes a record",
      { ...whole, removedRecords: [{ kind: "msp", id: "wire.example" }] },
      "BOGUS",
    ],
    [
      "names more than there can be",
      {
        ...whole,
        removedPrefixes: Array.from({ length: 100_001 }, (_, at) => `tel:+${at}` as never),
      },
      "BOGUS",
    ],
    [
      "names what was never there",
      { ...whole, removedPrefixes: [...whole.removedPrefixes, "tel:+7" as never] },
      "ok",
    ],
  ];
  for (const [title, difference, code] of lies) {
    it(`that ${title}: ${code}`, () => {
      expect(codeOf(() => applied(first, { difference, next: second }))).to.equal(code);
    });
  }

  it("keeps nothing that is past its time", () => {
    const short = directory({ lifetimeSeconds: day });
    const next = directory({ previous: short, lifetimeSeconds: day, nowSeconds: now + 60 });
    const none = { difference: {}, next, nowSeconds: now + day + 600 };
    expect(codeOf(() => applied(short, none))).to.equal("EXPIRED");
  });

  it("verifies what was kept when a key that vouched for it is gone", () => {
    const verified: number[] = [];
    const check = (keys: readonly Uint8Array[]): void => {
      let count = 0;
      const verifier = { verify: (one: never) => ((count += 1), nodeVerifier.verify(one)) };
      const held = { ...first, trust: { ...first.trust, keys } };
      const again = new DifferenceVerifier({
        trust: second.trust,
        nowSeconds: now,
        verifier,
        held,
      });
      for (const _ of again.add(whole)) continue;
      for (const _ of again.finish()) continue;
      verified.push(count);
    };
    check(first.trust.keys);
    check([...first.trust.keys, new Uint8Array(32)]);
    expect(verified).to.deep.equal([1, second.nodes().length + second.records().length]);
  });
});

describe("history of directories", () => {
  it("condenses steps, and survives as text", () => {
    const third = directory({ previous: second, registryText: withoutProver });
    const fourth = directory({ previous: third });
    const history = new DirectoryHistory()
      .followedBy(first, second)
      .followedBy(second, third)
      .followedBy(third, fourth);
    const again = parseDirectoryHistory(history.format(), fourth);
    for (const held of [first, second, third]) {
      const touched = again.touchedSince(held.head);
      expect(touched).to.deep.equal(history.touchedSince(held.head));
      const difference = differenceOf(touched!, fourth);
      expect(applied(held, { difference, next: fourth }).objects()).to.deep.equal(fourth.objects());
    }
    expect(again.touchedSince({ epoch: 1, serial: 1 })).to.equal(undefined);
    expect(codeOf(() => parseDirectoryHistory(history.format(), third))).to.equal("STORE_CORRUPT");
    for (const text of ["", "{}", `{"version":2,"head":{"epoch":1,"serial":1},"steps":[]}`]) {
      expect(codeOf(() => parseDirectoryHistory(text, fourth))).to.equal("STORE_CORRUPT");
    }
  });

  it("forgets what is far back, and everything when a directory in between is missing", () => {
    let history = new DirectoryHistory();
    for (let serial = 1; serial <= 130; serial++) {
      const at = (one: number): Directory => ({ ...first, head: { ...first.head, serial: one } });
      history = history.followedBy(at(serial), at(serial + 1));
    }
    const { epoch } = first.head;
    expect(history.touchedSince({ epoch, serial: 2 })).to.equal(undefined);
    expect(history.touchedSince({ epoch, serial: 3 })).to.deep.equal({ prefixes: [], parties: [] });
    history = history.followedBy(first, second);
    expect(history.touchedSince({ epoch, serial: 3 })).to.equal(undefined);
    expect(history.touchedSince(first.head)?.prefixes).to.have.length(5);
  });
});
