import { expect } from "chai";
import fc from "fast-check";
import {
  comparePrefixes,
  parsePrefix,
  parentPrefix,
  prefixesOfCsi,
  prefixLabels,
  prefixOf,
  parseCsi,
  type Node,
  type Prefix,
} from "@whither/protocol";
import type { ReferAnswer } from "@whither/wire";
import {
  directoryFixtureSeconds as now,
  makeDirectoryObjects,
  makeRootFixture,
  outcomeOf,
  prefixesFixture,
} from "@whither/testkit";
import { nodeVerifier } from "../signed.js";
import { delegationOf, type Delegation } from "./delegation.js";
import type { Directory, DirectoryObjects } from "./directory.js";
import { verifyReferral, type VerifiedReferral } from "./referral.js";
import { markOf, rootPlace, verifyTrust, type DirectoryMark } from "./trust.js";
import { verifyDirectory } from "./verify.js";

const root = makeRootFixture();
const { anchors } = root;
const verify = (objects: DirectoryObjects): Directory =>
  verifyDirectory({ objects, anchors, nowSeconds: now, verifier: nodeVerifier });
const directory = verify(makeDirectoryObjects({ root }));

function answer(asked: Prefix, from: Directory = directory): ReferAnswer {
  const { node, cover } = from.refer(asked);
  return {
    ...from.trust.voucher,
    head: from.trust.headObject,
    node: node.object,
    ...(cover === undefined ? {} : { cover: cover.object }),
  };
}

function check(
  asked: Prefix,
  response: ReferAnswer,
  options: { readonly parent?: Node; readonly previous?: DirectoryMark } = {},
): VerifiedReferral {
  const { rootKeys, head } = response;
  const { previous, parent } = options;
  const by = { nowSeconds: now, verifier: nodeVerifier };
  const trust = verifyTrust({ rootKeys: rootKeys!, head, anchors, previous, ...by });
  return verifyReferral({ asked, response, trust, parent, ...by });
}

const inRoot = (path: readonly Node[]) => path.map((node) => ({ zone: rootPlace.zone, node }));
const objectOf = (prefix: string) => directory.node(parsePrefix(prefix))!.object;

describe("referral", () => {
  const cases: readonly (readonly [asked: string, node: string, cover: string, deeper: boolean])[] =
    [
      [".", ".", "-", true],
      ["tel:", "tel:", "-", true],
      ["tel:+4", "tel:+4", "-", true],
      ["tel:+49", "tel:+49", "-", false],
      ["tel:+4930", "tel:+49", "-", false],
      ["tel:+42", "tel:+4", "-", false],
      ["tel:+45", "tel:+4", "tel:+44", false],
      ["tel:+48", "tel:+4", "tel:+44", false],
      ["tel:+442", "tel:+44", "tel:+441", false],
      ["tel:+440", "tel:+44", "-", false],
      ["tel:+441481", "tel:+441481", "-", false],
      ["tel:+7", "tel:", "tel:+4", false],
      ["mailto:com", "mailto:", "-", false],
      ["mailto:example.org", "mailto:example.org", "-", false],
      ["mailto:example.com", "mailto:", "-", false],
      ["mailto:zz", "mailto:", "mailto:org", false],
      ["mailto:f.org", "mailto:org", "mailto:example.org", false],
    ];
  for (const [asked, node, cover, deeper] of cases) {
    it(`for ${asked} is ${node}${cover === "-" ? "" : `, absence covered by ${cover}`}`, () => {
      const found = check(parsePrefix(asked), answer(parsePrefix(asked)));
      expect([found.node.prefix, found.cover?.prefix ?? "-", found.hasDeeper]).to.deep.equal([
        node,
        cover,
        deeper,
      ]);
      expect(found.exact).to.equal(asked === node);
    });
  }

  const asked45 = parsePrefix("tel:+45");
  const asked49 = parsePrefix("tel:+49");
  const good = answer(asked45);
  const hostile: readonly (readonly [string, Prefix, ReferAnswer, string])[] = [
    ["no proof of absence", asked45, { ...good, cover: undefined } as never, "DENIAL_MISSING"],
    [
      "the sibling after the gap as proof",
      asked45,
      { ...good, cover: objectOf("tel:+49") },
      "DENIAL_MISSING",
    ],
    ["a cousin as proof", asked45, { ...good, cover: objectOf("mailto:") }, "DENIAL_MISSING"],
    [
      "a node of another depth as proof",
      asked45,
      { ...good, cover: objectOf("tel:+441") },
      "DENIAL_MISSING",
    ],
    ["an existing node denied", asked49, { ...good, cover: objectOf("tel:+44") }, "DENIAL_MISSING"],
    [
      "an existing first child denied",
      parsePrefix("tel:+44"),
      { ...good, cover: undefined } as never,
      "DENIAL_MISSING",
    ],
    ["a node beside the path", asked45, { ...good, node: objectOf("tel:+49") }, "BOGUS"],
    [
      "a node below the asked one",
      parsePrefix("tel:+44"),
      { ...good, node: objectOf("tel:+441") },
      "BOGUS",
    ],
    [
      "a forged deeper node",
      parsePrefix("tel:+4930"),
      { ...good, node: { ...objectOf("tel:+49"), payload: new Uint8Array([1]) } },
      "BOGUS",
    ],
    [
      "a cover with another's signature",
      asked45,
      { ...good, cover: { ...objectOf("tel:+44"), signatures: objectOf("tel:+49").signatures } },
      "BOGUS",
    ],
  ];
  for (const [title, asked, response, code] of hostile) {
    it(`is refused with ${title}: ${code}`, () => {
      expect(outcomeOf(() => check(asked, response))).to.equal(code);
    });
  }

  it("is refused when it leads back up to above the node held", () => {
    const parent = directory.node(parsePrefix("tel:+4"))!.node;
    const upward = answer(parsePrefix("tel:+7"));
    expect(outcomeOf(() => check(asked49, upward, { parent }))).to.equal("BOGUS");
    expect(outcomeOf(() => check(asked49, answer(asked49), { parent }))).to.equal("ok");
  });

  it("does not look at a cover that was not asked for", () => {
    const surplus = { ...answer(asked49), cover: { payload: new Uint8Array(9), signatures: [] } };
    expect(check(asked49, surplus).cover).to.equal(undefined);
  });

  it("from an older directory than one seen is refused", () => {
    const next = verify(makeDirectoryObjects({ root, previous: directory, nowSeconds: now }));
    const previous = markOf(next.trust);
    expect(outcomeOf(() => check(asked49, answer(asked49), { previous }))).to.equal("ROLLBACK");
    // An old node under the new head still has its time; follower memory refuses it (walk.ts).
    const mixed = { ...answer(asked49, next), node: objectOf("tel:+49") };
    expect(outcomeOf(() => check(asked49, mixed, { previous }))).to.equal("ok");
  });
});

describe("longest match", () => {
  const digits = fc.stringMatching(/^[1-9][0-9]{0,4}$/);
  const hosts = fc.stringMatching(/^(?:[abc]\.){0,2}(?:aa|bb|cc)$/);
  const prefixes = fc.uniqueArray(
    fc.oneof(
      digits.map((one) => `tel:+${one}`),
      hosts.map((one) => `mailto:${one}`),
    ),
    { maxLength: 12 },
  );
  const csis = fc.array(
    fc.oneof(
      fc.stringMatching(/^[1-9][0-9]{0,4}$/).map((start) => `tel:+49${start}0000000`.slice(0, 16)),
      digits.map((start) => `tel:+1${start}55501000`.slice(0, 16)),
      hosts.map((host) => `mailto:x@${host}`),
    ),
    { minLength: 1, maxLength: 8 },
  );
  const lines = (list: readonly string[]): readonly string[] => [
    `"tel:": { zones: [rest@dp-c.example] }`,
    ...list.map((prefix, index) =>
      index % 5 === 4
        ? `"${prefix}": { unassigned: true }`
        : `"${prefix}": { zones: [${["de@dp-a", "gb@dp-b", "mail@dp-c", "sub@dp-a"][index % 4]}.example] }`,
    ),
  ];

  /** The definition, without a tree: the longest listed prefix that encloses the identifier. */
  function naive(csi: string, list: readonly string[]): string {
    const listed = new Set(["tel:", ...list]);
    const found = prefixesOfCsi(parseCsi(csi)).findLast((prefix) => listed.has(prefix));
    return (
      found ??
      (csi.startsWith("tel:")
        ? "tel:"
        : list.some((p) => p.startsWith("mailto:"))
          ? "mailto:"
          : ".")
    );
  }

  /** As a walking client does it: one label deeper only while there is something deeper. */
  function walk(csi: string, from: Directory): Delegation {
    const path: Node[] = [];
    const [, ...asked] = prefixesOfCsi(parseCsi(csi));
    for (const prefix of asked) {
      const found = check(
        prefix,
        answer(prefix, from),
        path.length === 0 ? {} : { parent: path.at(-1)! },
      );
      if (path.length === 0 || found.exact) path.push(found.node);
      if (!found.exact || !found.hasDeeper) break;
    }
    return delegationOf(inRoot(path));
  }

  it("by lookup, by verified walk and by definition agree on random trees", () => {
    fc.assert(
      fc.property(prefixes, csis, (list, wanted) => {
        const from = verify(makeDirectoryObjects({ root, prefixes: lines(list) }));
        for (const csi of wanted) {
          const expected = naive(csi, list);
          expect(from.delegation(parseCsi(csi)).prefix).to.equal(expected);
          const walked = walk(csi, from);
          expect(walked.prefix).to.equal(expected);
          expect(walked.authorities).to.deep.equal(from.delegation(parseCsi(csi)).authorities);
        }
      }),
      { numRuns: 25 },
    );
  });

  it("is the same, asked again and after others, as computed from the nodes on its path", () => {
    fc.assert(
      fc.property(prefixes, csis, (list, wanted) => {
        const from = verify(makeDirectoryObjects({ root, prefixes: lines(list) }));
        for (const csi of [...wanted, ...wanted].map((text) => parseCsi(text))) {
          const path = prefixesOfCsi(csi).flatMap((prefix) => from.node(prefix)?.node ?? []);
          expect(from.path(csi)).to.deep.equal(path);
          expect(from.delegation(csi)).to.deep.equal(delegationOf(inRoot(path)));
        }
      }),
      { numRuns: 25 },
    );
  });

  it("survives no tampered record, dropped node or reordered list", () => {
    fc.assert(
      fc.property(prefixes, fc.nat(), fc.nat(), fc.nat(2), (list, where, bit, how) => {
        const objects = makeDirectoryObjects({ root, prefixes: lines(list) });
        const at = where % objects.nodes.length;
        const nodes = [...objects.nodes];
        const [object] = nodes.splice(at, 1);
        if (how === 0) {
          const payload = Uint8Array.from(object!.payload);
          payload[bit % payload.length]! ^= 1 << (bit % 8);
          nodes.splice(at, 0, { ...object!, payload });
        } else if (how === 1) {
          nodes.splice(nodes.length - at, 0, object!);
          fc.pre(nodes.some((one, index) => one !== objects.nodes[index]));
        }
        expect(outcomeOf(() => verify({ ...objects, nodes }))).to.be.oneOf([
          "BOGUS",
          "KEY_MISSING",
        ]);
      }),
      { numRuns: 40 },
    );
  });

  it("keeps digest order and one label a level", () => {
    fc.assert(
      fc.property(prefixes, (list) => {
        const from = verify(makeDirectoryObjects({ root, prefixes: lines(list) }));
        const all = from.nodes().map(({ node }) => node.prefix);
        expect(all).to.deep.equal(all.toSorted(comparePrefixes));
        for (const prefix of all) {
          const above = parentPrefix(prefix);
          if (above !== undefined) expect(from.node(above)).to.not.equal(undefined);
        }
      }),
      { numRuns: 15 },
    );
  });

  it("takes the shortest TTL and the earliest end on the path", () => {
    const given = verify(
      makeDirectoryObjects({
        root,
        prefixes: [
          ...prefixesFixture.slice(0, 1),
          `"tel:+49": { zones: [de@dp-a.example], ttl_s: 60, relay_only: true }`,
        ],
      }),
    );
    const found = given.delegation(parseCsi("+493012345678"));
    expect(found).to.include({ prefix: "tel:+49", ttlSeconds: 60, relayOnly: true, serial: 1 });
    expect(found.path).to.deep.equal([".", "tel:", "tel:+4", "tel:+49"]);
    expect(found.notAfter).to.equal(now + 7 * 86_400);
    expect(prefixOf("tel", prefixLabels(found.prefix).slice(1))).to.equal(found.prefix);
    expect(given.delegation(parseCsi("mailto:a@b.example"))).to.include({
      prefix: ".",
      disposition: "unassigned",
    });
  });
});
