import { expect } from "chai";
import { hpkePublicKeyOf } from "@whither/crypto";
import { DiscoveryError } from "@whither/protocol";
import { fixedBytes, makeRegistrationParties } from "@whither/testkit";
import { encodeManifest } from "@whither/wire";
import { makeZoneKeys, zoneKeysUnder } from "./zone-keys.js";

const parties = makeRegistrationParties();
const { zone, nowSeconds, zoneSigner: signer, voprfKeys } = parties;
const secretOf = (name: string): Uint8Array => fixedBytes(`hpke ${name}`);

/** Whether a manifest that names these keys, current first, fits a process that has those. */
function outcome(
  { named, has }: { readonly named: string; readonly has: string },
  make = makeZoneKeys,
): string {
  const hpkeKeys = Array.from(named, (name, id) => {
    const publicKey = hpkePublicKeyOf(secretOf(name));
    return { id, publicKey, notAfter: nowSeconds + 86_400 };
  });
  const payload = encodeManifest({ ...parties.manifest, hpkeKeys });
  const hpkeSecretKeys = Array.from(has, secretOf);
  const secrets = { signer, voprfSecretKey: voprfKeys.secretKey, hpkeSecretKeys };
  try {
    make({ zone, manifest: { payload, signatures: [] }, secrets, nowSeconds });
    return "ok";
  } catch (error) {
    if (error instanceof DiscoveryError) return `${error.code}: ${error.text}`;
    throw error;
  }
}

describe("hpke keys of a zone", () => {
  const notAtHand = "CONFIG: an hpke key of the manifest is not at hand";
  // A key replaced: made, named beside the one before, alone, the one before destroyed.
  const table: readonly (readonly [named: string, has: string, expected: string])[] = [
    ["", "", "ok"],
    ["", "a", "ok"],
    ["a", "a", "ok"],
    ["a", "ab", "ok"],
    ["ba", "ab", "ok"],
    ["b", "ab", "ok"],
    ["b", "b", "ok"],
    ["ba", "b", notAtHand],
    ["b", "a", notAtHand],
    ["a", "", notAtHand],
  ];
  for (const [named, has, expected] of table) {
    it(`named ${named || "none"}, at hand ${has || "none"}: ${expected}`, () => {
      expect(outcome({ named, has })).to.equal(expected);
    });
  }

  it("that are gone do not end what the zone is under: readers know no other yet", () => {
    expect(outcome({ named: "ba", has: "b" }, zoneKeysUnder)).to.equal("ok");
  });
});
