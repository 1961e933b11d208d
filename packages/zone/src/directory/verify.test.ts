import { expect } from "chai";
import { roles, type Node, type SignedObject } from "@whither/protocol";
import { createSigner, utf8, sha256 } from "@whither/crypto/node";
import { decodeNode, encodeNode } from "@whither/wire";
import {
  directoryFixtureSeconds as now,
  makeDirectoryObjects,
  makeRootFixture,
  outcomeOf,
  registryFixtureText,
  resignDirectory,
  type RootFixture,
} from "@whither/testkit";
import { nodeVerifier, signObject } from "../signed.js";
import type { Directory, DirectoryObjects } from "./directory.js";
import { markOf, type DirectoryMark } from "./trust.js";
import { verifyDirectory } from "./verify.js";

const day = 86_400;
const root = makeRootFixture();
const objects = makeDirectoryObjects({ root });

function verify(
  given: DirectoryObjects,
  options: {
    readonly root?: RootFixture;
    readonly nowSeconds?: number;
    readonly previous?: DirectoryMark;
  } = {},
): Directory {
  return verifyDirectory({
    objects: given,
    anchors: (options.root ?? root).anchors,
    nowSeconds: options.nowSeconds ?? now + 60,
    verifier: nodeVerifier,
    previous: options.previous,
  });
}

const flip = (object: SignedObject): SignedObject => ({
  ...object,
  payload: object.payload.map((byte, at) => (at === 3 ? byte ^ 1 : byte)),
});
const at = <T>(list: readonly T[], index: number, change: (value: T) => T): readonly T[] =>
  list.map((value, one) => (one === index ? change(value) : value));
const node = (prefix: string, change: Partial<Node>) => (nodes: readonly Node[]) =>
  nodes.map((one) => (one.prefix === prefix ? { ...one, ...change } : one));

describe("a signed directory", () => {
  it("verifies and answers by longest match", () => {
    const directory = verify(objects);
    expect(directory.serial).to.equal(1);
    expect(directory.head.nodeCount).to.equal(objects.nodes.length);
    expect(directory.registry.msps().map(({ id }) => id)).to.have.members([
      "wire.example",
      "video.example",
    ]);
  });

  const servers: readonly (readonly [string, DirectoryObjects, string])[] = [
    ["a changed node", { ...objects, nodes: at(objects.nodes, 4, flip) }, "BOGUS"],
    ["a changed record", { ...objects, records: at(objects.records, 1, flip) }, "BOGUS"],
    ["a changed head", { ...objects, head: flip(objects.head) }, "BOGUS"],
    ["changed root keys", { ...objects, rootKeys: flip(objects.rootKeys) }, "BOGUS"],
    ["a dropped node", { ...objects, nodes: objects.nodes.toSpliced(5, 1) }, "BOGUS"],
    ["the last node dropped", { ...objects, nodes: objects.nodes.slice(0, -1) }, "BOGUS"],
    ["a dropped record", { ...objects, records: objects.records.slice(1) }, "BOGUS"],
    ["nodes in another order", { ...objects, nodes: objects.nodes.toReversed() }, "BOGUS"],
    ["records in another order", { ...objects, records: objects.records.toReversed() }, "BOGUS"],
    [
      "a repeated record",
      { ...objects, records: [...objects.records, ...objects.records.slice(-1)] },
      "BOGUS",
    ],
    [
      "a node without signature",
      { ...objects, nodes: at(objects.nodes, 2, (o) => ({ ...o, signatures: [] })) },
      "KEY_MISSING",
    ],
    [
      "a record as a node",
      { ...objects, nodes: at(objects.nodes, 2, () => objects.records[0]!) },
      "BOGUS",
    ],
    ["no nodes", { ...objects, nodes: [] }, "BOGUS"],
    [
      "a node of 200 KB",
      {
        ...objects,
        nodes: at(objects.nodes, 2, (o) => ({ ...o, payload: new Uint8Array(200_000) })),
      },
      "TOO_LARGE",
    ],
  ];
  for (const [title, given, code] of servers) {
    it(`is refused from a server with ${title}: ${code}`, () => {
      expect(outcomeOf(() => verify(given))).to.equal(code);
    });
  }

  const stranger = createSigner(sha256(utf8("stranger")));
  it("is refused when one node is signed by somebody else", () => {
    const forged = signObject({
      type: "node",
      role: roles.rootZsk,
      zone: ".",
      signer: stranger,
      payload: objects.nodes[4]!.payload,
    });
    expect(
      outcomeOf(() => verify({ ...objects, nodes: at(objects.nodes, 4, () => forged) })),
    ).to.equal("KEY_MISSING");
  });
  it("is refused when a node carries the signature of another type", () => {
    const { payload } = objects.nodes[4]!;
    const forged = signObject({
      type: "registry",
      role: roles.rootZsk,
      zone: ".",
      signer: root.zsk,
      payload,
    });
    expect(
      outcomeOf(() => verify({ ...objects, nodes: at(objects.nodes, 4, () => forged) })),
    ).to.equal("BOGUS");
  });
});

describe("a root that breaks its own rules", () => {
  const de = decodeNode(
    objects.nodes.find((o) => decodeNode(o.payload).prefix === "tel:+49")!.payload,
  );
  const [authority] = de.authorities;
  const rules: readonly (readonly [string, (nodes: readonly Node[]) => readonly Node[], string])[] =
    [
      [
        "drops an intermediate",
        (nodes) => nodes.filter(({ prefix }) => prefix !== "tel:+4"),
        "BOGUS",
      ],
      [
        "drops a leaf and mends the links badly",
        (nodes) => nodes.filter(({ prefix }) => prefix !== "tel:+44"),
        "BOGUS",
      ],
      [
        "adds a node outside its parent",
        (nodes) => [...nodes, { ...de, prefix: nodes[1]!.prefix }],
        "BOGUS",
      ],
      [
        "repeats a node",
        (nodes) => nodes.flatMap((one) => (one.prefix === "tel:+49" ? [one, one] : [one])),
        "BOGUS",
      ],
      ["links siblings backwards", node("tel:+49", { nextSibling: "4" }), "BOGUS"],
      ["links a node to itself", node("tel:+49", { nextSibling: "9" }), "BOGUS"],
      ["announces a child that is missing", node("tel:+49", { firstChild: "1" }), "BOGUS"],
      ["hides a child", node("tel:+4", { firstChild: "9" }), "BOGUS"],
      ["gives the root a sibling", node(".", { nextSibling: "x" }), "BOGUS"],
      [
        "delegates the root",
        node(".", { disposition: "delegated", authorities: de.authorities }),
        "BOGUS",
      ],
      [
        "delegates upward to itself",
        node("tel:+49", { authorities: [{ ...authority!, zone: "." as never }] }),
        "BOGUS",
      ],
      [
        "delegates a zone of another DP",
        node("tel:+49", { authorities: [{ ...authority!, dpId: "dp-b.example" as never }] }),
        "BOGUS",
      ],
      ["names a zone twice", node("tel:+49", { authorities: [authority!, authority!] }), "BOGUS"],
      [
        "keeps children below a delegated directory",
        node("mailto:", { authorities: [{ ...authority!, kind: "directory" }] }),
        "BOGUS",
      ],
      [
        "mixes kinds",
        node("tel:+49", {
          authorities: [
            authority!,
            { ...authority!, zone: "sub@dp-a.example" as never, kind: "directory" },
          ],
        }),
        "BOGUS",
      ],
      ["makes a scheme a PARENT", node("tel:", { disposition: "parent" }), "BOGUS"],
      ["signs a node newer than the head", node("tel:+49", { serial: 2 }), "BOGUS"],
      [
        "lists 10,000 endpoints",
        node("tel:+49", {
          authorities: [
            {
              ...authority!,
              endpoints: Array.from({ length: 1_000 }, () => authority!.endpoints[0]!),
            },
          ],
        }),
        "INVALID_DATA",
      ],
      [
        "lives longer than 7 d",
        node("tel:+49", { notAfter: de.notBefore + 8 * day }),
        "INVALID_DATA",
      ],
      [
        "lets a node expire",
        node("tel:+49", { notAfter: now + 60 - 301, notBefore: now - day }),
        "EXPIRED",
      ],
      ["signs a node of tomorrow", node("tel:+49", { notBefore: now + day }), "NOT_YET_VALID"],
    ];
  for (const [title, nodes, code] of rules) {
    it(`and ${title} is refused: ${code}`, () => {
      expect(outcomeOf(() => verify(resignDirectory(objects, { root, nodes })))).to.equal(code);
    });
  }

  it("and lists 10,000 endpoints in one node is refused before it is hashed", () => {
    const nodes = node("tel:+49", {
      authorities: [
        {
          ...authority!,
          endpoints: Array.from({ length: 10_000 }, () => authority!.endpoints[0]!),
        },
      ],
    });
    expect(outcomeOf(() => verify(resignDirectory(objects, { root, nodes })))).to.equal(
      "TOO_LARGE",
    );
  });

  it("and counts fewer nodes than it sends is refused at the first surplus one", () => {
    const short = resignDirectory(objects, { root, head: { nodeCount: 3 } });
    expect(outcomeOf(() => verify(short))).to.equal("BOGUS");
  });
  it("and signs another digest is refused", () => {
    const other = resignDirectory(objects, { root, head: { digest: new Uint8Array(48) } });
    expect(outcomeOf(() => verify(other))).to.equal("BOGUS");
  });
  it("and signs the head of another zone is refused", () => {
    const other = resignDirectory(objects, { root, head: { zone: "de@dp-a.example" as never } });
    expect(outcomeOf(() => verify(other))).to.equal("BOGUS");
  });
  it("and gives a bit away twice is refused", () => {
    // The source refuses it, so the record is put in by hand.
    const twice = makeDirectoryObjects({
      root,
      registryText: registryFixtureText.replace("bit: 1,", "bit: 7,"),
    });
    expect(
      outcomeOf(() =>
        verify({ ...twice, records: at(twice.records, 3, () => objects.records[4]!) }),
      ),
    ).to.equal("BOGUS");
  });
  it("still passes the harness when nothing is changed", () => {
    expect(
      outcomeOf(() => verify(resignDirectory(objects, { root, nodes: (nodes) => nodes }))),
    ).to.equal("ok");
    expect(encodeNode(de)).to.deep.equal(encodeNode(decodeNode(encodeNode(de))));
  });
});

describe("root key set", () => {
  const [first, second, third] = root.ksks;
  const signed = (signers: RootFixture["ksks"]): DirectoryObjects => ({
    ...objects,
    rootKeys: makeRootFixture({ signers }).rootKeys,
  });
  const sets: readonly (readonly [string, DirectoryObjects, string])[] = [
    ["no KSK", signed([]), "KEY_MISSING"],
    ["one of three", signed([first!]), "KEY_MISSING"],
    ["one twice", signed([first!, first!]), "KEY_MISSING"],
    ["one and a stranger", signed([first!, createSigner(sha256(utf8("stranger")))]), "KEY_MISSING"],
    ["the second and third", signed([second!, third!]), "ok"],
    ["all three", signed([first!, second!, third!]), "ok"],
  ];
  for (const [title, given, code] of sets) {
    it(`signed by ${title}: ${code}`, () => {
      expect(outcomeOf(() => verify(given))).to.equal(code);
    });
  }

  it("is refused when it is older than the one already seen", () => {
    const newer = makeRootFixture({ version: 2 });
    const seen = markOf(verify(makeDirectoryObjects({ root: newer })).trust);
    expect(outcomeOf(() => verify(objects, { previous: seen }))).to.equal("ROLLBACK");
  });
});

describe("a directory in time", () => {
  const times: readonly (readonly [string, number, string])[] = [
    ["at its first second", now, "ok"],
    ["by a clock 300 s slow", now - 300, "ok"],
    ["by a clock a day slow", now - day, "CLOCK_SKEW"],
    ["at its last second", now + 7 * day, "ok"],
    ["within the tolerance after its end", now + 7 * day + 300, "ok"],
    ["after its end", now + 7 * day + 301, "EXPIRED"],
    ["a month later", now + 30 * day, "EXPIRED"],
  ];
  for (const [title, nowSeconds, code] of times) {
    it(`${title}: ${code}`, () => {
      expect(outcomeOf(() => verify(objects, { nowSeconds }))).to.equal(code);
    });
  }

  it("names by how much a slow clock is wrong", () => {
    expect(() => verify(objects, { nowSeconds: now - day })).to.throw(
      "local clock is 86400 s behind the signed directory",
    );
  });

  it("blames the clock rather than a ZSK that is as new as the directory", () => {
    const fresh = makeRootFixture({ zsk: { notBefore: now } });
    const given = makeDirectoryObjects({ root: fresh });
    expect(outcomeOf(() => verify(given, { root: fresh, nowSeconds: now - day }))).to.equal(
      "CLOCK_SKEW",
    );
  });

  it("is refused when its ZSK has ended or not begun", () => {
    const made = makeRootFixture({ zsk: { notAfter: now + day } });
    const given = makeDirectoryObjects({ root: made });
    expect(outcomeOf(() => verify(given, { root: made, nowSeconds: now + 2 * day }))).to.equal(
      "EXPIRED",
    );
    const early = makeRootFixture({ zsk: { notBefore: now + day, notAfter: now + 2 * day } });
    const moved = { ...objects, rootKeys: early.rootKeys };
    expect(outcomeOf(() => verify(moved, { root: early }))).to.equal("NOT_YET_VALID");
  });

  it("never goes back to an older serial or epoch, nor to a fork", () => {
    const old = verify(objects);
    const next = makeDirectoryObjects({ root, previous: old, nowSeconds: now + 30 });
    const seen = markOf(verify(next, { previous: markOf(old.trust) }).trust);
    expect(seen.serial).to.equal(2);
    expect(outcomeOf(() => verify(next, { previous: seen }))).to.equal("ok");
    expect(outcomeOf(() => verify(objects, { previous: seen }))).to.equal("ROLLBACK");
    const fork = makeDirectoryObjects({ root, previous: old, prefixes: [] });
    expect(outcomeOf(() => verify(fork, { previous: seen }))).to.equal("FORKED");
    const restored = makeDirectoryObjects({ root, nowSeconds: now + 50 });
    expect(outcomeOf(() => verify(restored, { previous: seen }))).to.equal("ok");
    expect(
      outcomeOf(() => verify(next, { previous: { ...seen, epoch: seen.epoch + 1 } })),
    ).to.equal("ROLLBACK");
  });
});
