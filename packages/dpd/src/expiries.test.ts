import { expect } from "chai";
import { createFederation, makeRegistrationParties } from "@whither/testkit";
import { expiries } from "./expiries.js";

const nowSeconds = Date.UTC(2027, 0, 15, 8) / 1000;
const { zone, manifest } = makeRegistrationParties({ nowSeconds });
const [zoneKey] = manifest.zoneKeys;
const [voprfKey] = manifest.voprfKeys;

describe("expiries of a dpd", () => {
  it("names the end of each key, the certificate and the directory", async () => {
    await using federation = await createFederation();
    const { head, trust } = federation.directory;
    const { certPem } = federation.identity;
    const hpkeKeys = [77, 5].map((notAfter, id) => {
      return { id, publicKey: new Uint8Array(32), notAfter };
    });
    const later = { ...zoneKey!, notAfter: zoneKey!.notAfter + 100 };
    const of = expiries({
      zones: [{ zone, manifest: { ...manifest, zoneKeys: [zoneKey!, later], hpkeKeys } }],
      certPem,
      directory: { head, source: "mirror", rootKeys: trust.rootKeys },
      directories: new Map(),
    });
    expect(of.map(({ what, zone: name }) => `${what} ${name}`.trim())).to.deep.equal([
      `zone key ${zone}`,
      `voprf key ${zone}`,
      `hpke key ${zone}`,
      "tls certificate",
      "directory",
    ]);
    const [ofZoneKey, ofVoprfKey, ofHpkeKey, ofCertificate, ofDirectory] = of.map(
      ({ notAfter }) => notAfter,
    );
    expect(ofHpkeKey, "the current one").to.equal(77);
    expect(ofZoneKey).to.equal(later.notAfter);
    expect(ofVoprfKey).to.equal(voprfKey!.notAfter);
    expect(ofCertificate).to.be.greaterThan(0).and.satisfy(Number.isInteger);
    expect(ofDirectory).to.equal(head.notAfter);
  });

  it("leaves out a directory that was never verified", async () => {
    await using federation = await createFederation();
    const { certPem } = federation.identity;
    const of = expiries({
      zones: [],
      certPem,
      directory: undefined,
      directories: new Map(),
    });
    expect(of.map(({ what }) => what)).to.deep.equal(["tls certificate"]);
  });
});
