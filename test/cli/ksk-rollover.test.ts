// The root's KSKs replaced with the commands of docs/operators.md: what is agreed to is signed and led to, what is not is
// not published, and anchors are carried forward.

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { makeFederation, type FederationFiles } from "../support/federation.js";
import { whitherctlHere, whitherctlInProcess } from "../support/processes.js";

const zone = "de@dp-a.example";
const plan = {
  dps: [{ id: "dp-a.example", operator: "Operator A", jurisdiction: "DE", zones: [zone] }],
  msps: [{ id: "wire.example", operator: "Operator W", bit: 0 }],
  rootZone: `{ zone: ".", ttl_s: 7200, lifetime_s: 604800, refresh_s: 900, retry_s: 300, expire_s: 604800,
  federation_default: local, prefixes: { "tel:": { unassigned: true }, "tel:+49": { zones: [${zone}] } } }`,
};

describe("KSKs replaced with whitherctl", () => {
  let directory: string;
  let files: FederationFiles;
  let zsk: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "whither-ksk-"));
    files = await makeFederation({ directory, plan });
    zsk = (await ctl("key", "show", file("zsk.pem"))).split("\n")[0] ?? "";
    for (const name of ["ksk-3.pem", "ksk-4.pem"]) {
      await ctl("key", "generate", "--type", "ksk", "--out", file(name));
    }
  });
  after(() => rm(directory, { recursive: true }));

  const file = (name: string): string => files.path(name);
  const ctl = async (...args: readonly string[]): Promise<string> =>
    (await whitherctlInProcess(args)).trim();
  const signSet = (version: number, ...options: readonly string[]): Promise<string> =>
    ctl(
      ...["key", "sign-root-set", "--ksk", file("ksk-3.pem"), "--ksk", file("ksk-4.pem")],
      ...["--zsk", zsk, "--threshold", "2", "--set-version", String(version)],
      ...["--out", file("root-keys"), ...options],
    );
  const signZone = () =>
    whitherctlHere([
      ...["zone", "sign", file("root.zone.yaml"), "--registry", file("registry.yaml")],
      ...["--root-keys", file("root-keys"), "--zsk", file("zsk.pem"), "--out", files.artefact],
    ]);
  const show = (anchors: string) =>
    whitherctlHere(["zone", "show", files.artefact, "--anchors", anchors, "--json"]);

  it("publishes no set that too few of the KSKs before have agreed to", async () => {
    const before = await readFile(files.artefact);
    expect(await signSet(2)).to.match(/: version 2, 2 of 2 needed signatures$/);
    const refused = await signZone();
    expect(refused.status).to.equal(1);
    expect(refused.stderr).to.match(/^error: KEY_MISSING .*0 of 2/m);
    await ctl("key", "countersign-root-set", file("root-keys"), "--ksk", file("ksk-1.pem"));
    expect((await signZone()).stderr).to.match(/^error: KEY_MISSING .*1 of 2/m);
    expect(await readFile(files.artefact)).to.deep.equal(before);
  });

  it("publishes one that enough of both have signed, wherever their keys lie", async () => {
    const shown = await ctl(
      ...["key", "countersign-root-set", file("root-keys"), "--ksk", file("ksk-2.pem")],
    );
    expect(shown).to.match(/: version 2, 2 of 2 needed signatures, 2 of KSKs before$/);
    expect((await signZone()).status).to.equal(0);
    expect((await show(files.anchors)).status).to.equal(0);
    await ctl("anchor", "verify", files.anchors, "--root-keys", file("root-keys"));
  });

  it("leads those with the first anchors on when the KSKs before are gone", async () => {
    await signSet(3);
    expect((await signZone()).status).to.equal(0);
    const { stdout } = await show(files.anchors);
    expect(JSON.parse(stdout)).to.include({ verified: true, serial: 3 });
    const verify = ["anchor", "verify", files.anchors, "--root-keys", file("root-keys")];
    expect((await whitherctlHere(verify)).stderr).to.match(/^error: KEY_MISSING/m);
  });

  it("carries anchors forward for new clients", async () => {
    const newer = file("anchors-2.json");
    const words = ["anchor", "update", files.anchors, "--directory", files.artefact];
    expect(await ctl(...words, "--out", newer)).to.match(/: 2 of 2 keys$/);
    await ctl("anchor", "verify", newer, "--root-keys", file("root-keys"));
    expect((await show(newer)).status).to.equal(0);
    const [before, after] = await Promise.all(
      [files.anchors, newer].map(async (path) => {
        const { keys, tls_ca } = JSON.parse(await readFile(path, "utf8")) as Record<
          string,
          unknown
        >;
        return { keys, tls_ca };
      }),
    );
    expect(after?.tls_ca).to.deep.equal(before?.tls_ca);
    expect(after?.keys).not.to.have.members(before?.keys as string[]);
  });

  it("signs KSKs that retire in one step where all keys are at hand", async () => {
    const old = ["--retiring-ksk", file("ksk-1.pem"), "--retiring-ksk", file("ksk-2.pem")];
    expect(await signSet(4, ...old)).to.match(/: version 4, 2 of 2 .*, 2 of KSKs before$/);
    await expectUsage("--retiring-ksk", file("ksk-3.pem"));
  });

  async function expectUsage(...more: readonly string[]): Promise<void> {
    const twice = await signSet(5, ...more).catch((error: unknown) => String(error));
    expect(twice).to.contain("each key once");
  }
});
