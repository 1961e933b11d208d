// Root key sets whose KSKs change (protocol.md section 2): who may follow whom, and from how far away.

import { expect } from "chai";
import fc from "fast-check";
import { createSigner, sha256, utf8, type Signer } from "@whither/crypto/node";
import { limits, suiteV1, type SignedObject } from "@whither/protocol";
import { directoryFixtureSeconds as now, outcomeOf } from "@whither/testkit";
import { decodeRootKeys } from "@whither/wire";
import { nodeVerifier } from "../signed.js";
import {
  earlierRootKeys,
  ksksOf,
  openRootKeys,
  trailTo,
  type RootKsks,
  type RootVoucher,
} from "./root-ksks.js";
import { signRootKeys } from "./sign.js";

const signers = new Map<string, Signer>();
const signerOf = (name: string): Signer => {
  const made = signers.get(name) ?? createSigner(sha256(utf8(`ksk ${name}`)));
  signers.set(name, made);
  return made;
};
const publicKeys = (names: string): readonly Uint8Array[] =>
  Array.from(names, (name) => signerOf(name).publicKey);

/** `ksks: "abc"`, `by: "ab"`; two of them have to sign unless told. */
function set(of: {
  readonly version: number;
  readonly ksks: string;
  readonly by: string;
  readonly threshold?: number;
  readonly ended?: boolean;
}): SignedObject {
  const period = { notBefore: now - 1_000, notAfter: of.ended === true ? now - 900 : now + 1_000 };
  const zsks = [{ publicKey: signerOf("z").publicKey, ...period }];
  const { version, threshold = 2, ksks: names } = of;
  const ksks = publicKeys(names);
  return signRootKeys(
    { suite: suiteV1, version, threshold, ksks, zsks, ...period },
    Array.from(of.by, signerOf),
  );
}

const anchors = (names: string, threshold = 2): RootKsks => ({
  keys: publicKeys(names),
  threshold,
});
const open = (
  trusted: RootKsks,
  rootKeys: SignedObject,
  earlier: readonly SignedObject[] = [],
  after = 0,
) =>
  openRootKeys({
    voucher: { rootKeys, earlierRootKeys: earlier },
    trusted,
    after,
    nowSeconds: now,
    verifier: nodeVerifier,
  });

describe("root key sets with other KSKs", () => {
  const first = set({ version: 1, ksks: "abc", by: "ab" });
  const both = set({ version: 2, ksks: "def", by: "abde", ended: true });
  const third = set({ version: 3, ksks: "def", by: "df" });
  const last = set({ version: 4, ksks: "ghi", by: "efgh" });

  it("are believed by readers of either anchors when enough of both have signed", () => {
    for (const names of ["abc", "def"]) {
      expect(open(anchors(names), both)).to.deep.equal({
        rootKeys: decodeRootKeys(both.payload),
        via: [],
      });
    }
  });

  it("lead from set to set, also over those that have ended, and say by which", () => {
    expect(open(anchors("abc"), third, [first, both]).via).to.deep.equal([both]);
    expect(open(anchors("abc"), last, [first, both]).via).to.deep.equal([both]);
    expect(open(anchors("def"), last, [first, both]).via).to.deep.equal([]);
    expect(open(anchors("ghi"), last, [first, both]).via).to.deep.equal([]);
  });

  const three = "abc";
  const table: readonly (readonly [string, () => unknown, string])[] = [
    [
      "fewer than enough of those before",
      () => open(anchors(three), set({ version: 2, ksks: "def", by: "ade" })),
      "KEY_MISSING",
    ],
    [
      "fewer than enough of its own",
      () => open(anchors(three), set({ version: 2, ksks: "def", by: "abd" })),
      "BOGUS",
    ],
    [
      "one key in two roles",
      () => open(anchors(three), set({ version: 2, ksks: "abz", by: "ab" })),
      "BOGUS",
    ],
    [
      "those before alone, once they are",
      () => open(anchors("def"), set({ version: 5, ksks: "abc", by: "abc" })),
      "KEY_MISSING",
    ],
    ["a step left out", () => open(anchors(three), last, [first]), "KEY_MISSING"],
    [
      "a step that was not agreed to",
      () => open(anchors(three), third, [first, set({ version: 2, ksks: "def", by: "de" })]),
      "KEY_MISSING",
    ],
    [
      "a step that is newer than itself",
      () =>
        open(anchors(three), set({ version: 2, ksks: "def", by: "de" }), [
          set({ version: 2, ksks: "def", by: "abde" }),
        ]),
      "BOGUS",
    ],
    [
      "a step that is older than what is trusted",
      () => open(anchors(three), third, [both], 2),
      "KEY_MISSING",
    ],
    [
      "a lower threshold without its own signatures",
      () => open(anchors(three), set({ version: 2, ksks: "def", threshold: 1, by: "ab" })),
      "BOGUS",
    ],
    [
      "17 steps",
      () =>
        open(anchors(three), third, Array<SignedObject>(limits.earlierRootKeysMax + 1).fill(both)),
      "INVALID_DATA",
    ],
    [
      "a forged signature in a KSK's name",
      () => open(anchors(three), third, [{ ...both, payload: first.payload }]),
      "BOGUS",
    ],
  ];
  for (const [what, work, code] of table) {
    it(`are refused with ${what}: ${code}`, () => {
      expect(outcomeOf(work)).to.equal(code);
    });
  }

  it("keep their threshold when one key is exchanged for another, step by step", () => {
    const steps = [
      set({ version: 2, ksks: "abd", by: "ab" }),
      set({ version: 3, ksks: "aef", by: "adef" }),
      set({ version: 4, ksks: "efg", by: "efg" }),
    ] as const;
    expect(outcomeOf(() => open(anchors("abc"), steps[2], steps.slice(0, 2)))).to.equal("ok");
    expect(outcomeOf(() => open(anchors("abc"), steps[2], steps.slice(0, 1)))).to.equal(
      "KEY_MISSING",
    );
  });
});

describe("earlier root key sets beside a new one", () => {
  const voucher = (objects: readonly SignedObject[]): RootVoucher =>
    objects.slice(1).reduce<RootVoucher>(
      (before, rootKeys) => ({
        rootKeys,
        earlierRootKeys: earlierRootKeys(
          { voucher: before, rootKeys: decodeRootKeys(before.rootKeys.payload) },
          rootKeys,
        ),
      }),
      { rootKeys: objects[0]! },
    );
  const versions = ({ earlierRootKeys: earlier = [] }: RootVoucher): readonly number[] =>
    earlier.map(({ payload }) => decodeRootKeys(payload).version);

  it("are those by which the KSKs changed", () => {
    const plain = (version: number, ksks: string) => set({ version, ksks, by: ksks.slice(0, 2) });
    const history = [plain(1, "abc"), plain(2, "abc"), plain(3, "abc")];
    expect(versions(voucher(history))).to.deep.equal([]);
    history.push(set({ version: 4, ksks: "def", by: "abde" }));
    expect(versions(voucher(history)), "the anchors' own").to.deep.equal([3]);
    history.push(plain(5, "def"), plain(6, "def"));
    expect(versions(voucher(history))).to.deep.equal([3, 4]);
    history.push(set({ version: 7, ksks: "ghi", by: "deghi" }));
    expect(versions(voucher(history))).to.deep.equal([3, 4]);
    history.push(plain(8, "ghi"));
    expect(versions(voucher(history))).to.deep.equal([3, 4, 7]);
  });

  it("stay for the same set, and are not made for one that is older or not agreed to", () => {
    const first = set({ version: 2, ksks: "abc", by: "ab" });
    const before = { voucher: { rootKeys: first }, rootKeys: decodeRootKeys(first.payload) };
    expect(earlierRootKeys(before, first)).to.deep.equal([]);
    const older = set({ version: 2, ksks: "abc", by: "bc", threshold: 1 });
    const strange = set({ version: 3, ksks: "def", by: "ade" });
    expect(outcomeOf(() => earlierRootKeys(before, older))).to.equal("CONFIG");
    expect(outcomeOf(() => earlierRootKeys(before, strange))).to.equal("CONFIG");
  });

  it("lead a reader of any anchors to the newest set, whatever was seen between (seed printed)", () => {
    const names = "abcdefghijklmnopqrstuvwxy";
    const step = fc.record({ changes: fc.boolean(), sees: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 14 }), fc.nat(), (steps, from) => {
        let at = 0;
        const history = [set({ version: 1, ksks: names.slice(0, 3), by: "abc" })];
        const keysAt = [names.slice(0, 3)];
        for (const [index, { changes }] of steps.entries()) {
          const old = names.slice(at, at + 3);
          if (changes) at += 1 + (index % 3);
          const ksks = (names + names.toUpperCase()).slice(at, at + 3);
          const by = changes ? [...new Set(old.slice(0, 2) + ksks)].join("") : ksks.slice(0, 2);
          history.push(set({ version: index + 2, ksks, by }));
          keysAt.push(ksks);
        }
        const start = from % history.length;
        let trusted = anchors(keysAt[start]!);
        let trail: readonly SignedObject[] = [];
        let after = 0;
        // What it sees on the way moves its trust along; from its anchors its trail leads to the same.
        for (let seen = start; seen < history.length; seen += 1) {
          const isLast = seen === history.length - 1;
          if (!isLast && steps[seen]?.sees !== true) continue;
          const { rootKeys, earlierRootKeys: earlier = [] } = voucher(history.slice(0, seen + 1));
          const opened = open(trusted, rootKeys, earlier, after);
          trail = [...trail, ...opened.via];
          expect(open(anchors(keysAt[start]!), rootKeys, trail).rootKeys).to.deep.equal(
            decodeRootKeys(history[seen]!.payload),
          );
          trusted = ksksOf(opened.rootKeys);
          after = opened.rootKeys.version;
          const last = { object: rootKeys, rootKeys: opened.rootKeys };
          trail = trailTo(last, { from: anchors(keysAt[start]!), trail });
        }
      }),
      { numRuns: 60 },
    );
  });
});
