import { readFileSync } from "node:fs";
import { expect } from "chai";
import { isDiscoveryError, errorTextBytesMax } from "../errors.js";
import { csiLabels, csiScheme, disclosureLimit, isCanonicalCsi, parseCsi } from "./csi.js";

interface Input {
  readonly input: string;
  readonly region?: string;
}
interface SchemeVectors {
  readonly accepted: readonly (Input & { readonly canonical: string; readonly note: string })[];
  readonly rejected: readonly (Input & { readonly reason: string })[];
  readonly equivalent: readonly { readonly canonical: string; readonly inputs: readonly Input[] }[];
}
interface Vectors {
  readonly schemes: Readonly<Record<string, SchemeVectors>>;
  readonly disclosure: readonly {
    readonly csi: string;
    readonly labels: readonly string[];
    readonly disclosed: string;
  }[];
}

const file = new URL("../../../../test/vectors/csi.json", import.meta.url);
const vectors = JSON.parse(readFileSync(file, "utf8")) as Vectors; // the file's shape; a wrong one fails below

function parse({ input, region }: Input): string {
  return parseCsi(input, region === undefined ? {} : { defaultRegion: region });
}

/** JSON with everything beyond ASCII escaped, so that a title shows which code points are meant. */
function shown(text: string): string {
  const ascii = JSON.stringify(text).replace(/[^ -~]/g, (unit) => {
    return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
  return ascii.length > 70 ? `${ascii.slice(0, 60)}… (${ascii.length})` : ascii;
}

describe("csi vectors", () => {
  it("cover three schemes with at least 40 vectors each", () => {
    expect(Object.keys(vectors.schemes)).to.deep.equal(["tel", "mailto", "acct"]);
    for (const { accepted, rejected, equivalent } of Object.values(vectors.schemes)) {
      expect(accepted.length + rejected.length + equivalent.length).to.be.at.least(40);
    }
  });

  for (const [scheme, { accepted, rejected, equivalent }] of Object.entries(vectors.schemes)) {
    describe(scheme, () => {
      for (const vector of accepted) {
        it(`accepts ${shown(vector.input)}: ${vector.note}`, () => {
          const csi = parse(vector);
          expect(csi).to.equal(vector.canonical);
          expect(isCanonicalCsi(csi)).to.equal(true);
          expect(isCanonicalCsi(vector.input)).to.equal(vector.input === vector.canonical);
        });
      }

      for (const vector of rejected) {
        it(`rejects ${shown(vector.input)}: ${vector.reason}`, () => {
          let thrown: unknown;
          try {
            parse(vector);
          } catch (error) {
            thrown = error;
          }
          if (!isDiscoveryError(thrown, "INVALID_CSI")) throw new Error("not INVALID_CSI");
          expect(Buffer.byteLength(thrown.text)).to.be.within(1, errorTextBytesMax);
          if (vector.input.trim().length > 3) expect(thrown.message).not.to.include(vector.input);
          expect(isCanonicalCsi(vector.input)).to.equal(false);
        });
      }

      for (const { canonical, inputs } of equivalent) {
        it(`takes ${inputs.length} inputs for ${shown(canonical)}`, () => {
          for (const input of inputs) expect(parse(input), shown(input.input)).to.equal(canonical);
        });
      }

      it("has pairwise different classes of equivalent input", () => {
        const classes = equivalent.map((one) => one.canonical);
        expect(new Set(classes).size).to.equal(classes.length);
      });
    });
  }

  for (const { csi: text, labels, disclosed } of vectors.disclosure) {
    it(`of ${text} tells a directory no more than ${disclosed}`, () => {
      const csi = parseCsi(text);
      expect(csi).to.equal(text);
      expect(csiScheme(csi)).to.equal(text.slice(0, text.indexOf(":")));
      expect(csiLabels(csi)).to.deep.equal(labels);
      expect(disclosureLimit(csi)).to.equal(disclosed);
    });
  }
});
