import { expect } from "chai";
import { formatPublicKey } from "@whither/crypto";
import {
  directoryFixtureSeconds as now,
  fixedSigner,
  makeArtefact,
  registryFixtureText,
} from "@whither/testkit";
import { rootdExpiries } from "./expiries.js";

const day = 86_400;

function ends(registryText: string, { online = false } = {}): readonly string[] {
  const { directory } = makeArtefact({ registryText });
  const facts = rootdExpiries({
    certificate: { file: "root.pem", notAfter: now + 10 * day },
    artefactFile: "root.directory",
    directory,
    onlineKey: online ? { file: "online.pem", notAfter: now + 20 * day } : undefined,
    nowSeconds: now,
  });
  return facts.map(({ what, subject, notAfter }) => {
    return `${what} ${subject} ${Math.floor((notAfter - now) / day)} d`;
  });
}

describe("ends that rootd tells of", () => {
  it("are its own, the root's keys', and the soonest of the parties'", () => {
    expect(ends(registryFixtureText, { online: true })).to.deep.equal([
      "tls certificate root.pem 10 d",
      "directory root.directory 7 d",
      "online zsk online.pem 20 d",
      "root key set . 90 d",
      "root zsk . 90 d",
      "msp accreditation video.example 716 d",
      "prover key prover.example 716 d",
    ]);
  });

  it("are of every party that has to be renewed, of a key that ends before its party, of none that has left", () => {
    const text = registryFixtureText
      .replaceAll("accredited_to: 2029-01-01", "accredited_to: 2027-02-01")
      .replace(/"(ed25519:[^"]*)"\], prefixes/, '{ key: "$1", to: 2027-01-20 }], prefixes')
      .replace(/"(ed25519:[^"]*)"\], accredited/, '{ key: "$1", to: 2027-01-25 }], accredited');
    expect(ends(text).slice(4)).to.deep.equal([
      "msp accreditation video.example 16 d",
      "msp accreditation wire.example 16 d",
      "msp key wire.example 9 d",
      "prover key prover.example 4 d",
    ]);
    const left = registryFixtureText.replaceAll(
      "accredited_to: 2029-01-01",
      "accredited_to: 2027-01-01",
    );
    expect(ends(left).slice(4)).to.deep.equal(["prover key prover.example 716 d"]);
  });

  it("are at most sixteen of a kind, however many parties there are", () => {
    const provers = Array.from({ length: 20 }, (_, n) => {
      const key = formatPublicKey(fixedSigner(`prover ${n}`).publicKey);
      return `  - { id: p${n}.example, operator: P${n}, keys: ["${key}"], prefixes: ["tel:"], methods: [sms], max_level: 1, valid_from: 2026-01-01, valid_to: 2027-02-01 }\n`;
    });
    const shown = ends(registryFixtureText + provers.join(""));
    expect(shown.filter((line) => line.startsWith("prover key"))).to.have.length(16);
  });
});
