import { expect } from "chai";
import fc from "fast-check";
import { isDiscoveryError } from "../errors.js";
import { limits } from "../limits.js";
import { csiLabels, csiProofMethods, isCanonicalCsi, parseCsi } from "./csi.js";
import { callingCodes } from "./calling-codes.js";
import { utf8Length } from "./scheme.js";

function parsed(text: string, defaultRegion?: string): string | undefined {
  try {
    return parseCsi(text, defaultRegion === undefined ? {} : { defaultRegion });
  } catch (error) {
    if (isDiscoveryError(error, "INVALID_CSI")) return undefined;
    throw error;
  }
}

const anyText = fc.oneof(
  fc.string({ unit: "binary", maxLength: 60 }),
  fc.string({ unit: "grapheme", maxLength: 40 }),
  fc.string({
    unit: fc.constantFrom(
      ...Array.from('+0123456789 ()-.;=@:%"#?/aAzZ'),
      "\u0301",
      "\u0130",
      "\u03a3",
      "\u200d",
      "xn--",
      "%C3",
    ),
    maxLength: 40,
  }),
);
const schemed = fc
  .tuple(fc.constantFrom("", "tel:", "tel:+49", "mailto:", "acct:", "MAILTO:", "+1"), anyText)
  .map(([scheme, text]) => scheme + text);
const hosts = fc.domain({ size: "small" });
const addressed = fc
  .tuple(fc.constantFrom("", "mailto:", "acct:"), anyText, hosts)
  .map(([scheme, local, host]) => `${scheme}${local.replaceAll("@", "")}@${host}`);
const numbers = fc
  .tuple(fc.constantFrom(...callingCodes), fc.stringMatching(/^[0-9]{6,12}$/))
  .map(([code, rest]) => `+${code}${rest}`);

describe("parseCsi", () => {
  it("throws nothing but INVALID_CSI, whatever the text and region", () => {
    const regions = fc.option(fc.constantFrom("DE", "us", "IT", "AR", "XX", "", "\u0130T"), {
      nil: undefined,
    });
    fc.assert(
      fc.property(fc.oneof(schemed, addressed, anyText), regions, (text, region) => {
        parsed(text, region);
        isCanonicalCsi(text);
      }),
      { numRuns: 2000 },
    );
  });

  it("is idempotent, and its result is canonical, NFC and within the limit of octets", () => {
    let accepted = 0;
    fc.assert(
      fc.property(fc.oneof(addressed, addressed, numbers, schemed), (text) => {
        const csi = parsed(text);
        if (csi === undefined) return;
        accepted += 1;
        expect(parseCsi(csi)).to.equal(csi);
        expect(isCanonicalCsi(csi)).to.equal(true);
        expect(csi.normalize("NFC")).to.equal(csi);
        expect(utf8Length(csi)).to.be.at.most(limits.csiBytesMax);
      }),
      { numRuns: 2000 },
    );
    expect(accepted).to.be.greaterThan(400);
  });

  it("keeps the digits of every number in international form", () => {
    fc.assert(
      fc.property(numbers, (text) => {
        const csi = parsed(text);
        if (text.length > 16) expect(csi).to.equal(undefined);
        else expect(csi).to.equal(`tel:${text}`);
      }),
    );
  });

  it("gives one CSI for any case and normal form of an address", () => {
    const local = fc.stringMatching(/^[a-zA-Z\u00c0-\u00d6\u0391-\u03a1]{1,12}$/u);
    fc.assert(
      fc.property(local, (name) => {
        const csi = parsed(`${name}@example.org`);
        expect(csi).not.to.equal(undefined);
        expect(parsed(`${name.normalize("NFD")}@EXAMPLE.org`)).to.equal(csi);
        expect(parsed(`mailto:${encodeURIComponent(name)}@example.org`)).to.equal(csi);
        expect(parsed(`${name.toLowerCase()}@example.org`)).to.equal(csi);
      }),
    );
  });

  it("gives labels that are ASCII, at least one, and hold nothing from before the @", () => {
    fc.assert(
      fc.property(fc.oneof(numbers, addressed), (text) => {
        const csi = parsed(text);
        if (csi === undefined) return;
        const labels = csiLabels(parseCsi(csi));
        expect(labels).not.to.be.empty;
        for (const label of labels) expect(label).to.match(/^[a-z0-9-]{1,63}$/);
        const tail = csi.startsWith("tel:") ? labels.join("") : labels.toReversed().join(".");
        expect(csi.endsWith(csi.startsWith("tel:") ? `+${tail}` : `@${tail}`)).to.equal(true);
      }),
    );
  });

  it("never repeats the identifier in an error", () => {
    for (const text of [
      "tel:+49309018201234567",
      "mailto:secret..name@example.org",
      "acct:secret name@h",
    ]) {
      expect(() => parseCsi(text)).to.throw(/^INVALID_CSI: (?!.*(secret|4930))/);
    }
  });

  it("refuses a megabyte at once", () => {
    expect(parsed(`mailto:${"a".repeat(1e6)}@example.org`)).to.equal(undefined);
  });

  it("names the proof methods of a scheme", () => {
    expect(csiProofMethods(parseCsi("+14155550123"))).to.include("sms");
    expect(csiProofMethods(parseCsi("alice@example.org"))).to.include("email");
    expect(csiProofMethods(parseCsi("acct:bob@video.example"))).to.deep.equal(["oidc"]);
  });
});
