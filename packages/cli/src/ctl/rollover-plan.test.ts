import { expect } from "chai";
import { isDiscoveryError, parsePrefix, type Authority, type Node } from "@whither/protocol";
import { fixedBytes, makeRegistrationParties } from "@whither/testkit";
import { makeSuccessor, rolloverPhase } from "./rollover-plan.js";

const { manifest, zone, zoneSigner, dp } = makeRegistrationParties();
const now = 1_800_000_000;
const hour = 3600;
const [currentSha256, nextSha256, other] = ["current", "next", "other"].map((label) =>
  fixedBytes(label),
) as [Uint8Array, Uint8Array, Uint8Array];

function nodeNaming(
  manifestSha256: readonly Uint8Array[],
  times: Partial<Pick<Node, "notBefore" | "ttlSeconds">> = {},
): Node {
  const authority: Authority = {
    zone,
    dpId: dp.id,
    kind: "mappings",
    relayOnly: false,
    manifestSha256,
    endpoints: dp.endpoints,
  };
  return {
    prefix: parsePrefix("tel:+1"),
    disposition: "delegated",
    firstChild: "",
    nextSibling: "",
    authorities: [authority],
    ttlSeconds: 2 * hour,
    notBefore: now,
    notAfter: now + 7 * 24 * hour,
    serial: 1,
    ...times,
  };
}

const phaseOf = (nodes: readonly Node[], nowSeconds = now) =>
  rolloverPhase({ zone, currentSha256, nextSha256, nodes, nowSeconds });

describe("rollover of a zone key", () => {
  it("names the new key first, and lets it sign again what the key before accepted", () => {
    const publicKey = fixedBytes("next zone key");
    const notAfter = now + 300 * 24 * hour;
    const current = { ...manifest, zoneKeys: [...manifest.zoneKeys, ...manifest.zoneKeys] };
    const successor = makeSuccessor({
      current: { ...current, version: 4 },
      zoneKey: zoneSigner.publicKey,
      next: { publicKey, notAfter },
      nowSeconds: now,
    });
    const [present] = manifest.zoneKeys;
    expect(successor).to.deep.equal({
      ...current,
      version: 5,
      zoneKeys: [{ publicKey, notBefore: present!.notBefore, notAfter }, present],
      notBefore: now - 300,
    });
  });

  it("refuses a key that the manifest does not name", () => {
    const make = (): unknown =>
      makeSuccessor({
        current: manifest,
        zoneKey: fixedBytes("stranger"),
        next: { publicKey: fixedBytes("next zone key"), notAfter: now },
        nowSeconds: now,
      });
    expect(make)
      .to.throw()
      .and.satisfy((error: unknown) => isDiscoveryError(error, "CONFIG"));
  });

  const both = [nextSha256, currentSha256];
  const switchAt = now + 3 * hour;
  const phases: readonly (readonly [string, readonly Node[], number, unknown])[] = [
    ["not named yet", [nodeNaming([currentSha256])], now, { kind: "prepared" }],
    [
      "named by some of its nodes only",
      [nodeNaming(both), nodeNaming([currentSha256])],
      now,
      { kind: "prepared" },
    ],
    [
      "named beside the one in force, for the TTL and an hour",
      [nodeNaming(both)],
      switchAt - 1,
      { kind: "published", namedAt: now, switchAt },
    ],
    ["named for so long", [nodeNaming(both)], switchAt, { kind: "active", since: switchAt }],
    [
      "named by a node that came later, or lives longer",
      [nodeNaming(both, { notBefore: now + 60 }), nodeNaming(both, { ttlSeconds: 4 * hour })],
      now,
      { kind: "published", namedAt: now + 60, switchAt: now + 60 + 5 * hour },
    ],
    ["named alone", [nodeNaming([nextSha256])], now, { kind: "retired" }],
    [
      "named alone by one node, beside the other by another",
      [nodeNaming([nextSha256]), nodeNaming(both)],
      switchAt,
      { kind: "active", since: switchAt },
    ],
  ];
  for (const [title, nodes, at, phase] of phases) {
    it(`is found where it stands: ${title}`, () => {
      expect(phaseOf(nodes, at)).to.deep.equal(phase);
    });
  }

  it("is refused with a directory that names neither manifest", () => {
    for (const nodes of [[], [nodeNaming([other])]]) {
      expect(() => phaseOf(nodes))
        .to.throw()
        .and.satisfy((error: unknown) => isDiscoveryError(error, "CONFIG"));
    }
  });
});
