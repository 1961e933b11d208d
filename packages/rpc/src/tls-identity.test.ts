// Certificates as read from PEM and files: pins, names, and identities that do not fit together.
import { createHash, createPublicKey, X509Certificate } from "node:crypto";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { DiscoveryError, isDiscoveryError } from "@whither/protocol";
import { createTestCa } from "../test/certificates.js";
import {
  certificateNotAfter,
  checkCertificatePeriod,
  checkIdentity,
  peerOfCertificate,
  spkiSha256OfPem,
  tlsIdentityFromFiles,
} from "./tls-identity.js";
import type { TlsIdentity } from "./tls-identity.js";

describe("TLS identities", () => {
  let one: TlsIdentity;
  let other: TlsIdentity;
  let directory: string;

  before(async () => {
    const ca = await createTestCa("test CA");
    one = await ca.issue([
      { type: "dns", value: "dp.example" },
      { type: "ip", value: "192.0.2.1" },
      { type: "url", value: "urn:example:dp" },
      { type: "email", value: "someone@example.org" },
    ]);
    other = await ca.issue([{ type: "dns", value: 'a.example", DNS:bank.example, "b.example' }]);
    directory = await mkdtemp(join(tmpdir(), "whither-rpc-"));
  });

  after(() => rm(directory, { recursive: true }));

  it("pins the SubjectPublicKeyInfo, of the first certificate of a chain", () => {
    const spki = createPublicKey(one.certPem).export({ type: "spki", format: "der" });
    const expected = new Uint8Array(createHash("sha256").update(spki).digest());
    expect(spkiSha256OfPem(one.certPem)).to.deep.equal(expected);
    expect(spkiSha256OfPem(one.certPem + other.certPem)).to.deep.equal(expected);
    expect(spkiSha256OfPem(other.certPem)).to.not.deep.equal(expected);
  });

  it("reads host names, addresses and URIs of a peer, and nothing else", () => {
    const { names } = peerOfCertificate(new X509Certificate(one.certPem));
    expect(names).to.deep.equal(["dp.example", "192.0.2.1", "urn:example:dp"]);
  });

  it("gives no names at all to a certificate whose one name pretends to be several", () => {
    const certificate = new X509Certificate(other.certPem);
    expect(certificate.subjectAltName).to.include("DNS:bank.example");
    expect(peerOfCertificate(certificate).names).to.deep.equal([]);
  });

  const broken: readonly (readonly [string, () => TlsIdentity])[] = [
    ["the key of another certificate", () => ({ ...one, keyPem: other.keyPem })],
    ["no key", () => ({ ...one, keyPem: "" })],
    ["no certificate", () => ({ ...one, certPem: "-----BEGIN CERTIFICATE-----\n" })],
  ];
  for (const [title, identity] of broken) {
    it(`refuses ${title} as CONFIG`, () => {
      let thrown: unknown;
      try {
        checkIdentity(identity());
      } catch (error) {
        thrown = error;
      }
      expect(isDiscoveryError(thrown, "CONFIG")).to.equal(true);
    });
  }

  it("is refused in another's place outside its time, of which clocks may be 300 s off", () => {
    const { validFrom, validTo } = new X509Certificate(one.certPem);
    const [from = 0, to = 0] = [validFrom, validTo].map((text) => Date.parse(text) / 1000);
    expect(certificateNotAfter(one.certPem)).to.equal(to);
    for (const now of [from - 300, from, to]) checkCertificatePeriod(one.certPem, now);
    for (const now of [from - 301, to + 1]) {
      expect(() => checkCertificatePeriod(one.certPem, now)).to.throw(
        DiscoveryError,
        /certificate has/,
      );
    }
    expect(() => checkCertificatePeriod("none", from)).to.throw(DiscoveryError, /be read/);
  });

  it("is read from two files, unless the key is open to others", async () => {
    const certPath = join(directory, "cert.pem");
    const keyPath = join(directory, "key.pem");
    await writeFile(certPath, one.certPem);
    await writeFile(keyPath, one.keyPem, { mode: 0o600 });
    expect(await tlsIdentityFromFiles({ certPath, keyPath })).to.deep.equal(one);
    await chmod(keyPath, 0o644);
    const error = await tlsIdentityFromFiles({ certPath, keyPath }).catch((each: unknown) => each);
    expect(isDiscoveryError(error, "CONFIG")).to.equal(true);
  });
});
