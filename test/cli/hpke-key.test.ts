// An HPKE key from its file into a manifest, and its successor, with the commands of docs/operators.md.

import { createPrivateKey } from "node:crypto";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { whitherctlHere, whitherctlInProcess } from "../support/processes.js";

interface ShownKey {
  readonly id: number;
  readonly public_key: string;
  readonly kem: string;
  readonly not_after: number;
}

describe("HPKE keys of a zone with whitherctl", () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "whither-hpke-"));
    for (const [type, name] of [
      ["zone", "de.zone.pem"],
      ["voprf", "de.voprf"],
    ] as const) {
      await ctl("key", "generate", "--type", type, "--out", file(name));
    }
  });
  after(() => rm(directory, { recursive: true }));

  const file = (name: string): string => join(directory, name);
  const ctl = async (...args: readonly string[]): Promise<string> =>
    (await whitherctlInProcess(args)).trim();
  const manifest = async (...lines: readonly string[]) => {
    const source = file("de.manifest.yaml");
    const common = "zone: de@dp-a.example\noperator: Operator A\nzone_key_file: de.zone.pem\n";
    const text = `${common}voprf_key_file: de.voprf\npolicy: {}\n${lines.join("\n")}\n`;
    await writeFile(source, text);
    return await whitherctlHere(["manifest", "create", source, "--out", file("de.manifest")]);
  };
  const keysShown = async (): Promise<readonly ShownKey[]> =>
    (JSON.parse(await ctl("manifest", "show", file("de.manifest"))) as { hpke_keys: ShownKey[] })
      .hpke_keys; // the documented shape

  it("are made in a file of their owner that other programs read", async () => {
    const shown = await ctl("key", "generate", "--type", "hpke", "--out", file("a.hpke"));
    expect(shown).to.match(/^x25519:[\w-]{43}$/);
    expect((await stat(file("a.hpke"))).mode & 0o777).to.equal(0o600);
    const key = createPrivateKey(await readFile(file("a.hpke")));
    expect(key.asymmetricKeyType).to.equal("x25519");
    expect(`x25519:${key.export({ format: "jwk" }).x ?? ""}`).to.equal(shown);
    expect(await ctl("key", "show", file("a.hpke"))).to.contain(shown);
  });

  it("stand in a manifest, the current one first, each with its id and its end", async () => {
    await manifest();
    expect(await keysShown()).to.deep.equal([]);
    await manifest("hpke_key_file: a.hpke");
    const [first] = await keysShown();
    expect(first).to.include({ kem: "DHKEM(X25519, HKDF-SHA256)" });
    let next = first;
    // Ids are one octet of a hash: of two keys one in 256 has that of the other.
    for (let n = 0; next?.id === first?.id; n += 1) {
      await ctl("key", "generate", "--type", "hpke", "--out", file(`b${n}.hpke`));
      const lines = [`hpke_key_file: b${n}.hpke`, "hpke_key_lifetime: 30d"];
      const made = await manifest(...lines, "previous_hpke_key_file: a.hpke");
      if (made.status !== 0) {
        expect(made.stderr).to.match(/both hpke keys have one id/);
        continue;
      }
      const [current, previous] = await keysShown();
      expect([previous?.id, previous?.public_key]).to.deep.equal([first?.id, first?.public_key]);
      const days = ((current?.not_after ?? 0) - (previous?.not_after ?? 0)) / 86_400;
      expect(Math.round(days)).to.equal(16);
      next = current;
    }
  });

  it("are refused where they are none, and without the one that follows", async () => {
    const other = await manifest("hpke_key_file: de.zone.pem");
    expect(other.stderr).to.match(/^error: .*de\.zone\.pem: expected a private key file/m);
    const alone = await manifest("previous_hpke_key_file: a.hpke");
    expect(alone.stderr).to.match(/hpke_key_file beside it/);
    const part = await manifest("kind: directory", "hpke_key_file: a.hpke");
    expect(part.stderr).to.match(/none for kind: directory/);
  });
});
