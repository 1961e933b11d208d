// Requirement 15 (MIMI Discovery requirements): a verbose response with the details of each mapping, a compact
// one that says simply at which providers an identifier is reachable.
//
// | must | must not |
// |---|---|
// | both be proven under the same signed head | differ in whether somebody is there |
// | compact be marked as the DP's word | be routed on: it offers no choice |
// | compact bits be those of the registry version that travels with them | be read with another version's positions |
// | verbose recompute the bits | pass over a difference |

import { createFederation, type Federation } from "@whither/testkit";
import { parseCsi } from "@whither/protocol";
import { maskMspBits, mspBitsOf, slotIndex, unmaskMspBits } from "@whither/zone";
import { decodeMessage } from "@whither/rpc";
import { BucketResponseSchema, signedObjectFromWire } from "@whither/wire";
import { expect } from "chai";
import {
  bothWays,
  mspsOf,
  outcomeOf,
  entriesOf,
  flip,
  signedBucket,
} from "../scenarios/both-ways.js";
import { alice } from "./readers.js";

const zone = "de@dp-a.example";
const absent = parseCsi("+4930123999");

async function world(): Promise<Federation> {
  const federation = await createFederation();
  await federation.register({
    csi: alice,
    msps: ["video.example", "wire.example"],
    tags: ["work"],
  });
  await federation.publish();
  return federation;
}

describe("requirement 15: verbose and compact", () => {
  bothWays("say the same of who is there, under the same proof", async (mirror) => {
    await using federation = await world();
    const resolver = await federation.resolver({ mirror });
    const verbose = await resolver.lookup(alice);
    const compact = await resolver.lookup(alice, { form: "compact" });
    expect(mspsOf(verbose), "the holder's order").to.deep.equal(["video.example", "wire.example"]);
    expect(new Set(mspsOf(compact))).to.deep.equal(new Set(mspsOf(verbose)));
    expect(compact.proof).to.deep.equal(verbose.proof);
    const [one, other] = [
      await resolver.lookup(absent),
      await resolver.lookup(absent, { form: "compact", refresh: true }),
    ];
    expect([one.status, other.status]).to.deep.equal(["none", "none"]);
    expect(other.proof).to.deep.equal(one.proof);
  });

  it("verbose details each mapping; compact is the DP's word and offers no choice", async () => {
    await using federation = await world();
    const resolver = await federation.resolver();
    const verbose = await resolver.lookup(alice);
    expect(verbose).to.include({ form: "verbose", attested: "signatures" });
    expect(verbose.choice?.msp).to.equal("video.example");
    const [first] = verbose.mappings;
    expect(first).to.include({
      preference: 1,
      level: 1,
      directoryUrl: "https://video.example/mimi",
    });
    expect(first?.tags).to.deep.equal(["work"]);
    expect(first?.notAfter).to.be.above(federation.clock.nowSeconds());
    const compact = await resolver.lookup(alice, { form: "compact" });
    expect(compact).to.include({ form: "compact", attested: "dp", choice: undefined });
    expect(Object.keys(compact.mappings[0] ?? {}).sort()).to.deep.equal(["directoryUrl", "msp"]);
    expect(compact.registryVersion).to.equal(federation.directory.registry.version);
    const items = [];
    for await (const item of resolver.lookupAll([alice])) items.push(item.answer);
    expect(items[0], "lookupAll is compact unless told").to.include({ attested: "dp" });
  });

  it("costs no more to hide whom one wants: compact asks for no body", async () => {
    await using federation = await world();
    const resolver = await federation.resolver();
    const compact = await resolver.lookup(alice, { form: "compact" });
    expect(compact.hops.map(({ told }) => told).join()).not.to.include("body");
    const verbose = await resolver.lookup(alice, { refresh: true });
    expect(verbose.hops.map(({ told }) => told).join()).to.include("body");
  });

  it("bits that the slot does not bear out are believed by compact and BOGUS for verbose", async () => {
    await using federation = await world();
    const served = federation.zone(zone);
    const { y } = await served.mapping.lookupForRegistration(alice);
    const kid = served.mapping.head().kid;
    const idx = slotIndex({ y, zone: served.zone, kid });
    const bytes = served.mapping.bucketResponse({ kid, b: 0, prefix: new Uint8Array(16) });
    const honest = decodeMessage(BucketResponseSchema, bytes);
    const entries = entriesOf(honest).map((entry) => {
      if (!Buffer.from(entry.subarray(0, 16)).equals(idx)) return entry;
      const [masked, vhash] = [entry.slice(24, 36), entry.slice(36, 68)];
      const { registryVersion } = unmaskMspBits({ secret: y, vhash, masked });
      // The third MSP instead of the first two.
      const bits = mspBitsOf([2]);
      const lie = entry.slice();
      lie.set(maskMspBits({ secret: y, vhash, registryVersion, bits }), 24);
      return lie;
    });
    // The DP signs what it serves: only the holder's word inside the slot is against it.
    const lie = signedBucket(served, honest, entries);
    federation.tamper("dp-a.example", {
      bucket: () => lie,
      head: () => signedObjectFromWire(lie.head),
    });
    const compact = await (await federation.resolver()).lookup(alice, { form: "compact" });
    expect(mspsOf(compact)).to.deep.equal(["chat.example"]);
    expect(await outcomeOf(await federation.resolver(), alice)).to.equal("BOGUS");
  });

  it("a compact answer whose bits were changed on the way is BOGUS as well", async () => {
    await using federation = await world();
    federation.tamper("dp-a.example", {
      bucket: (answer) => ({ ...answer, entries: flip(answer.entries, 30) }),
    });
    const resolver = await federation.resolver();
    expect(await outcomeOf(resolver, alice, { form: "compact" })).to.equal("BOGUS");
  });
});

// Open: an MSP beyond the 64 positions, which only verbose can show, in a test of its own (Hold); entry lengths
// other than 68 octets.
