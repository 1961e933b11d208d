// `whitherctl key rollover` on the files of a federation: each phase by what the signed directory names, and a
// command that ended in the middle.

import { mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { makeFederation, signDirectory, type FederationFiles } from "../support/federation.js";
import { whitherctlInProcess } from "../support/processes.js";

const zone = "de@dp-a.example";
const plan = {
  dps: [{ id: "dp-a.example", operator: "Operator A", jurisdiction: "DE", zones: [zone] }],
  msps: [{ id: "wire.example", operator: "Operator W", bit: 0 }],
  rootZone: `{ zone: ".", ttl_s: 7200, lifetime_s: 604800, refresh_s: 900, retry_s: 300, expire_s: 604800,
  federation_default: local, prefixes: { "tel:": { unassigned: true }, "tel:+49": { zones: [${zone}] } } }`,
};

interface Shown {
  readonly phase: string;
  readonly manifest_sha256: string;
  readonly public_key: string;
  readonly switch_at: number;
  readonly named_at: number;
  readonly next: readonly string[];
}

describe("whitherctl key rollover", () => {
  let directory: string;
  let files: FederationFiles;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "whither-rollover-"));
    files = await makeFederation({ directory, plan });
  });
  afterEach(() => rm(directory, { recursive: true }));

  const name = (end: string): string => files.path(`de-dp-a.example${end}`);
  const words = (): readonly string[] => [
    ...["key", "rollover", name(".manifest"), "--zone-key", name(".zone.pem")],
    ...["--directory", files.artefact, "--anchors", files.anchors, "--json"],
  ];
  const rollOver = async (): Promise<Shown> =>
    JSON.parse(await whitherctlInProcess(words())) as Shown; // what the command documents
  const show = async (file: string) =>
    JSON.parse(await whitherctlInProcess(["manifest", "show", file, "--json"])) as {
      readonly version: number;
      readonly manifest_sha256: string;
      readonly signed_by: readonly string[];
      readonly zone_keys: readonly { readonly public_key: string; readonly not_before: number }[];
    };
  const keyOf = async (file: string) =>
    JSON.parse(await whitherctlInProcess(["key", "show", file, "--json"])) as {
      readonly public_key: string;
      readonly key_id: string;
    };
  /** The directory names these manifests from now on. */
  const sign = async (manifests: string): Promise<void> => {
    const registry = await readFile(files.path("registry.yaml"), "utf8");
    const line = registry.replace(/manifest: [^}]*\}/, `manifest: ${manifests} }`);
    await writeFile(files.path("registry.yaml"), line);
    await signDirectory(files);
  };

  it("makes a key and a manifest that its predecessor signs, once", async () => {
    const before = await keyOf(name(".zone.pem"));
    const prepared = await rollOver();
    expect(prepared.phase).to.equal("prepared");
    const next = await keyOf(name(".zone.next.pem"));
    const made = await show(name(".next.manifest"));
    expect(made.version).to.equal(2);
    expect(made.manifest_sha256).to.equal(prepared.manifest_sha256);
    expect(made.zone_keys.map((key) => key.public_key)).to.deep.equal([
      next.public_key,
      before.public_key,
    ]);
    expect(made.zone_keys[0]!.not_before).to.equal(made.zone_keys[1]!.not_before);
    expect(made.signed_by).to.deep.equal([next.key_id, before.key_id]);
    expect(await rollOver()).to.deep.equal(prepared);
  });

  it("goes on as the directory does, and ends with the new files in the place of the old", async () => {
    const prepared = await rollOver();
    await sign("[de-dp-a.example.next.manifest, de-dp-a.example.manifest]");
    const published = await rollOver();
    expect(published.phase).to.equal("published");
    expect(published.switch_at).to.equal(published.named_at + 7200 + 3600);
    await sign("de-dp-a.example.next.manifest");
    expect((await rollOver()).phase).to.equal("retired");
    expect((await show(name(".manifest"))).manifest_sha256).to.equal(prepared.manifest_sha256);
    expect((await keyOf(name(".zone.pem"))).public_key).to.equal(prepared.public_key);
    await sign("de-dp-a.example.manifest");
    // The next one begins from here.
    expect((await rollOver()).phase).to.equal("prepared");
    expect((await show(name(".next.manifest"))).version).to.equal(3);
  });

  it("ends what a command that was killed between the two files began", async () => {
    const prepared = await rollOver();
    await rename(name(".next.manifest"), name(".manifest"));
    expect((await rollOver()).phase).to.equal("retired");
    expect((await keyOf(name(".zone.pem"))).public_key).to.equal(prepared.public_key);
  });

  it("makes the manifest for a key that was made before", async () => {
    await rollOver();
    await rm(name(".next.manifest"));
    const next = await keyOf(name(".zone.next.pem"));
    expect((await rollOver()).public_key).to.equal(next.public_key);
  });

  const unfit: readonly (readonly [string, () => Promise<void>])[] = [
    ["a manifest without its key", () => rm(name(".zone.next.pem"))],
    ["another key", () => rename(files.path("prover.pem"), name(".zone.next.pem"))],
    [
      "a manifest that another key signed",
      async () => {
        await rename(files.path("prover.pem"), name(".zone.pem"));
      },
    ],
  ];
  for (const [title, change] of unfit) {
    it(`refuses to go on with ${title}, and changes nothing`, async () => {
      await rollOver();
      await change();
      let failure = "";
      await rollOver().catch((error: unknown) => (failure = String(error)));
      expect(failure).to.match(/error: (CONFIG|files of another|KEY_MISSING)/);
      expect((await show(name(".manifest"))).version).to.equal(1);
    });
  }
});
