// A small federation of real processes on loopback, as an operator runs it and a person asks it: one root,
// two discovery providers, two MSPs. What is refused is checked as closely as what is answered.
import { chmod, copyFile, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { connect as connectTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ConnectionOptions } from "node:tls";
import { Readable } from "node:stream";
import { runWhither } from "@whither/cli";
import { expect } from "chai";
import {
  dpdYaml,
  makeFederation,
  RunningFederation,
  signDirectory,
  type DpFiles,
  type FederationFiles,
} from "../support/federation.js";
import { healthOf } from "../support/grpc-health.js";
import { freshClient, registerPeople, type Person } from "../support/people.js";
import { run, whitherctlInProcess, type Finished } from "../support/processes.js";
import { rootZoneYaml } from "../support/root-zone.js";

const rootZone = rootZoneYaml({
  "tel:": "{ unassigned: true, name: E.164 }",
  "tel:+49": "{ zones: [de@dp-a.example], name: Germany }",
  "tel:+1": "{ zones: [rest@dp-b.example], name: World zone 1 }",
  "mailto:": "{ zones: [mail@dp-b.example], name: e-mail }",
});

const anna: Person = {
  csi: "tel:+4930901820001",
  msps: [
    { id: "video.example", tags: ["home"] },
    { id: "wire.example", tags: ["work", "quiet"] },
  ],
};
const bob: Person = { csi: "mailto:bob@bücher.example", msps: [{ id: "wire.example" }] };
const bobCanonical = "mailto:bob@xn--bcher-kva.example";

interface JsonAnswer {
  readonly csi: string;
  readonly status: string;
  readonly complete: { readonly answered: number; readonly asked: number };
  readonly choice: string | null;
  readonly mappings: readonly { msp: string; preference: number | null; tags: string[] }[];
  readonly dps: readonly { readonly dp: string; readonly outcome: string }[];
  readonly proof: { readonly kind: string; readonly verified: boolean; readonly zone: string };
  readonly errors: readonly { readonly code: string; readonly upstream: string }[];
  readonly hops: readonly { readonly from: string }[];
}

describe("a federation of real processes", function () {
  this.timeout(90_000);
  let directory = "";
  let files: FederationFiles;
  let federation: RunningFederation;
  let running: RunningFederation | undefined;
  let dpA: DpFiles;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "whither-e2e-"));
    files = await makeFederation({
      directory,
      plan: {
        dps: [
          {
            id: "dp-a.example",
            operator: "Operator A",
            jurisdiction: "DE",
            zones: ["de@dp-a.example"],
          },
          {
            id: "dp-b.example",
            operator: "Operator B",
            jurisdiction: "US",
            zones: ["rest@dp-b.example", "mail@dp-b.example"],
          },
        ],
        msps: [
          { id: "wire.example", operator: "Operator W", bit: 0 },
          { id: "video.example", operator: "Operator V", bit: 1 },
        ],
        rootZone,
      },
    });
    const first = files.dps[0];
    if (first === undefined) throw new TypeError("no dp");
    dpA = first;
    running = await RunningFederation.start(files);
    federation = running;
    await registerPeople(files, [anna, { ...bob, csi: bobCanonical }]);
  });

  after(async () => {
    await running?.[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  });

  const whither = (...args: readonly string[]): Promise<Finished> =>
    run("whither", ["--config", files.clientConfig, ...args]);
  const answersOf = (done: Finished): readonly JsonAnswer[] =>
    done.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as JsonAnswer); // documented keys
  const answerOf = (done: Finished): JsonAnswer => {
    const [answer] = answersOf(done);
    if (answer === undefined) throw new Error(`no answer: ${done.stderr}`);
    return answer;
  };
  const clientTls = async (port: number): Promise<ConnectionOptions> => ({
    host: "127.0.0.1",
    port,
    ca: await readFile(files.path("pki", "ca.pem")),
    cert: await readFile(files.path("pki", "wire.example.pem")),
    key: await readFile(files.path("pki", "wire.example-key.pem")),
    ALPNProtocols: ["h2"],
  });

  describe("answers", () => {
    it("finds a registered number with the holder's order and tags, fully validated", async () => {
      const done = await whither("+49 30 901820001", "+json");
      expect(done.status, done.stderr).to.equal(0);
      const answer = answerOf(done);
      expect(answer).to.include({ csi: anna.csi, status: "found", choice: "video.example" });
      expect(answer.complete).to.deep.equal({ answered: 1, asked: 1 });
      expect(
        answer.mappings.map(({ msp, preference, tags }) => [msp, preference, tags]),
      ).to.deep.equal([
        ["video.example", 0, ["home"]],
        ["wire.example", 1, ["work", "quiet"]],
      ]);
      expect(answer.proof).to.include({
        kind: "presence",
        verified: true,
        zone: "de@dp-a.example",
      });
    });

    it("proves an absence, and that nobody serves a prefix", async () => {
      const [absent, unassigned] = await Promise.all([
        whither("+4930901820009", "+json"),
        whither("+33123456789", "+json"),
      ]);
      expect([absent.status, unassigned.status]).to.deep.equal([1, 1]);
      expect(answerOf(absent)).to.include({ status: "none", choice: null });
      expect(answerOf(absent).proof).to.include({ kind: "absence", verified: true });
      expect(answerOf(absent).dps).to.have.length(1);
      expect(answerOf(unassigned).complete).to.deep.equal({ answered: 0, asked: 0 });
      expect(answerOf(unassigned).proof).to.include({ kind: "absence", verified: true, zone: "." });
    });

    it("takes a national number with its region, and says only the choice with +short", async () => {
      const [short, withoutRegion] = await Promise.all([
        whither("030 901820001", "--region", "DE", "+short"),
        whither("030 901820001", "+short"),
      ]);
      expect(short.status, short.stderr).to.equal(0);
      expect(short.stdout.trim().split("\n")).to.deep.equal(["video.example", "wire.example"]);
      expect(withoutRegion.status).to.equal(2);
      expect(withoutRegion.stdout).to.equal("");
    });

    it("resolves a file as one compact batch in the order of its lines", async () => {
      const list = files.path("contacts.txt");
      await writeFile(list, `${bob.csi}\n+4930901820002\nnot an identifier\n${anna.csi}\n`);
      const done = await whither("-f", list, "+json");
      expect(done.status, "one line that is no identifier: usage").to.equal(2);
      const answers = answersOf(done);
      expect(answers.map(({ csi, status }) => [csi, status])).to.deep.equal([
        [bobCanonical, "found"],
        ["tel:+4930901820002", "none"],
        [null, answers[2]?.status],
        [anna.csi, "found"],
      ]);
      expect(answers[2]?.status).not.to.be.oneOf(["found", "none"]);
      expect(new Set(answers[3]?.mappings.map(({ msp }) => msp))).to.deep.equal(
        new Set(["wire.example", "video.example"]),
      );
      await writeFile(list, `${bob.csi}\n+4930901820002\n`);
      const clean = await run("whither", ["--config", files.clientConfig, "-f", "-", "+json"], {
        stdin: await readFile(list, "utf8"),
      });
      expect(clean.status, "a proven absence counts as success in a batch").to.equal(0);
    });

    it("filters by MSP in the resolver and shows what each server was told", async () => {
      const [filtered, trace] = await Promise.all([
        whither(anna.csi, "+msp=wire.example", "+short"),
        whither(anna.csi, "+trace"),
      ]);
      expect(filtered.stdout.trim()).to.equal("wire.example");
      expect(trace.stdout).to.match(/fully validated: 2 mappings, 1 holder, 1 of 1 DPs/);
      const hops = trace.stdout.split("\n").filter((line) => line.includes("told: "));
      const told = (port: number): readonly string[] =>
        hops.flatMap((line) =>
          line.includes(`from: 127.0.0.1:${port} `) ? [line.replace(/^.*told: /, "")] : [],
        );
      expect(told(dpA.port)).to.deep.equal(["1 blinded element, who asks"]);
      expect(told(dpA.publicPort)).to.include("0 bits of an index, no identity");
      for (const line of told(dpA.publicPort)) expect(line).to.match(/, no identity$/);
      expect(told(files.rootPort), "a mirror tells the root nothing").to.deep.equal([]);
    });
  });

  describe("usage", () => {
    it("without configuration says what is missing and names whither setup", async () => {
      const done = await run("whither", [anna.csi], { env: { HOME: directory } });
      expect(done.status).to.equal(2);
      expect(done.stderr).to.match(/^error: configuration: expected .*\nhint: .*whither setup/);
      expect(done.stdout).to.equal("");
    });

    it("sets a new machine up from anchors, an address and a request that the operator signs", async () => {
      const home = files.path("new-machine");
      const env = { HOME: home };
      const shown = await whitherctlInProcess(["anchor", "show", files.anchors, "--json"]);
      const { sha256 } = JSON.parse(shown) as { sha256: string }; // its documented key
      const trusted = ["--anchors", files.anchors, "--fingerprint", sha256];
      const words = [...trusted, "--server", `127.0.0.1:${files.rootPort}`, "--request", "anna"];
      const done = await run("whither", ["setup", ...words], { env });
      expect(done.status, done.stderr).to.equal(0);
      const at = (name: string): string => join(home, ".config", "whither", name);
      expect((await stat(at("anna-key.pem"))).mode & 0o777).to.equal(0o600);
      expect((await stat(at("config.yaml"))).mode & 0o777).to.equal(0o600);
      const ask = (): Promise<Finished> => run("whither", [anna.csi, "+short"], { env });
      const early = await ask();
      expect([early.status, early.stderr]).to.satisfy(
        ([status, text]: [number, string]) => status === 2 && text.includes(at("anna.pem")),
      );
      await whitherctlInProcess([
        ...["pki", "sign", at("anna.csr"), "--dir", files.path("pki")],
        ...["--name", "anna.example", "--out", at("anna.pem")],
      ]);
      const answer = await ask();
      expect(answer.status, answer.stderr).to.equal(0);
      expect(answer.stdout).to.equal("video.example\nwire.example\n");
    });

    it("refuses what belongs to later versions by name, and asks nobody", async () => {
      const words = [
        "+federation=all",
        "+dp=dp-a.example",
        "+privacy=relayed",
        "+audience=x",
        "+policy",
      ];
      const verbs = ["renew", "order", "invalidate", "monitor", "grant"];
      const calls = [...words.map((word) => [anna.csi, word]), ...verbs.map((verb) => [verb])];
      for (const args of calls) {
        const written = { stdout: "", stderr: "" };
        const status = await runWhither({
          args,
          terminal: {
            stdin: Readable.from([]),
            stdout: { write: (text: string) => (written.stdout += text) },
            stderr: { write: (text: string) => (written.stderr += text) },
            env: { WHITHER_CONFIG: files.clientConfig },
            signal: new AbortController().signal,
          },
        });
        expect(status, args.join(" ")).to.equal(2);
        expect(written.stderr, args.join(" ")).to.match(/^error: .*not available/m);
        expect(written.stdout, args.join(" ")).to.equal("");
      }
      const process = await whither(anna.csi, "+federation=all");
      expect(process.status).to.equal(2);
      expect(process.stderr).to.match(/^error: .*\+federation: not available/m);
    });
  });

  describe("configuration mistakes", () => {
    const mistakes: readonly [what: string, from: RegExp, to: string, says: RegExp][] = [
      ["an unknown key", /^tls:/m, "tsl:", /:6: tsl: /],
      [
        "a port out of range",
        /clients: 127\.0\.0\.1:\d+/,
        "clients: 127.0.0.1:99999",
        /:4: listen\.clients: /,
      ],
      ["text that is no YAML", /^directory:/m, "directory: [", /:\d+: /],
      ["a zone of another DP", /de@dp-a\.example/, "de@dp-b.example", /zones\[0\]\.name: /],
    ];
    it("stop a dpd before it opens anything, naming file, line and key", async () => {
      const yaml = await readFile(dpA.config, "utf8");
      const runs = mistakes.map(async ([what, from, to, says], place) => {
        expect(yaml, what).to.match(from);
        const path = files.path(`mistake-${place}.yaml`);
        await writeFile(path, yaml.replace(from, to));
        const done = await run("whither-dpd", ["--config", path]);
        expect(done.status, what).to.equal(1);
        const errors = done.stderr.split("\n").filter((line) => line.startsWith("error: "));
        expect(
          errors.some((line) => says.test(line)),
          `${what}: ${done.stderr}`,
        ).to.equal(true);
        for (const error of errors) expect(error, what).to.include(`error: ${path}:`);
      });
      await Promise.all(runs);
    });

    it("a secret that others can read stops it too", async () => {
      const path = files.path("open-key.voprf");
      await copyFile(files.path("de-dp-a.example.voprf"), path);
      await chmod(path, 0o644);
      const config = files.path("open-key.yaml");
      const yaml = await readFile(dpA.config, "utf8");
      await writeFile(config, yaml.replace("de-dp-a.example.voprf", "open-key.voprf"));
      const done = await run("whither-dpd", ["--config", config, "--check"]);
      expect(done.status).to.equal(1);
      expect(done.stderr).to.include("open-key.voprf");
    });

    it("in the root's source name file and line", async () => {
      const source = files.path("broken.zone.yaml");
      await writeFile(source, rootZone.replace("zones: [rest@dp-b.example]", "zoness: [x]"));
      let message = "";
      await whitherctlInProcess([
        ...["zone", "check", source, "--registry", files.path("registry.yaml")],
      ]).catch((error: unknown) => (message = String(error)));
      expect(message).to.match(/broken\.zone\.yaml:11: .*zoness/);
    });
  });

  describe("daemons", () => {
    it("say when they are ready, and with which ports", async () => {
      const ready = await federation.dpds.get("dp-a.example")?.waitFor("listening");
      expect(ready).to.include({ event: "listening", port: dpA.port, public_port: dpA.publicPort });
      const root = await federation.rootd.waitFor("listening");
      expect(root).to.include({ event: "listening", public_port: files.rootPort });
    });

    it("answer as the directory says: zone health", async () => {
      const health = ["zone", "health", files.artefact, "--anchors", files.anchors];
      const shown = JSON.parse(await whitherctlInProcess([...health, "--json"])) as {
        readonly lame: number;
        readonly endpoints: readonly { readonly zone: string; readonly state: string }[];
      };
      expect(shown.lame).to.equal(0);
      expect(shown.endpoints.map(({ state }) => state)).to.deep.equal(
        shown.endpoints.map(() => "healthy"),
      );
      expect(shown.endpoints.map(({ zone }) => zone)).to.include("de@dp-a.example");
      expect(await whitherctlInProcess(health)).to.match(/^PREFIX +ZONE +ENDPOINT +STATE/);
    });

    it("report SERVING to grpc.health.v1 on each listener", async () => {
      for (const port of [dpA.port, dpA.publicPort, files.rootPort]) {
        expect(await healthOf(await clientTls(port)), `port ${port}`).to.equal(1);
      }
    });

    it("a second one on the same store is told so, and the first goes on", async () => {
      const config = files.path("second.yaml");
      const [port, publicPort] = [0, 0];
      const dp = { ...dpA, port, publicPort };
      await writeFile(config, dpdYaml({ files, dp, state: "dp-a.example.state" }));
      const done = await run("whither-dpd", ["--config", config]);
      expect(done.status).to.equal(1);
      const first = federation.dpds.get("dp-a.example");
      expect(done.stderr).to.match(/^error: the store is in use by process \d+$/m);
      expect(done.stderr).to.include(`process ${first?.pid}\n`);
      expect(done.stderr).to.match(/^hint: stop the other process/m);
      expect((await whither(anna.csi, "+short")).status).to.equal(0);
    });

    it("rootd keeps the last good directory when the new one is damaged, and takes the next good one", async () => {
      const good = await readFile(files.artefact);
      const bad = Buffer.from(good);
      bad[bad.length >> 1] = (bad[bad.length >> 1] ?? 0) ^ 1;
      await writeFile(files.artefact, bad);
      const { rootd } = federation;
      const before = rootd.log.length;
      rootd.kill("SIGHUP");
      await rootd.waitFor("reload failed", before);
      const client = await freshClient(files, "reload");
      const nomirror = (): Promise<Finished> =>
        run("whither", ["--config", client, anna.csi, "+nomirror", "+json"]);
      const held = await nomirror();
      expect(held.status, held.stderr).to.equal(0);
      await writeFile(files.artefact, good);
      await signDirectory(files);
      const mark = rootd.log.length;
      rootd.kill("SIGHUP");
      await rootd.waitFor("reloaded", mark);
      expect((await nomirror()).status).to.equal(0);
    });
  });

  describe("connections", () => {
    it("are refused below TLS 1.3, in plaintext, and at the client port without a certificate of the federation", async () => {
      const identified = await clientTls(dpA.port);
      const { cert: _cert, key: _key, ...nobody } = identified;
      await whitherctlInProcess(["pki", "init", "--dir", files.path("foreign")]);
      await whitherctlInProcess([
        ...["pki", "issue", "--dir", files.path("foreign"), "--name", "wire.example"],
      ]);
      const foreign = {
        ...identified,
        cert: await readFile(files.path("foreign", "wire.example.pem")),
        key: await readFile(files.path("foreign", "wire.example-key.pem")),
      };
      expect(await healthOf(identified)).to.equal(1);
      const refused = {
        "TLS 1.2, client port": { ...identified, maxVersion: "TLSv1.2" },
        "TLS 1.2, public port": { ...nobody, port: dpA.publicPort, maxVersion: "TLSv1.2" },
        "no certificate": nobody,
        "a certificate of another CA": foreign,
      } as const;
      for (const [what, options] of Object.entries(refused)) {
        expect(await healthOf(options), what).to.equal("refused");
      }
      for (const port of [dpA.port, dpA.publicPort, files.rootPort]) {
        expect(await plaintextAnswer(port), `plaintext at ${port}`).to.equal("");
      }
    });

    it("to a DP whose key is not the one in the signed directory end as such", async () => {
      const registry = await readFile(files.path("registry.yaml"), "utf8");
      const pins = [...registry.matchAll(/sha256:[\w-]+/g)].map(([pin]) => pin);
      const [pinA = "", pinB = ""] = pins;
      expect(pinA).not.to.equal(pinB);
      await writeFile(files.path("swapped.yaml"), registry.replace(pinA, pinB));
      await whitherctlInProcess([
        ...["zone", "sign", files.path("root.zone.yaml"), "--registry", files.path("swapped.yaml")],
        ...["--root-keys", files.path("root-keys"), "--zsk", files.path("zsk.pem")],
        ...["--out", files.path("swapped.signed")],
      ]);
      const client = await freshClient(files, "pins", (yaml) =>
        yaml.replace(/^directory: .*$/m, "directory: swapped.signed"),
      );
      const done = await run("whither", ["--config", client, anna.csi, "+json"]);
      expect(done.status).to.equal(failed.pin.status);
      expect(answerOf(done).errors.map(({ code }) => code)).to.include(failed.pin.code);
      expect(answerOf(done).mappings).to.deep.equal([]);
    });

    it("to servers of a CA that the anchors do not name end as such", async () => {
      const anchors = JSON.parse(await readFile(files.anchors, "utf8")) as { tls_ca: string[] };
      anchors.tls_ca = [await readFile(files.path("foreign", "ca.pem"), "utf8")];
      await writeFile(files.path("other-anchors.json"), JSON.stringify(anchors));
      const client = await freshClient(files, "ca", (yaml) =>
        yaml
          .replace("anchors: anchors.json", "anchors: other-anchors.json")
          .replace(/^directory: .*$/m, "directory: root.signed"),
      );
      const done = await run("whither", ["--config", client, anna.csi, "+json"]);
      expect(done.status).to.equal(failed.ca.status);
      expect(answerOf(done).errors.map(({ code }) => code)).to.include(failed.ca.code);
    });

    it("without a client certificate cannot evaluate, and say so before asking anybody whom", async () => {
      const client = await freshClient(files, "nobody", (yaml) =>
        yaml.replace(/^identity: .*\n/m, ""),
      );
      const done = await run("whither", ["--config", client, anna.csi, "+json"]);
      expect(done.status).to.equal(failed.nobody.status);
      expect(answerOf(done).errors.map(({ code }) => code)).to.include(failed.nobody.code);
      expect(answerOf(done).mappings).to.deep.equal([]);
    });
  });

  // Last: from here on processes end.
  describe("without the root", () => {
    it("lookups go on from the mirror, in new processes", async () => {
      const client = await freshClient(files, "mirror");
      const ask = (...args: string[]): Promise<Finished> =>
        run("whither", ["--config", client, ...args, "+json"]);
      expect((await ask(bobCanonical)).status).to.equal(0);
      const stop = federation.rootd.stop();
      await stop;
      const [found, absent] = await Promise.all([ask(anna.csi), ask("+4930901820003")]);
      expect(found.status, found.stdout).to.equal(0);
      expect(answerOf(found).choice).to.equal("video.example");
      expect(answerOf(found).hops.map(({ from }) => from)).to.include("mirror");
      expect(absent.status).to.equal(1);
      const stranger = await freshClient(files, "stranger");
      const alone = await run("whither", ["--config", stranger, anna.csi, "+json"]);
      expect(alone.status, "who has no mirror cannot go on: the root really is down").to.equal(5);
    });

    it("zone health names a dpd that has stopped, and ends with 1", async () => {
      await federation.dpds.get("dp-a.example")?.stop();
      const health = ["zone", "health", files.artefact, "--anchors", files.anchors];
      const done = await run("whitherctl", health);
      expect(done.status, done.stderr).to.equal(1);
      expect(done.stdout).to.match(/de@dp-a\.example +127\.0\.0\.1:\d+ +lame +\S+Z +NETWORK/);
      expect(done.stdout).to.match(/@dp-b\.example +127\.0\.0\.1:\d+ +healthy/);
    });

    it("rootd and dpds have drained and ended with 0 on SIGTERM", async () => {
      await federation.stop("SIGTERM");
      for (const daemon of [federation.rootd, ...federation.dpds.values()]) {
        expect(daemon.exitCode, daemon.stderr).to.equal(0);
        expect(daemon.log.map(({ event }) => event)).to.include.members(["draining", "stopped"]);
      }
    });

    it("what they logged names nobody who was registered or asked", () => {
      const logs = [federation.rootd, ...federation.dpds.values()].map(({ stderr }) => stderr);
      for (const word of ["901820001", "bob@", "33123456789"]) {
        expect(logs.join("\n"), word).not.to.include(word);
      }
    });
  });
});

/** How each failure of a connection shows to the person who asked. */
const failed = {
  pin: { status: 5, code: "PIN_MISMATCH" },
  ca: { status: 5, code: "NETWORK" },
  nobody: { status: 4, code: "UNAUTHENTICATED" },
} as const;

/** What a server says to HTTP/2 in the clear before it hangs up. */
async function plaintextAnswer(port: number): Promise<string> {
  return await new Promise((resolve) => {
    const socket = connectTcp(port, "127.0.0.1");
    const chunks: Buffer[] = [];
    socket.on("data", (chunk) => chunks.push(chunk));
    socket.on("error", () => undefined);
    socket.on("close", () => {
      const text = Buffer.concat(chunks).toString("latin1");
      resolve(text.startsWith("\x15\x03") ? "" : text); // a TLS alert is no answer
    });
    socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
  });
}
