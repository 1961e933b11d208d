import { expect } from "chai";
import fc from "fast-check";
import { readInputs, type Input, type InputSource } from "./inputs.js";

async function inputsOf(
  source: Partial<InputSource>,
  chunks: readonly (Uint8Array | string)[] = [],
): Promise<readonly Input[]> {
  async function* stdin(): AsyncGenerator<Uint8Array | string, void> {
    for (const chunk of chunks) yield await Promise.resolve(chunk);
  }
  const all: Input[] = [];
  const whole = { identifiers: [], file: undefined, region: undefined, ...source };
  for await (const input of readInputs(whole, { stdin: stdin() })) all.push(input);
  return all;
}

describe("identifiers to look up", () => {
  it("are the same however a file is cut into chunks", async () => {
    const text = "tel:+14155550123\r\n# Grüße\nbücher@example.org\n\n  +1 415 555 0100  \nnobody";
    const bytes = new TextEncoder().encode(text);
    const whole = await inputsOf({ file: "-" }, [bytes]);
    expect(whole.map(({ kind, place }) => `${kind} ${place ?? ""}`)).to.deep.equal([
      "csi stdin:1",
      "csi stdin:3",
      "csi stdin:5",
      "invalid stdin:6",
    ]);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(bytes.length), { maxLength: 8 }), async (cuts) => {
        const places = [0, ...cuts.toSorted((a, b) => a - b), bytes.length];
        const chunks = places.slice(1).map((end, at) => bytes.subarray(places[at], end));
        expect(await inputsOf({ file: "-" }, chunks)).to.deep.equal(whole);
      }),
    );
  });

  it("come from words first, then from the file", async () => {
    const inputs = await inputsOf({ identifiers: ["a@example.org"], file: "-" }, [
      "b@example.org\n",
    ]);
    expect(inputs.map(({ input, place }) => [input, place])).to.deep.equal([
      ["a@example.org", undefined],
      ["b@example.org", "stdin:1"],
    ]);
  });

  it("in national form take the region", async () => {
    const [input] = await inputsOf({ identifiers: ["030 12345678"], region: "DE" });
    expect(input).to.deep.include({ kind: "csi", csi: "tel:+493012345678" });
  });

  it("of a file that is not there fail with its name", async () => {
    let text = "";
    try {
      await inputsOf({ file: "/nowhere/book.txt" });
    } catch (error) {
      text = error instanceof Error && error.cause instanceof Error ? error.cause.message : "";
    }
    expect(text).to.equal("/nowhere/book.txt cannot be read (ENOENT)");
  });

  it("without a newline for megabytes are one line that is none, in bounded memory", async () => {
    const chunk = new Uint8Array(1024 * 1024).fill(0x31);
    const inputs = await inputsOf(
      { file: "-" },
      Array.from({ length: 8 }, () => chunk),
    );
    expect(inputs.map(({ kind, input }) => [kind, input.length])).to.deep.equal([
      ["invalid", 4096],
    ]);
  });
});
