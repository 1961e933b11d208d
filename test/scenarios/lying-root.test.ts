// A root, or a directory server, that lies: with and without the zone-signing key, to those who hold the
// directory and to those who ask for it. Whoever held a good one goes on with it.

import { expect } from "chai";
import { isDiscoveryError, parseCsi, roles, type Node, type SignedObject } from "@whither/protocol";
import {
  createFederation,
  EventLog,
  fixedSigner,
  flipSignature,
  malleateSignature,
  resignDirectory,
  smallOrderSigner,
  type DirectoryLies,
  type Federation,
} from "@whither/testkit";
import { decodeNode, encodeNode, type ReferAnswer } from "@whither/wire";
import { signObject, type DirectoryObjects } from "@whither/zone";
import { flip, outcomeOf } from "./both-ways.js";

const alice = parseCsi("+4930123456");
const day = 86_400;
const found = "found wire.example";

async function start(): Promise<Federation> {
  const federation = await createFederation({ seed: 21 });
  await federation.register({ csi: alice, msps: ["wire.example"] });
  await federation.publish();
  return federation;
}

/** Why the last fetch of the whole directory was refused. */
function refusalOf(log: EventLog): string | undefined {
  const error = log.last("directory refresh failed")?.fields["error"];
  return isDiscoveryError(error) ? error.code : undefined;
}

/** Lets time pass until the next fetch in the background has failed. */
async function polled({ clock }: Federation, log: EventLog): Promise<void> {
  const before = log.events.length;
  const failed = (): boolean =>
    log.events.slice(before).some(({ event }) => event === "directory refresh failed");
  for (let seconds = 0; !failed() && seconds < 1_100; seconds += 10) await clock.advance(10_000);
}

type Change = (objects: DirectoryObjects, federation: Federation) => DirectoryObjects;

const resign =
  (nodes: (nodes: readonly Node[]) => readonly Node[]): Change =>
  (objects, { root }) =>
    resignDirectory(objects, { root, nodes });
const nodeAt = (prefix: string, change: (node: Node) => Node) => (nodes: readonly Node[]) =>
  nodes.map((node) => (node.prefix === prefix ? change(node) : node));
const objectAt =
  (
    prefix: string,
    change: (object: SignedObject, federation: Federation) => SignedObject,
  ): Change =>
  (objects, federation) => ({
    ...objects,
    nodes: objects.nodes.map((object) =>
      decodeNode(object.payload).prefix === prefix ? change(object, federation) : object,
    ),
  });
const place = { type: "node", role: roles.rootZsk, zone: "." } as const;
const times = (seconds: number) => (node: Node) => ({
  ...node,
  notBefore: node.notBefore + seconds,
  notAfter: node.notAfter + seconds,
});
/** Somebody else's zone of the same federation. */
const authorityOf = (nodes: readonly Node[], prefix: string) =>
  nodes.find((node) => node.prefix === prefix)!.authorities;

/** [what it does, how, what a mirror says of it, what a walk for +49 ends with] */
const directories: readonly (readonly [string, Change, string, string])[] = [
  [
    "drops a node that its siblings announce",
    resign((nodes) => nodes.filter(({ prefix }) => prefix !== "tel:+49")),
    "BOGUS",
    "DENIAL_MISSING",
  ],
  [
    "drops a node and one more, so that the count fits the head",
    (objects, federation) => {
      const nodes = objects.nodes.filter((o) => decodeNode(o.payload).prefix !== "tel:+49");
      return {
        ...objects,
        nodes: [...nodes, nodes.at(-1)!].slice(0, federation.directory.nodes().length),
      };
    },
    "BOGUS",
    "DENIAL_MISSING",
  ],
  [
    "forges a deeper node that no node announces",
    resign((nodes) => {
      const de = nodes.find(({ prefix }) => prefix === "tel:+49")!;
      const deeper = { ...de, prefix: "tel:+493" as Node["prefix"], nextSibling: "" };
      const at = nodes.indexOf(de) + 1;
      return [...nodes.slice(0, at), deeper, ...nodes.slice(at)];
    }),
    "BOGUS",
    found,
  ],
  [
    "forges a deeper node under another key, and announces it",
    (objects, { root }) => {
      const announced = resignDirectory(objects, {
        root,
        nodes: nodeAt("tel:+49", (node) => ({ ...node, firstChild: "3" })),
      });
      const de = objects.nodes.map(({ payload }) => decodeNode(payload));
      const payload = encodeNode({
        ...de.find(({ prefix }) => prefix === "tel:+49")!,
        prefix: "tel:+493" as Node["prefix"],
        nextSibling: "",
        authorities: authorityOf(de, "tel:+44"),
      });
      const forged = signObject({ ...place, payload, signer: fixedSigner("not the root") });
      const at = announced.nodes.findIndex((o) => decodeNode(o.payload).prefix === "tel:+49") + 1;
      return { ...announced, nodes: announced.nodes.toSpliced(at, 0, forged) };
    },
    "KEY_MISSING",
    "KEY_MISSING",
  ],
  [
    "announces a child that there is not",
    resign(nodeAt("tel:+49", (node) => ({ ...node, firstChild: "3" }))),
    "BOGUS",
    "DENIAL_MISSING",
  ],
  [
    "says that nobody serves a prefix, under another key",
    objectAt("tel:+49", (object) => {
      const node = decodeNode(object.payload);
      const payload = encodeNode({ ...node, disposition: "unassigned", authorities: [] });
      return signObject({ ...place, payload, signer: fixedSigner("not the root") });
    }),
    "KEY_MISSING",
    "KEY_MISSING",
  ],
  [
    "lists 10,000 endpoints",
    resign(
      nodeAt("tel:+49", (node) => ({
        ...node,
        authorities: node.authorities.map((authority) => ({
          ...authority,
          endpoints: Array.from({ length: 10_000 }, () => authority.endpoints[0]!),
        })),
      })),
    ),
    "TOO_LARGE",
    "TOO_LARGE",
  ],
  [
    "lists 14 endpoints",
    resign(
      nodeAt("tel:+49", (node) => ({
        ...node,
        authorities: node.authorities.map((authority) => ({
          ...authority,
          endpoints: Array.from({ length: 14 }, () => authority.endpoints[0]!),
        })),
      })),
    ),
    "INVALID_DATA",
    "INVALID_DATA",
  ],
  [
    "lists 9 authorities",
    resign((nodes) =>
      nodeAt("tel:+49", (node) => ({
        ...node,
        authorities: Array.from({ length: 9 }, () => node.authorities[0]!),
      }))(nodes),
    ),
    "INVALID_DATA",
    "INVALID_DATA",
  ],
  [
    "delegates a prefix to itself as a directory",
    resign(
      nodeAt("tel:+49", (node) => ({
        ...node,
        authorities: node.authorities.map((one) => ({ ...one, kind: "directory" as const })),
      })),
    ),
    "ok",
    "NOT_AVAILABLE",
  ],
  [
    "puts a node twice",
    (objects) => ({ ...objects, nodes: [...objects.nodes, objects.nodes.at(-1)!] }),
    "BOGUS",
    found,
  ],
  [
    "sends nodes in another order",
    (objects) => ({ ...objects, nodes: objects.nodes.toReversed() }),
    "BOGUS",
    found,
  ],
  [
    "signs a node that has expired",
    resign(nodeAt("tel:+49", times(-30 * day))),
    "EXPIRED",
    "EXPIRED",
  ],
  [
    "signs a node not valid yet",
    resign(nodeAt("tel:+49", times(day))),
    "NOT_YET_VALID",
    "NOT_YET_VALID",
  ],
  [
    "sends a node unsigned",
    objectAt("tel:+49", (o) => ({ ...o, signatures: [] })),
    "KEY_MISSING",
    "KEY_MISSING",
  ],
  [
    "flips a bit of a node",
    objectAt("tel:+49", (o) => ({ ...o, payload: flip(o.payload, -1) })),
    "BOGUS",
    "BOGUS",
  ],
  [
    "flips a bit of a node's signature",
    objectAt("tel:+49", (o) => flipSignature(o)),
    "BOGUS",
    "BOGUS",
  ],
  [
    "malleates a node's signature",
    objectAt("tel:+49", (o) => malleateSignature(o)),
    "BOGUS",
    "BOGUS",
  ],
  [
    "signs with the identity, under the key id of the root",
    objectAt("tel:+49", ({ payload }, { root }) =>
      signObject({
        ...place,
        payload,
        signer: { ...smallOrderSigner(), keyId: root.zsk.keyId },
      }),
    ),
    "BOGUS",
    "BOGUS",
  ],
  [
    "takes the signature of another node",
    (objects, federation) =>
      objectAt("tel:+49", (object) => ({
        ...object,
        signatures: objects.nodes.find((o) => decodeNode(o.payload).prefix === "tel:+44")!
          .signatures,
      }))(objects, federation),
    "BOGUS",
    "BOGUS",
  ],
  [
    "signs a node with 17 signatures",
    objectAt("tel:+49", (o) => ({
      ...o,
      signatures: Array.from({ length: 17 }, () => o.signatures[0]!),
    })),
    "INVALID_DATA",
    "INVALID_DATA",
  ],
  [
    "signs its key set with one key of two",
    (o) => ({ ...o, rootKeys: { ...o.rootKeys, signatures: o.rootKeys.signatures.slice(1) } }),
    "KEY_MISSING",
    "KEY_MISSING",
  ],
  [
    "signs its key set twice with one key",
    (o) => ({
      ...o,
      rootKeys: {
        ...o.rootKeys,
        signatures: [o.rootKeys.signatures[0]!, o.rootKeys.signatures[0]!],
      },
    }),
    "KEY_MISSING",
    "KEY_MISSING",
  ],
  [
    "flips a bit of its head",
    (o) => ({ ...o, head: { ...o.head, payload: flip(o.head.payload, 5) } }),
    "BOGUS",
    "BOGUS",
  ],
  [
    "leaves a registry record out",
    (objects) => ({ ...objects, records: objects.records.slice(1) }),
    "BOGUS",
    "BOGUS",
  ],
];

/** Lies about order and number, which what has changed since does not carry: laid over the truth, it is true. */
const onlyInAWhole = ["puts a node twice", "sends nodes in another order"];

describe("a root that lies", () => {
  for (const [title, change, mirrored, walked] of directories) {
    it(`${title}: ${mirrored} to a mirror, ${walked} to a walk, and then the truth`, async () => {
      await using federation = await start();
      federation.replaceDirectory(change(federation.directory.objects(), federation));
      const log = new EventLog();
      const resolvers = [
        await federation.resolver({ mirror: true, log }),
        await federation.resolver({ mirror: false }),
      ];
      expect(refusalOf(log) ?? "ok").to.equal(mirrored);
      // Without a mirror the first one walks too.
      for (const resolver of resolvers) {
        expect(await outcomeOf(resolver, alice)).to.equal(walked);
        expect(await outcomeOf(resolver, alice), "the same, remembered").to.equal(walked);
      }
      await federation.clock.advance(1_000);
      federation.replaceDirectory(signedAgain(federation));
      await federation.clock.advance(3_700_000); // failures and nodes are forgotten, the mirror asks again
      for (const resolver of resolvers) {
        expect(await outcomeOf(resolver, alice, { refresh: true })).to.equal(found);
      }
    });

    if (mirrored === "ok") continue;
    it(`${title}: whoever holds a good directory goes on with it`, async () => {
      await using federation = await start();
      const log = new EventLog();
      const resolver = await federation.resolver({ mirror: true, log });
      expect(await outcomeOf(resolver, alice)).to.equal(found);
      federation.replaceDirectory(change(signedAgain(federation), federation));
      await polled(federation, log);
      expect(refusalOf(log)).to.equal(onlyInAWhole.includes(title) ? undefined : mirrored);
      expect(await outcomeOf(resolver, alice, { refresh: true })).to.equal(found);
    });
  }

  it("drops a node and links its siblings anew: that is its right, and public", async () => {
    await using federation = await start();
    for (const mirror of [true, false]) {
      federation.replaceDirectory(
        federation.signDirectory({ prefixes: [`"tel:": { unassigned: true }`] }),
      );
      const resolver = await federation.resolver({ mirror });
      const answer = await resolver.lookup(alice);
      expect(answer).to.include({ status: "none" });
      expect(answer.proof).to.include({ kind: "absence", zone: "." });
    }
  });
});

/** The next serial after everything that was served, right again. */
function signedAgain(federation: Federation): DirectoryObjects {
  return federation.signDirectory();
}

describe("a root that goes back", () => {
  it("ROLLBACK to a walk; a mirror goes on with the newer one", async () => {
    await using federation = await start();
    const old = federation.directory.objects();
    await federation.clock.advance(1_000);
    federation.replaceDirectory();
    const log = new EventLog();
    const mirror = await federation.resolver({ mirror: true, log });
    const walk = await federation.resolver({ mirror: false });
    for (const resolver of [mirror, walk]) {
      expect(await outcomeOf(resolver, alice)).to.equal(found);
    }
    federation.replaceDirectory(old);
    expect(await outcomeOf(walk, parseCsi("+442079460123"))).to.equal("ROLLBACK");
    await polled(federation, log);
    expect(refusalOf(log)).to.equal("ROLLBACK");
    expect(await outcomeOf(mirror, parseCsi("+442079460123"))).to.equal("none");
    expect(await outcomeOf(mirror, alice, { refresh: true })).to.equal(found);
  });

  it("FORKED when two directories have one serial", async () => {
    await using federation = await start();
    const log = new EventLog();
    const mirror = await federation.resolver({ mirror: true, log });
    const walk = await federation.resolver({ mirror: false });
    expect(await outcomeOf(walk, alice)).to.equal(found);
    const { root } = federation;
    federation.replaceDirectory(
      resignDirectory(federation.directory.objects(), {
        root,
        nodes: nodeAt("tel:+44", (node) => ({ ...node, ttlSeconds: 60 })),
      }),
    );
    expect(await outcomeOf(walk, parseCsi("+442079460123"))).to.equal("FORKED");
    await polled(federation, log);
    expect(refusalOf(log)).to.equal("FORKED");
    expect(await outcomeOf(mirror, parseCsi("+442079460123"))).to.equal("none");
  });
});

/** Answers to the walk's second and third question, replaced. */
const referrals: readonly (readonly [
  string,
  (answer: ReferAnswer, at: (prefix: string) => SignedObject) => ReferAnswer,
  string,
])[] = [
  ["upward", (a, at) => ({ ...a, node: at("tel:"), cover: at("tel:+9") }), "DENIAL_MISSING"],
  ["to the top", (a, at) => ({ ...a, node: at(".") }), "DENIAL_MISSING"],
  ["in a circle", (a, at) => ({ ...a, node: at("tel:+4") }), "DENIAL_MISSING"],
  ["sideways", (a, at) => ({ ...a, node: at("tel:+44") }), "BOGUS"],
  ["into another scheme", (a, at) => ({ ...a, node: at("mailto:") }), "BOGUS"],
  [
    "past the end of the siblings, with the proof of another level",
    (a, at) => ({ ...a, node: at("tel:+4"), cover: at("tel:+9") }),
    "DENIAL_MISSING",
  ],
  [
    "to the node above, with a sibling that does not cover",
    (a, at) => ({ ...a, node: at("tel:+4"), cover: at("tel:+44") }),
    "DENIAL_MISSING",
  ],
];

describe("a directory server that leads", () => {
  for (const [title, change, code] of referrals) {
    it(`${title}: ${code}`, async () => {
      await using federation = await start();
      const objects = new Map(
        federation.directory.nodes().map(({ node, object }) => [node.prefix as string, object]),
      );
      const lies: DirectoryLies = {
        refer: (answer) =>
          decodeNode(answer.node.payload).prefix === "tel:+49"
            ? change(answer, (prefix) => objects.get(prefix)!)
            : answer,
      };
      federation.tamperDirectory(lies);
      const resolver = await federation.resolver({ mirror: false });
      let rpcs = 0;
      federation.tap((record) => (rpcs += record.kind === "open" ? 1 : 0));
      expect(await outcomeOf(resolver, alice)).to.equal(code);
      expect(rpcs).to.be.lessThan(8);
      federation.tamperDirectory(undefined);
      await federation.clock.advance(6_000);
      expect(await outcomeOf(resolver, alice)).to.equal(found);
    });
  }
});
