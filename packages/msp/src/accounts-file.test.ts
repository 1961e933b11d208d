import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { isDiscoveryError, parseCsi } from "@whither/protocol";
import { parseAccounts, readAccountsFile } from "./accounts-file.js";

const tel = parseCsi("tel:+14155550123");
const mail = parseCsi("mailto:alice@example.org");

describe("accounts file", () => {
  it("takes strings, objects with more fields and empty lines", () => {
    const text = `"${tel}"\n\n{"csi":"${mail}","name":"Alice"}\r\n`;
    expect(parseAccounts(text)).to.deep.equal([tel, mail]);
    expect(parseAccounts("")).to.deep.equal([]);
  });

  for (const [title, line] of [
    ["a bare CSI", "tel:+14155550123"],
    ["a CSI that is not canonical", '"tel:+1 415 555 0123"'],
    ["a number", "14155550123"],
    ["an object without csi", '{"tel":"+14155550123"}'],
    ["null", "null"],
    ["half a line", '{"csi":"tel:+1'],
  ] as const) {
    it(`CONFIG with the line's number and not its text: ${title}`, () => {
      try {
        parseAccounts(`"${mail}"\n${line}\n`);
        expect.fail("did not throw");
      } catch (error) {
        if (!isDiscoveryError(error, "CONFIG")) throw error;
        expect(error.text).to.equal("accounts line 2: expected a canonical csi");
      }
    });
  }

  it("reads a file and knows whom it holds", async () => {
    const directory = await mkdtemp(join(tmpdir(), "whither-accounts-"));
    try {
      const path = join(directory, "accounts.jsonl");
      await writeFile(path, `"${tel}"\n`);
      const accounts = await readAccountsFile(path);
      expect(await accounts.isReachable(tel)).to.equal(true);
      expect(await accounts.isReachable(mail)).to.equal(false);
      const missing = readAccountsFile(join(directory, "none")).catch((error: unknown) => error);
      expect(isDiscoveryError(await missing, "CONFIG")).to.equal(true);
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
