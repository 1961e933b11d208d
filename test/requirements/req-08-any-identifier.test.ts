// Requirement 8 (MIMI Discovery requirements): discovery supports any globally unique identifier that has an
// issuer, a proof of ownership and use across services.
//
// | must | must not |
// |---|---|
// | numbers, e-mail addresses and handles be registered, found and proven absent alike | differ beyond their own syntax |
// | one identifier have one canonical form | be found under two, or in two zones by spelling |
// | a scheme be one file, added to one list | need a change anywhere else |
// | what has no issuer be refused | reach a server |

import { createCsiRegistry, csiProofMethods, isDiscoveryError, parseCsi } from "@whither/protocol";
import { createFederation } from "@whither/testkit";
import { expect } from "chai";
import { heardDuring } from "./readers.js";

const people = [
  { written: "+49 30 123456", csi: "tel:+4930123456", zone: "de@dp-a.example" },
  {
    written: "Alice@BÜCHER.example",
    csi: "mailto:alice@xn--bcher-kva.example",
    zone: "mail@dp-c.example",
  },
  { written: "acct:Bob@Video.Example", csi: "acct:bob@video.example", zone: "mail@dp-c.example" },
] as const;

const without = [
  ["an extension", "+4930123456;ext=12"],
  ["a short code", "112"],
  ["a national number without its region", "030123456"],
  ["a calling code that nobody has", "+9991234567"],
  ["an address literal", "alice@[192.0.2.1]"],
  ["a host that is a number", "alice@0x7f.1"],
  ["an empty label", "alice@example..org"],
  ["no host", "acct:bob"],
  ["a comment", "alice(work)@example.org"],
  ["a scheme nobody registered", "xmpp:alice@example.org"],
] as const;

describe("requirement 8: any identifier with an issuer", () => {
  for (const { written, csi, zone } of people) {
    it(`${csi.slice(0, csi.indexOf(":"))}: is registered, found, and absent when it is not`, async () => {
      await using federation = await createFederation();
      const parsed = parseCsi(written);
      expect(parsed).to.equal(csi);
      const resolver = await federation.resolver();
      const absent = await resolver.lookup(parsed);
      expect(absent).to.include({ status: "none" });
      expect(absent.proof).to.include({ kind: "absence", verified: true, zone });
      await federation.register({ csi: parsed, msps: ["wire.example"] });
      await federation.publish();
      const found = await resolver.lookup(parseCsi(csi), { refresh: true });
      expect(found.mappings.map(({ msp }) => msp)).to.deep.equal(["wire.example"]);
      expect(found.proof).to.include({ kind: "presence", verified: true, zone });
      expect(csiProofMethods(parsed)).not.to.deep.equal([]);
    });
  }

  it("spelling changes nothing, and nobody is asked about what is no identifier", async () => {
    await using federation = await createFederation();
    const resolver = await federation.resolver();
    const heard = await heardDuring(federation, async () => {
      for (const [what, text] of without) {
        try {
          await resolver.lookup(parseCsi(text));
          expect.fail(what);
        } catch (error) {
          if (!isDiscoveryError(error)) throw error;
          expect(error.code, what).to.equal("INVALID_CSI");
          expect(error.text, `${what}: no echo of the input`).not.to.include(text);
        }
      }
    });
    expect(heard).to.deep.equal([]);
    const spellings = ["+49 30 123456", "tel:+49-30-123456", "tel:+4930123456"];
    expect(new Set(spellings.map((text) => parseCsi(text))).size).to.equal(1);
  });

  it("a scheme more is one object in one list", () => {
    const ship = {
      scheme: "imo",
      proofMethods: ["letter"],
      claims: () => false,
      parse: ({ text }: { readonly text: string }) => text.replaceAll(" ", ""),
      labels: (body: string) => Array.from(body),
      disclosedLabels: (labels: readonly string[]) => Math.min(3, labels.length),
      isPrefix: (text: string) => /^\d{0,7}$/.test(text),
      prefixLabels: (text: string) => Array.from(text),
      prefixText: (labels: readonly string[]) => labels.join(""),
    };
    const registry = createCsiRegistry([ship]);
    const csi = registry.parseCsi("imo:907 4729");
    expect(csi).to.equal("imo:9074729");
    expect(registry.csiLabels(csi).join("")).to.equal("9074729");
    expect(registry.prefixesOfCsi(csi)).to.include("imo:907");
    expect(registry.disclosureLimit(csi)).to.equal("imo:907");
    expect(() => registry.parseCsi("tel:+4930123456")).to.throw(/INVALID_CSI/);
  });
});

// Open: proofs of possession by real provers, per scheme (Register).
