import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { agreeToKeyLink, formatHolderMemory, type HolderMemory } from "@whither/msp";
import { encodePrivateKeyPem, formatPublicKey } from "@whither/crypto";
import { parseCsi, parseMspId, parseZoneName } from "@whither/protocol";
import { fixedBytes, fixedSigner, makeRegistrationParties, makeCredential } from "@whither/testkit";
import { nodeVerifier, verifyKeyLink } from "@whither/zone";
import { runWhither } from "../ask/program.js";
import { formatCredentialFile } from "../credential-file.js";
import { formatLinkFile, readLinkFile } from "../link-file.js";
import { MemoryFile, newestOf } from "./memory-file.js";

const parties = makeRegistrationParties();
const { csi, opening } = parties;
const [phone, tablet] = [fixedSigner("phone"), fixedSigner("tablet")];
const memory: HolderMemory = new Map([
  [
    parseZoneName("us@dp-a.example"),
    {
      seq: 7,
      items: [
        {
          mappingSha256: fixedBytes("mapping"),
          csiCommit: fixedBytes("commit"),
          mspId: parseMspId("wire.example"),
          notAfter: 1_790_000_000,
          preference: 1,
          tags: [],
        },
      ],
      exclusive: false,
      sameAppOnly: false,
      portedTo: "",
    },
  ],
]);

describe("whither link", () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "whither-link-"));
    const secret = { mode: 0o600 };
    await writeFile(at("phone.pem"), encodePrivateKeyPem(fixedBytes("key phone")), secret);
    await writeFile(at("tablet.pem"), encodePrivateKeyPem(fixedBytes("key tablet")), secret);
    const credential = formatCredentialFile({ csi, opening, credential: makeCredential(parties) });
    await writeFile(at("credential"), credential);
  });
  afterEach(() => rm(directory, { recursive: true }));

  const at = (name: string): string => join(directory, name);
  const run = async (...args: readonly string[]) => {
    let [stdout, stderr] = ["", ""];
    const status = await runWhither({
      args,
      terminal: {
        stdin: (async function* () {
          yield await Promise.resolve("");
        })(),
        stdout: { write: (text) => (stdout += text) },
        stderr: { write: (text) => (stderr += text) },
        env: {},
        signal: new AbortController().signal,
      },
    });
    return { status, stdout, stderr };
  };
  const approve = (key: string, ...more: readonly string[]) =>
    run("link", "--approve", key, "--holder-key", at("phone.pem"), "--out", at("out"), ...more);
  const tabletKey = formatPublicKey(tablet.publicKey);

  it("writes for the owner only what the other key can agree to", async () => {
    const { status, stdout, stderr } = await approve(tabletKey, "+1 415 555 0123");
    expect([status, stderr]).to.deep.equal([0, ""]);
    expect(stdout).to.contain(tabletKey).and.to.contain("nothing is known here");
    expect((await stat(at("out"))).mode & 0o777).to.equal(0o600);
    const file = await readLinkFile(at("out"));
    expect([file.csi, file.slots]).to.deep.equal([csi, undefined]);
    const { approved } = file;
    const agreed = agreeToKeyLink({ approved, csi, holder: tablet, verifier: nodeVerifier });
    const link = verifyKeyLink({ ...agreed, csi, verifier: nodeVerifier });
    expect(link.oldPublicKey).to.deep.equal(phone.publicKey);
  });

  it("tells the other app what stands by this key", async () => {
    await new MemoryFile({ holderKeyFile: at("phone.pem"), csi }).write(memory);
    const { stdout } = await approve(tabletKey, csi, "--json");
    expect(JSON.parse(stdout)).to.deep.equal({
      csi,
      old_key: formatPublicKey(phone.publicKey),
      new_key: tabletKey,
      zones: ["us@dp-a.example"],
      file: at("out"),
    });
    expect((await readLinkFile(at("out"))).slots).to.deep.equal(memory);
  });

  it("never writes over a file", async () => {
    await writeFile(at("out"), "mine");
    const { status, stderr } = await approve(tabletKey, csi);
    expect([status, stderr]).to.deep.include(2);
    expect(stderr).to.contain("exists already");
    expect(await readFile(at("out"), "utf8")).to.equal("mine");
  });

  it("wrong words exit with 2, one's own key with 4, and leave no file", async () => {
    expect((await run("link", csi)).stderr).to.contain(
      "expected --approve, --holder-key and --out",
    );
    const rows: readonly [number, string, string][] = [
      [2, "tablet", csi],
      [2, tabletKey, "+49"],
      [4, formatPublicKey(phone.publicKey), csi],
    ];
    for (const [status, key, of] of rows) {
      expect((await approve(key, of)).status, key).to.equal(status);
    }
    expect((await run("link", csi)).status).to.equal(2);
    expect(await stat(at("out")).catch(() => "none")).to.equal("none");
  });

  const register = (...more: readonly string[]) =>
    run("register", "--credential", at("credential"), "--holder-key", at("tablet.pem"), ...more);

  it("is not taken by register for another identifier than the credential's", async () => {
    await approve(tabletKey, parseCsi("+14155550124"));
    const { status, stderr } = await register("--msp", "wire.example", "--link", at("out"));
    expect([status, stderr.includes("another's")]).to.deep.equal([2, true]);
  });

  it("is refused where the file is not what link has written", async () => {
    await approve(tabletKey, csi);
    const good = JSON.parse(await readFile(at("out"), "utf8")) as Record<string, unknown>;
    const spoilt: readonly unknown[] = [
      {},
      [],
      { ...good, version: 2 },
      { ...good, more: 1 },
      { ...good, link: "AAAA" },
      { ...good, opening: "AAAA" },
      { ...good, csi: "+49" },
      { ...good, slots: { version: 1, zones: { "us@dp-a.example": {} } } },
    ];
    for (const one of spoilt) {
      await writeFile(at("out"), JSON.stringify(one));
      const { status, stderr } = await register("--msp", "wire.example", "--link", at("out"));
      expect([status, stderr.includes(at("out"))], JSON.stringify(one)).to.deep.equal([2, true]);
    }
  });
});

describe("what two keys of one holder remember", () => {
  const [a, b, c] = ["a", "b", "c"].map((name) => parseZoneName(`us@dp-${name}.example`));
  const slot = (seq: number) => ({ ...[...memory.values()][0]!, seq });

  it("is of each zone what was written last", () => {
    const own: HolderMemory = new Map([
      [a!, slot(3)],
      [b!, slot(3)],
    ]);
    const other: HolderMemory = new Map([
      [a!, slot(2)],
      [b!, slot(4)],
      [c!, slot(1)],
    ]);
    const seqs = [...(newestOf(own, other) ?? [])].map(([zone, { seq }]) => [zone, seq]);
    expect(seqs).to.deep.equal([
      [a, 3],
      [b, 4],
      [c, 1],
    ]);
    expect([newestOf(own, undefined), newestOf(undefined, other)]).to.deep.equal([own, other]);
    expect(newestOf(undefined, undefined)).to.equal(undefined);
  });
});

describe("link file", () => {
  it("comes back as it was written", async () => {
    const directory = await mkdtemp(join(tmpdir(), "whither-link-file-"));
    try {
      const approved = {
        link: { payload: Uint8Array.of(1), signatures: [] },
        opening: fixedBytes("opening"),
      };
      for (const slots of [undefined, memory]) {
        const path = join(directory, "link");
        await writeFile(path, formatLinkFile({ csi, approved, slots }));
        expect(await readLinkFile(path)).to.deep.equal({ csi, approved, slots });
      }
      expect(formatHolderMemory(memory)).to.contain("us@dp-a.example");
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
