import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { DiscoveryError, parseCsi, type Csi } from "@whither/protocol";
import {
  directoryFixtureSeconds,
  directoryWorldAddress,
  makeArtefact,
  makeDirectoryObjects,
  makeDirectoryWorld,
  makeRootFixture,
  outcomeOfLater,
  prefixesFixture,
  resignDirectory,
  type DirectoryWorld,
  type DirectoryWorldOptions,
} from "@whither/testkit";
import { decodeNode, decodeReferAnswer, encodeReferAnswer, type ReferAnswer } from "@whither/wire";
import type { Directory } from "@whither/zone";
import type { DelegationOptions, Hop } from "./follower.js";

const root = makeRootFixture();
const firstObjects = makeDirectoryObjects({ root });
const first = makeArtefact(firstObjects);
const second = makeArtefact({
  previous: first.directory,
  prefixes: prefixesFixture.map((line) =>
    line.replace(`"tel:": { unassigned: true }`, `"tel:": { unassigned: true, ttl_s: 3000 }`),
  ),
  nowSeconds: directoryFixtureSeconds + 60,
});
const phone = parseCsi("+4930123456");
const mail = parseCsi("mailto:alice@mail.example.org");

describe("directory follower, walking", () => {
  const open: DirectoryWorld[] = [];
  function makeWorld(options?: DirectoryWorldOptions): DirectoryWorld {
    const world = makeDirectoryWorld(options);
    open.push(world);
    return world;
  }
  let folder = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "whither-directory-"));
  });
  afterEach(async () => {
    for (const world of open.splice(0)) await world[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  describe("walking", () => {
    const walks: readonly (readonly [csi: string, told: readonly string[], prefix: string])[] = [
      ["+4930123456", ["tel:", "tel:+4", "tel:+49"], "tel:+49"],
      [
        "+441481960194",
        ["tel:", "tel:+4", "tel:+44", "tel:+441", "tel:+4414", "tel:+44148", "tel:+441481"],
        "tel:+441481",
      ],
      ["+442079460123", ["tel:", "tel:+4", "tel:+44", "tel:+442"], "tel:+44"],
      ["+33123456789", ["tel:"], "tel:"],
      ["+14155550123", ["tel:"], "tel:"],
      ["+99912345678", ["tel:", "tel:+9", "tel:+99", "tel:+999"], "tel:+999"],
      [
        "mailto:alice@mail.example.org",
        ["mailto:", "mailto:org", "mailto:example.org"],
        "mailto:example.org",
      ],
      ["mailto:alice@example.com", ["mailto:"], "mailto:"],
      ["mailto:alice@example.net", ["mailto:"], "mailto:"],
      ["acct:bob@video.example", ["acct:"], "acct:"],
    ];
    for (const [csi, told, prefix] of walks) {
      it(`for ${csi} tells ${told.join(", ")}`, async () => {
        const { follower, calls } = makeWorld();
        const hops: Hop[] = [];
        const found = await follower.delegation(
          csi.startsWith("+999") ? ("tel:+99912345678" as Csi) : parseCsi(csi),
          {
            onHop: (hop) => hops.push(hop),
          },
        );
        expect(found.prefix).to.equal(prefix);
        expect(calls).to.deep.equal(told.map((one) => `Refer ${one}`));
        expect(hops.map((hop) => hop.told)).to.deep.equal(told);
        expect(new Set(hops.map(({ from, verdict }) => `${from} ${verdict}`))).to.deep.equal(
          new Set([`${directoryWorldAddress} verified`]),
        );
      });
    }

    it("asks nothing twice, and denies from what it has seen", async () => {
      const { follower, calls } = makeWorld();
      await follower.delegation(parseCsi("+4530123456"));
      expect(calls).to.deep.equal(["Refer tel:", "Refer tel:+4", "Refer tel:+45"]);
      calls.length = 0;
      const found = await follower.delegation(parseCsi("+4730123456"));
      expect(found).to.include({ prefix: "tel:", disposition: "unassigned" });
      expect(calls).to.deep.equal([]);
    });

    it("asks again when the TTL is over, and lets no child outlive its parent", async () => {
      const prefixes = [
        `"tel:": { unassigned: true, ttl_s: 60 }`,
        `"tel:+4": { zones: [de@dp-a.example], ttl_s: 3600 }`,
      ];
      const { follower, calls, clock } = makeWorld({
        artefact: makeArtefact(makeDirectoryObjects({ root, prefixes })),
      });
      await follower.delegation(phone);
      await clock.advance(59_000);
      await follower.delegation(phone);
      expect(calls).to.have.length(2);
      await clock.advance(1_000);
      await follower.delegation(phone);
      expect(calls).to.deep.equal(["Refer tel:", "Refer tel:+4", "Refer tel:", "Refer tel:+4"]);
    });

    it("asks once for many who want the same, and goes on when one of them leaves", async () => {
      const { follower, calls } = makeWorld();
      const leaving = new AbortController();
      const left = outcomeOfLater(follower.delegation(phone, { signal: leaving.signal }));
      const others = Promise.all(Array.from({ length: 20 }, () => follower.delegation(phone)));
      leaving.abort();
      expect(await left).to.equal("CANCELLED");
      expect(new Set((await others).map(({ prefix }) => prefix))).to.deep.equal(
        new Set(["tel:+49"]),
      );
      expect(calls).to.have.length(3);
    });

    it("charges each referral before it asks, and stops at the budget", async () => {
      const { follower, calls } = makeWorld();
      const spent = { rpc: 0, referral: 0, verification: 0, bytes: 0 };
      const spend: DelegationOptions["spend"] = (kind, amount) => {
        spent[kind] += amount;
        if (spent.referral > 2) throw new DiscoveryError("BUDGET", "referrals are used up");
      };
      expect(await outcomeOfLater(follower.delegation(phone, { spend }))).to.equal("BUDGET");
      expect(calls).to.have.length(2);
      expect(spent).to.include({ rpc: 2, referral: 3 });
      // Root keys by two KSKs, head, node; then a node alone: what was verified is known.
      expect(spent.verification).to.equal(4 + 1);
      expect(spent.bytes).to.be.greaterThan(500);
    });

    it("never asks below a registrable domain", async () => {
      const prefixes = [
        ...prefixesFixture,
        `"mailto:mail.example.org": { zones: [mail@dp-b.example], relay_only: true }`,
      ];
      const { follower, calls } = makeWorld({
        artefact: makeArtefact(makeDirectoryObjects({ root, prefixes })),
      });
      expect(await outcomeOfLater(follower.delegation(mail))).to.equal("NOT_AVAILABLE");
      expect(calls.at(-1)).to.equal("Refer mailto:example.org");
      expect((await follower.delegation(parseCsi("mailto:a@example.org"))).prefix).to.equal(
        "mailto:example.org",
      );
    });

    it("proves that a scheme is nobody's", async () => {
      const prefixes = prefixesFixture.slice(0, 3);
      const { follower } = makeWorld({
        artefact: makeArtefact(makeDirectoryObjects({ root, prefixes })),
      });
      expect(await follower.delegation(mail)).to.include({
        prefix: ".",
        disposition: "unassigned",
      });
    });

    it("starts over when nodes it holds have been removed meanwhile", async () => {
      const prefixes = [
        ...prefixesFixture,
        `"tel:+4414811": { zones: [de@dp-a.example], ttl_s: 60 }`,
      ];
      const before = makeArtefact(makeDirectoryObjects({ root, prefixes }));
      const { follower, service, calls, clock } = makeWorld({ artefact: before });
      const csi = parseCsi("+44148119601234");
      expect((await follower.delegation(csi)).prefix).to.equal("tel:+4414811");
      const without = prefixes.filter((line) => !line.includes("+44"));
      const previous = before.directory;
      service.replace(makeArtefact(makeDirectoryObjects({ root, prefixes: without, previous })));
      await clock.advance(60_000);
      calls.length = 0;
      expect((await follower.delegation(csi)).prefix).to.equal("tel:");
      expect(calls).to.deep.equal(["Refer tel:+4414811"]);
    });

    it("fails with UNREACHABLE, DEADLINE or CANCELLED when there is no answer", async () => {
      const down = makeWorld({ down: true });
      expect(await outcomeOfLater(down.follower.delegation(phone))).to.equal("UNREACHABLE");
      const silent = makeWorld();
      silent.network.setFaults({}, { partition: "silent" });
      const hops: Hop[] = [];
      const asked = outcomeOfLater(
        silent.follower.delegation(phone, { onHop: (hop) => hops.push(hop) }),
      );
      await silent.clock.advance(2_000);
      expect(await asked).to.equal("UNREACHABLE");
      expect(hops).to.have.length(1);
      expect(hops[0]).to.include({ told: "tel:", verdict: "UNREACHABLE", rttMs: 2_000, serial: 0 });
      expect(
        await outcomeOfLater(silent.follower.delegation(phone, { signal: AbortSignal.abort() })),
      ).to.equal("CANCELLED");
    });

    it("remembers the newest head over restarts", async () => {
      const statePath = join(folder, "directory");
      const before = makeWorld({ artefact: second, statePath });
      await before.follower.delegation(phone);
      await before.follower.close();
      const after = makeWorld({ artefact: first, statePath });
      expect(await outcomeOfLater(after.follower.delegation(phone))).to.equal("ROLLBACK");
    });
  });

  describe("a hostile directory server", () => {
    /** Serves `first`, with every referral changed on the way. */
    function tampering(
      change: (answer: ReferAnswer, asked: string) => ReferAnswer,
    ): DirectoryWorld {
      const world = makeWorld();
      let asked = "";
      world.network.tap((record) => {
        if (record.kind === "message" && record.direction === "request") {
          asked = new TextDecoder().decode(record.bytes.subarray(2));
        }
      });
      world.network.setFaults(
        {},
        {
          tamper: (bytes, { direction }) =>
            direction === "request"
              ? bytes
              : encodeReferAnswer(change(decodeReferAnswer(bytes), asked)),
        },
      );
      return world;
    }
    const objectOf = (prefix: string, from: Directory = first.directory) =>
      from.nodes().find(({ node }) => node.prefix === prefix)!.object;
    const only =
      (at: string, change: (answer: ReferAnswer) => ReferAnswer) =>
      (answer: ReferAnswer, asked: string) => (asked === at ? change(answer) : answer);
    const stranger = makeRootFixture({ version: 1 });
    const lying = resignDirectory(firstObjects, {
      root,
      nodes: (nodes) =>
        nodes.map((node) =>
          node.prefix === "tel:+49"
            ? {
                ...node,
                authorities: [
                  {
                    ...node.authorities[0]!,
                    endpoints: Array.from(
                      { length: 10_000 },
                      () => node.authorities[0]!.endpoints[0]!,
                    ),
                  },
                ],
              }
            : node,
        ),
    });

    const attacks: readonly (readonly [
      string,
      (answer: ReferAnswer, asked: string) => ReferAnswer,
      string,
    ])[] = [
      [
        "flips a bit of a node",
        only("tel:+49", (a) => ({
          ...a,
          node: { ...a.node, payload: a.node.payload.map((b, i) => (i === 9 ? b ^ 4 : b)) },
        })),
        "BOGUS",
      ],
      [
        "flips a bit of the head",
        only("tel:+4", (a) => ({
          ...a,
          head: { ...a.head, payload: a.head.payload.map((b, i) => (i === 9 ? b ^ 4 : b)) },
        })),
        "BOGUS",
      ],
      [
        "flips a bit of the root keys",
        only("tel:", (a) => ({
          ...a,
          manifest: undefined,
          rootKeys: {
            ...a.rootKeys!,
            payload: a.rootKeys!.payload.map((b, i) => (i === 9 ? b ^ 4 : b)),
          },
        })),
        "BOGUS",
      ],
      [
        "drops a node that its parent announces",
        only("tel:+4", (a) => ({ ...a, node: objectOf("tel:") })),
        "DENIAL_MISSING",
      ],
      [
        "drops a node behind a sibling's proof",
        only("tel:+49", (a) => ({ ...a, node: objectOf("tel:+4"), cover: objectOf("tel:+44") })),
        "DENIAL_MISSING",
      ],
      [
        "answers with the parent for ever",
        only("tel:+49", (a) => ({ ...a, node: objectOf("tel:+4") })),
        "DENIAL_MISSING",
      ],
      [
        "leads upward",
        only("tel:+49", (a) => ({ ...a, node: objectOf("tel:"), cover: objectOf("tel:+9") })),
        "DENIAL_MISSING",
      ],
      ["leads sideways", only("tel:+49", (a) => ({ ...a, node: objectOf("tel:+44") })), "BOGUS"],
      [
        "leads into another scheme",
        only("tel:+4", (a) => ({ ...a, node: objectOf("mailto:") })),
        "BOGUS",
      ],
      [
        "forges a deeper node",
        only("tel:+49", (a) => ({
          ...a,
          node: { payload: a.node.payload, signatures: objectOf("tel:+44").signatures },
        })),
        "BOGUS",
      ],
      [
        "sends a node without signatures",
        only("tel:+49", (a) => ({ ...a, node: { ...a.node, signatures: [] } })),
        "KEY_MISSING",
      ],
      [
        "sends root keys without signatures",
        only("tel:", (a) => ({
          ...a,
          manifest: undefined,
          rootKeys: { ...a.rootKeys!, signatures: a.rootKeys!.signatures.slice(1) },
        })),
        "KEY_MISSING",
      ],
      [
        "sends 17 signatures",
        only("tel:", (a) => ({
          ...a,
          node: { ...a.node, signatures: Array.from({ length: 17 }, () => a.node.signatures[0]!) },
        })),
        "INVALID_DATA",
      ],
      [
        "lists 10,000 endpoints",
        only("tel:+49", (a) => ({
          ...a,
          head: lying.head,
          node: lying.nodes.find((o) => o.payload.length > 100_000)!,
        })),
        "FORKED",
      ],
      [
        "goes back to an older head",
        only("tel:+49", () =>
          decodeReferAnswer(
            encodeReferAnswer({ ...stranger, head: firstObjects.head, node: objectOf("tel:+49") }),
          ),
        ),
        "ok",
      ],
    ];
    for (const [title, change, code] of attacks) {
      it(`that ${title} gets ${code}`, async () => {
        const { follower } = tampering(change);
        const hops: Hop[] = [];
        expect(
          await outcomeOfLater(follower.delegation(phone, { onHop: (hop) => hops.push(hop) })),
        ).to.equal(code);
        expect(hops.at(-1)?.verdict).to.equal(code === "ok" ? "verified" : code);
      });
    }

    it("that lists 10,000 endpoints from the first answer on gets TOO_LARGE", async () => {
      const { follower } = tampering((answer, asked) => ({
        ...answer,
        head: lying.head,
        node:
          asked === "tel:+49" ? lying.nodes.find((o) => o.payload.length > 100_000)! : answer.node,
      }));
      expect(await outcomeOfLater(follower.delegation(phone))).to.equal("TOO_LARGE");
    });

    it("that goes back to an older directory, or keeps old nodes, gets ROLLBACK", async () => {
      const world = makeWorld({ artefact: second });
      await world.follower.delegation(phone);
      world.service.replace(first);
      expect(await outcomeOfLater(world.follower.delegation(mail))).to.equal("ROLLBACK");
      const mixing = makeWorld({ artefact: second });
      await mixing.follower.delegation(phone);
      await mixing.clock.advance(4_000_000);
      mixing.network.setFaults(
        {},
        {
          tamper: (bytes, { direction }) => {
            if (direction === "request") return bytes;
            const answer = decodeReferAnswer(bytes);
            return encodeReferAnswer({
              ...answer,
              node: objectOf(decodeNode(answer.node.payload).prefix),
            });
          },
        },
      );
      expect(await outcomeOfLater(mixing.follower.delegation(phone))).to.equal("ROLLBACK");
    });

    it("whose errors travel is named as the upstream", async () => {
      const { follower } = tampering((answer) => ({
        ...answer,
        node: { ...answer.node, signatures: [] },
      }));
      try {
        await follower.delegation(phone);
        expect.fail("must be refused");
      } catch (error) {
        expect(error).to.be.instanceOf(DiscoveryError);
        expect((error as DiscoveryError).upstream).to.equal(directoryWorldAddress);
      }
    });
  });
});
