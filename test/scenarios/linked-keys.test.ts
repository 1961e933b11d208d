// One person with a key of its own in each of two apps: two holders until a link says that they are one
// (protocol.md section 6, "Second app"; docs/adr/0038).

import { expect } from "chai";
import { agreeToKeyLink, approveKeyLink } from "@whither/ceremony";
import { parseCsi, parseZoneName, type Csi, type SlotKeyLink } from "@whither/protocol";
import type { Answer } from "@whither/resolver";
import { createFederation, fixedSigner, type Federation } from "@whither/testkit";
import { decodeSlotBody, encodeSlotBody } from "@whither/wire";
import { mspBitsOf, nodeVerifier } from "@whither/zone";
import { bothWays, codeOf, mspsOf } from "./both-ways.js";

const csi = parseCsi("+4930123456");
const other = parseCsi("+4930123457");
const [zoneA, zoneB] = [parseZoneName("de@dp-a.example"), parseZoneName("gb@dp-b.example")];
const [phone, tablet] = [fixedSigner("phone"), fixedSigner("tablet")];

const twoDps = () => createFederation({ prefixes: [`"tel:+49": { zones: [${zoneA}, ${zoneB}] }`] });

/** As both apps make it, one after the other. */
function linkOf(federation: Federation, of: Csi = csi): SlotKeyLink {
  const approved = approveKeyLink({
    csi: of,
    holder: phone,
    newPublicKey: tablet.publicKey,
    randomBytes: (length) => federation.random.bytes(length),
  });
  return agreeToKeyLink({ approved, csi: of, holder: tablet, verifier: nodeVerifier });
}

/** The phone's app at one DP, the tablet's at the other, neither knowing of the other. */
async function registerApart(
  federation: Federation,
  links: readonly SlotKeyLink[] = [],
): Promise<void> {
  await federation.register({ csi, holder: phone, msps: ["wire.example"], zones: [zoneA] });
  await federation.clock.advance(60_000);
  const there = { csi, holder: tablet, msps: ["video.example"], zones: [zoneB] };
  await federation.register({ ...there, links, forget: true });
  await federation.publish();
}

/** The second DP puts links into the slot that nobody brought it. */
async function show(federation: Federation, links: readonly SlotKeyLink[]): Promise<void> {
  const { mapping } = federation.zone(zoneB);
  const slot = await mapping.lookupForRegistration(csi);
  const plaintext = encodeSlotBody({ ...decodeSlotBody(slot.plaintext!), links });
  await mapping.submit({
    slot,
    content: { plaintext, registryVersion: 1, bits: mspBitsOf([1]) },
    nonceD: federation.random.bytes(48),
    statementSha256: federation.random.bytes(32),
    acceptedAt: federation.clock.nowSeconds(),
  });
  await federation.publish();
}

function told(answer: Answer) {
  return {
    msps: mspsOf(answer).join(" "),
    dps: answer.dps.map(({ outcome }) => outcome).join(" "),
    warnings: answer.warnings.map(({ code }) => code),
    errors: answer.errors.map(({ code }) => code),
  };
}

const conflict = {
  msps: "wire.example",
  dps: "present conflict",
  warnings: ["CONFLICT"],
  errors: [],
};
const joined = {
  msps: "video.example wire.example",
  dps: "present present",
  warnings: [],
  errors: [],
};

describe("one person with a key at each of two DPs", () => {
  bothWays("is a CONFLICT without a link, and the older claim counts", async (mirror) => {
    await using federation = await twoDps();
    await registerApart(federation);
    const resolver = await federation.resolver({ mirror });
    expect(told(await federation.during(resolver.lookup(csi)))).to.deep.equal(conflict);
  });

  bothWays(
    "is one holder with a link at either, all providers in the newest order",
    async (mirror) => {
      await using federation = await twoDps();
      await registerApart(federation, [linkOf(federation)]);
      const resolver = await federation.resolver({ mirror });
      expect(told(await federation.during(resolver.lookup(csi)))).to.deep.equal(joined);
    },
  );

  bothWays("becomes one while it is looked up, without HOLDER_KEY_CHANGED", async (mirror) => {
    await using federation = await twoDps();
    await registerApart(federation);
    const resolver = await federation.resolver({ mirror });
    expect(told(await federation.during(resolver.lookup(csi)))).to.deep.equal(conflict);
    await federation.people.registrant().change({
      csi,
      holder: tablet,
      zones: [zoneB],
      links: [linkOf(federation)],
      previous: federation.people.memory(csi)!,
    });
    await federation.publish();
    const answer = await federation.during(resolver.lookup(csi, { refresh: true }));
    expect(told(answer)).to.deep.equal(joined);
  });

  bothWays("is one also by a good link that a DP shows unasked: it is theirs", async (mirror) => {
    await using federation = await twoDps();
    await registerApart(federation);
    await show(federation, [linkOf(federation)]);
    const resolver = await federation.resolver({ mirror });
    expect(told(await federation.during(resolver.lookup(csi)))).to.deep.equal(joined);
  });

  const forged: readonly [string, (good: SlotKeyLink, foreign: SlotKeyLink) => SlotKeyLink][] = [
    [
      "that the phone has not signed",
      ({ link, opening }) => ({
        link: { ...link, signatures: link.signatures.slice(1) },
        opening,
      }),
    ],
    [
      "that the tablet has not signed",
      ({ link, opening }) => ({
        link: { ...link, signatures: link.signatures.slice(0, 1) },
        opening,
      }),
    ],
    ["of the same two keys for another number", (_good, foreign) => foreign],
    ["that opens with another opening", ({ link }, { opening }) => ({ link, opening })],
  ];
  for (const [title, forge] of forged) {
    bothWays(`gains nothing from a DP that shows a link ${title}`, async (mirror) => {
      await using federation = await twoDps();
      await registerApart(federation);
      await show(federation, [forge(linkOf(federation), linkOf(federation, other))]);
      const resolver = await federation.resolver({ mirror });
      const answer = await federation.during(resolver.lookup(csi));
      expect(told(answer)).to.deep.equal({
        msps: "wire.example",
        dps: "present failed",
        warnings: [],
        errors: ["BOGUS"],
      });
    });
  }
});

describe("two apps of one person at one DP", () => {
  it("are INCUMBENT to each other without a link, and one slot with it, which both may write", async () => {
    await using federation = await createFederation();
    await federation.register({ csi, holder: phone, msps: ["wire.example"] });
    const second = { csi, holder: tablet, msps: ["video.example"] };
    expect(await codeOf(federation.register(second))).to.equal("INCUMBENT");
    await federation.register({ ...second, links: [linkOf(federation)] });
    await federation.publish();
    const resolver = await federation.resolver();
    const answer = await federation.during(resolver.lookup(csi));
    expect(mspsOf(answer)).to.deep.equal(["wire.example", "video.example"]);
    // The phone's app puts its own provider last; the link stands in the slot.
    await federation.clock.advance(60_000);
    const previous = federation.people.memory(csi)!;
    const keep = <T extends { readonly preference: number }>(items: readonly T[]) =>
      items.map((item) => ({ ...item, preference: 10 - item.preference }));
    await federation.people.registrant().change({ csi, holder: phone, previous, keep });
    await federation.publish();
    const reordered = await federation.during(resolver.lookup(csi, { refresh: true }));
    expect(mspsOf(reordered)).to.deep.equal(["video.example", "wire.example"]);
    expect(reordered.warnings).to.deep.equal([]);
  });
});
