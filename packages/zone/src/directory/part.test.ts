import { expect } from "chai";
import fc from "fast-check";
import { DiscoveryError, isWithin, parseCsi, parsePrefix, type Node } from "@whither/protocol";
import {
  directoryFixtureSeconds as now,
  makePartFixture,
  makePartObjects,
  outcomeOf,
  resignPart,
  type PartObjects,
} from "@whither/testkit";
import { nodeVerifier } from "../signed.js";
import { encodeArtefact, openArtefact, openPartArtefact } from "./artefact.js";
import { SourceError } from "./yaml-source.js";

const part = makePartFixture();
const { apex, zone, manifestSha256 } = part;
const prefixes = [
  `"tel:+49": { zones: [de@dp-a.example] }`,
  `"tel:+4930": { zones: [gb@dp-b.example] }`,
  `"tel:+4940": { directory: [sub@dp-b.example] }`,
];
const delegation = { apex, authority: { zone, manifestSha256: [manifestSha256] } };
const open = (objects: PartObjects, over: Partial<typeof delegation> = {}) =>
  openPartArtefact({
    bytes: encodeArtefact(objects),
    part: { ...delegation, ...over },
    nowSeconds: now,
    verifier: nodeVerifier,
  });
const objects = makePartObjects(part, { prefixes });

function mistake(lines: readonly string[]): string {
  try {
    makePartObjects(part, { prefixes: lines });
    return "ok";
  } catch (error) {
    const cause = error instanceof DiscoveryError ? error.cause : error;
    if (cause instanceof SourceError) return cause.message;
    throw error;
  }
}

describe("a part of the directory", () => {
  it("begins at its apex, has no registry and is signed by its zone key", () => {
    const { directory } = open(objects);
    expect(directory.nodes().map(({ node }) => node.prefix)).to.deep.equal([
      "tel:+49",
      "tel:+493",
      "tel:+4930",
      "tel:+494",
      "tel:+4940",
    ]);
    expect(directory.head).to.include({ zone, recordCount: 0, nodeCount: 5, registryVersion: 0 });
    expect(directory.registry.dps()).to.deep.equal([]);
    expect(directory.delegation(parseCsi("+4930123456"))).to.include({ prefix: "tel:+4930", zone });
    expect(directory.delegation(parseCsi("+4989123456"))).to.include({ prefix: "tel:+49", zone });
    expect(directory.path(parseCsi("+442079460123"))).to.deep.equal([]);
    expect(outcomeOf(() => directory.refer(parsePrefix("tel:+44")))).to.equal("NOT_AUTHORITATIVE");
  });

  it("keeps signatures and counts on, as the root does", () => {
    const first = open(objects).directory;
    const next = open(makePartObjects(part, { prefixes, previous: first, nowSeconds: now + 60 }));
    expect(next.directory.serial).to.equal(2);
    expect(next.directory.nodes()[0]?.object).to.deep.equal(first.nodes()[0]?.object);
  });

  const changed = (change: (node: Node) => Partial<Node>): PartObjects =>
    resignPart(objects, part, {
      nodes: (nodes) => nodes.map((node) => ({ ...node, ...change(node) })),
    });
  const wrong: readonly (readonly [string, () => unknown, string])[] = [
    ["read as the root", () => openArtefact(asRoot()), "INVALID_DATA"],
    ["below another apex", () => open(objects, { apex: parsePrefix("tel:+4930") }), "BOGUS"],
    ["above its own apex", () => open(objects, { apex: parsePrefix("tel:+4") }), "BOGUS"],
    ["with a node left out", () => open(withoutOne()), "BOGUS"],
    [
      "with a sibling of its apex",
      () => open(changed(({ prefix }) => (prefix === apex ? { nextSibling: "9" } : {}))),
      "BOGUS",
    ],
    ["for another zone", () => open(objects, { authority: other() }), "BOGUS"],
    ["under another manifest", () => open(objects, { authority: renewed() }), "BOGUS"],
    [
      "with the manifest of a mapping zone",
      () => {
        const voprfKeys = [
          { kid: new Uint8Array(4), publicKey: new Uint8Array(32), notAfter: now },
        ];
        const mapping = makePartFixture({ manifest: { voprfKeys } });
        const authority = { zone, manifestSha256: [mapping.manifestSha256] };
        return open(makePartObjects(mapping, { prefixes }), { authority });
      },
      "BOGUS",
    ],
    [
      "whose zone keys have all ended",
      () => {
        const { publicKey } = part.signer;
        const zoneKeys = [{ publicKey, notBefore: now - 9000, notAfter: now - 1000 }];
        const ended = makePartFixture({ manifest: { zoneKeys } });
        const authority = { zone, manifestSha256: [ended.manifestSha256] };
        return open({ ...objects, manifest: ended.manifest }, { authority });
      },
      "EXPIRED",
    ],
  ];
  const asRoot = () => ({
    bytes: encodeArtefact(objects),
    anchors: { version: 1, threshold: 1, keys: [part.signer.publicKey], tlsCaPem: [] },
    nowSeconds: now,
    verifier: nodeVerifier,
  });
  const withoutOne = () => resignPart(objects, part, { nodes: (nodes) => nodes.toSpliced(2, 1) });
  const other = () => ({
    zone: makePartFixture({ zone: "sub@dp-b.example" }).zone,
    manifestSha256: [manifestSha256],
  });
  const renewed = () => ({
    zone,
    manifestSha256: [makePartFixture({ label: "x" }).manifestSha256],
  });
  for (const [title, work, code] of wrong) {
    it(`is refused ${title}: ${code}`, () => {
      expect(outcomeOf(work)).to.equal(code);
    });
  }

  const sources: readonly (readonly [string, readonly string[], RegExp])[] = [
    [
      "a prefix outside",
      [`"tel:+44": { zones: [gb@dp-b.example] }`],
      /at or below the apex tel:\+49/,
    ],
    [
      "a range outside",
      [`"tel:+44207900..+44207949": { zones: [gb@dp-b.example] }`],
      /at or below the apex/,
    ],
    ["an apex that is as the node above", [`"tel:+49": { parent: true }`], /at the apex/],
    [
      "an apex that is delegated on",
      [`"tel:+49": { directory: [sub@dp-b.example] }`],
      /at the apex/,
    ],
    [
      "a delegation to itself",
      [`"tel:+4930": { directory: [sub@dp-a.example] }`],
      /own, got sub@dp-a/,
    ],
    [
      "two directories",
      [`"tel:+4930": { directory: [sub@dp-b.example, sub@dp-c.example] }`],
      /might disagree/,
    ],
  ];
  for (const [title, lines, expected] of sources) {
    it(`does not compile with ${title}`, () => {
      expect(mistake(lines)).to.match(expected);
    });
  }

  it("holds nothing outside its apex, whatever its prefixes are", () => {
    const below = fc.stringMatching(/^[0-9]{1,4}$/).map((digits) => `tel:+49${digits}`);
    fc.assert(
      fc.property(fc.uniqueArray(below, { minLength: 1, maxLength: 12 }), (list) => {
        const lines = list.map((prefix) => `"${prefix}": { zones: [de@dp-a.example] }`);
        const { directory } = open(makePartObjects(part, { prefixes: lines }));
        for (const { node } of directory.nodes()) {
          expect(isWithin(node.prefix, apex)).to.equal(true);
          const { node: referred } = directory.refer(node.prefix);
          expect(referred.node.prefix).to.equal(node.prefix);
        }
        expect(list.every((prefix) => directory.node(parsePrefix(prefix)) !== undefined)).to.equal(
          true,
        );
      }),
      { numRuns: 25 },
    );
  });
});
