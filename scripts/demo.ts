// The demo: a federation of real daemons on loopback, shown with the commands a person would type.

import { execFileSync } from "node:child_process";
import { Resolver } from "node:dns/promises";
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  encodePrivateKeyPem,
  formatPublicKey,
  generateSecretKey,
  publicKeyOf,
} from "@whither/crypto";
import { systemClock, systemRandom } from "@whither/runtime";
import {
  dpdYaml,
  makeFederation,
  RunningFederation,
  type FederationFiles,
  type FederationPlan,
} from "../test/support/federation.js";
import {
  Daemon,
  freePorts,
  projectRoot,
  run,
  runOk,
  whitherctlInProcess,
  type Finished,
} from "../test/support/processes.js";
import { dnsdYaml } from "../test/support/dns-window.js";
import { pathOf } from "../test/support/foreign-programs.js";
import { forgeRegistration } from "../test/support/forger.js";
import { startTamperingDp } from "../test/support/tampering-dp.js";

interface Person {
  readonly csi: string;
  readonly region: string;
  readonly msps: readonly {
    readonly id: string;
    readonly preference: number;
    readonly tags: readonly string[];
  }[];
}

const plan = (rootZone: string): FederationPlan => ({
  dps: [
    {
      id: "dp-a.example",
      operator: "Operator A",
      jurisdiction: "DE",
      zones: ["de@dp-a.example"],
      // So that the demo need not wait an hour to show a stale answer.
      mappingTtl: "5s",
    },
    { id: "dp-b.example", operator: "Operator B", jurisdiction: "GB", zones: ["gb@dp-b.example"] },
    {
      id: "dp-c.example",
      operator: "Operator C",
      jurisdiction: "CH",
      zones: ["rest@dp-c.example", "mail@dp-c.example"],
    },
    { id: "dp-d.example", operator: "Operator D", jurisdiction: "IE", zones: ["uk@dp-d.example"] },
  ],
  replicas: [
    {
      id: "replica.example",
      operator: "Operator R",
      jurisdiction: "FR",
      zone: "de@dp-a.example",
      probe: "tel:+4930123456",
    },
  ],
  msps: [
    { id: "wire.example", operator: "Operator W", bit: 0 },
    { id: "chat.example", operator: "Operator X", bit: 1 },
    { id: "video.example", operator: "Operator V", bit: 2 },
  ],
  rootZone,
  // One client registers everybody, as a provider with many users does that its DP's operator knows.
  dpdConfig: "limits:\n  requests_per_second: 1000\n  requests_burst: 1000",
});

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const title = (text: string): void => say(`\n== ${text}`);

interface Row {
  readonly what: string;
  readonly expected: string;
  readonly seen: string;
  readonly ok: boolean;
}
const table: Row[] = [];

function record(what: string, expected: string, seen: string): void {
  table.push({ what, expected, seen, ok: expected === seen });
}

/** Prints the command as a person would type it, runs it and shows what it printed. */
async function show(files: FederationFiles, args: readonly string[]): Promise<Finished> {
  say(`\n$ whither ${args.map((arg) => (/[\s;]/.test(arg) ? `'${arg}'` : arg)).join(" ")}`);
  const done = await run("whither", args, { env: { WHITHER_CONFIG: files.clientConfig } });
  process.stdout.write(done.stdout + done.stderr);
  say(`(exit status ${String(done.status)})`);
  return done;
}

async function readPeople(): Promise<readonly Person[]> {
  const text = await readFile(join(projectRoot, "configs/demo/people.jsonl"), "utf8");
  return text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Person); // the project's own file
}

/** Holder keys, accounts at the MSPs, and credentials of the prover for everybody who has an MSP. */
async function prepareRegistrations(
  files: FederationFiles,
  people: readonly Person[],
): Promise<string> {
  const registered = people.filter((person) => person.msps.length > 0);
  const requests: string[] = [];
  for (const [i, { csi }] of registered.entries()) {
    const secret = generateSecretKey((n) => systemRandom.bytes(n));
    await writeFile(files.path("holders", `${i}.pem`), encodePrivateKeyPem(secret), {
      mode: 0o600,
    });
    const method = csi.startsWith("tel:") ? "sms" : csi.startsWith("mailto:") ? "email" : "oidc";
    requests.push(JSON.stringify({ csi, holder: formatPublicKey(publicKeyOf(secret)), method }));
  }
  for (const { id } of files.plan.msps) {
    const accounts = registered.filter((person) => person.msps.some((msp) => msp.id === id));
    await writeFile(
      files.accounts(id),
      accounts.map(({ csi }) => `${JSON.stringify(csi)}\n`).join(""),
    );
  }
  await writeFile(files.path("requests.jsonl"), requests.join("\n"));
  await issueCredentials(files, {
    key: files.proverKey,
    batch: "requests.jsonl",
    out: "credentials.jsonl",
  });
  const credentials = (await readFile(files.path("credentials.jsonl"), "utf8")).trim().split("\n");
  const lines = registered.map((person, i) =>
    JSON.stringify({
      credential: JSON.parse(credentials[i] ?? "{}") as unknown,
      holder_key_file: `holders/${i}.pem`,
      msps: person.msps,
    }),
  );
  const batch = files.path("registrations.jsonl");
  await writeFile(batch, `${lines.join("\n")}\n`);
  await chmod(batch, 0o600);
  return batch;
}

async function issueCredentials(
  files: FederationFiles,
  names: { readonly key: string; readonly batch: string; readonly out: string },
): Promise<void> {
  await whitherctlInProcess([
    ...["credential", "issue", "--prover", files.proverId, "--prover-key", names.key],
    ...["--batch", files.path(names.batch), "--out", files.path(names.out)],
  ]);
}

async function registerEverybody(files: FederationFiles, people: readonly Person[]): Promise<void> {
  const batch = await prepareRegistrations(files, people);
  const count = people.filter((person) => person.msps.length > 0).length;
  say(`$ whither register --batch registrations.jsonl --wait      (${count} people)`);
  const started = systemClock.monotonicMs();
  const printed = await runOk("whither", [
    "register",
    "--config",
    files.clientConfig,
    "--batch",
    batch,
    "--wait",
  ]);
  const last = printed.trim().split("\n").at(-1) ?? "";
  say(`${last} in ${((systemClock.monotonicMs() - started) / 1000).toFixed(1)} s`);
  record("registrations", `${count} registrations: ${count} done, 0 failed`, last);
}

/** One batch over everybody; compares with what was registered. */
async function resolveEverybody(files: FederationFiles, people: readonly Person[]): Promise<void> {
  await writeFile(files.path("contacts.txt"), people.map(({ csi }) => csi).join("\n"));
  say(`$ whither -f contacts.txt +json      (${people.length} contacts, one batch, compact)`);
  const started = systemClock.monotonicMs();
  const done = await run("whither", [
    "--config",
    files.clientConfig,
    "-f",
    files.path("contacts.txt"),
    "+json",
  ]);
  const answers = done.stdout
    .trim()
    .split("\n")
    .map(
      (line) => JSON.parse(line) as { csi: string; status: string; mappings: { msp: string }[] },
    ); // documented keys
  const right = people.filter((person, i) => {
    const answer = answers[i];
    const wanted = person.msps
      .map(({ id }) => id)
      .sort()
      .join();
    const got = answer?.mappings
      .map(({ msp }) => msp)
      .sort()
      .join();
    return (
      answer?.csi === person.csi &&
      wanted === got &&
      answer.status === (wanted === "" ? "none" : "found")
    );
  });
  const seconds = ((systemClock.monotonicMs() - started) / 1000).toFixed(1);
  const absent = answers.filter(({ status }) => status === "none").length;
  say(
    `${right.length} of ${people.length} as registered, ${absent} of them proven absent, in ${seconds} s`,
  );
  record(
    "address book, compact",
    `${people.length} right, exit 0`,
    `${right.length} right, exit ${String(done.status)}`,
  );
}

async function expectStatus(
  files: FederationFiles,
  shown: { readonly what: string; readonly args: readonly string[]; readonly status: number },
): Promise<Finished> {
  const done = await show(files, shown.args);
  record(shown.what, `exit ${shown.status}`, `exit ${String(done.status)}`);
  return done;
}

/** The root is gone; the mirror that every client keeps still answers. */
async function stopRoot(federation: RunningFederation): Promise<void> {
  title("The root is stopped; lookups go on from the signed mirror");
  await federation.rootd.stop();
  say("$ kill rootd");
  await expectStatus(federation.files, {
    what: "root stopped, one MSP",
    args: ["+493023125001", "+noall", "+comments", "+answer"],
    status: 0,
  });
}

/** Two DPs of different operators serve +44; one of them is gone. */
async function stopOneOfTwo(federation: RunningFederation): Promise<void> {
  title("Two providers serve +44; one of them is stopped");
  const { files } = federation;
  const shown = ["+noall", "+comments", "+answer"];
  await expectStatus(files, { what: "both DPs", args: ["+447700900001", ...shown], status: 0 });
  await federation.dpds.get("dp-b.example")?.stop();
  say("$ kill dp-b");
  const held = await expectStatus(files, {
    what: "1 of 2 DPs, the other holds the person",
    args: ["+447700900001", ...shown],
    status: 0,
  });
  record("how many answered", "1 of 2 DPs", /\d of \d DPs/.exec(held.stdout)?.[0] ?? "nothing");
  await expectStatus(files, {
    what: "1 of 2 DPs, nobody there: incomplete",
    args: ["+447700900002", ...shown],
    status: 6,
  });
  await federation.restart("dp-b.example");
  await expectStatus(files, { what: "both again: absent", args: ["+447700900002"], status: 1 });
}

/** The same people for software that speaks DNS only; what it was told lives on while the DP is away. */
async function openWindow(federation: RunningFederation): Promise<void> {
  title("A window for DNS clients: ENUM");
  const { files } = federation;
  const config = files.path("dnsd.yaml");
  const [port] = await freePorts(1);
  const listen = `127.0.0.1:${String(port)}`;
  await writeFile(config, dnsdYaml(files, { listen, uri: "sip:{number}@{msp}" }));
  await using dnsd = await Daemon.start("whither-dnsd", ["--config", config]);
  say(`whither-dnsd listens on ${listen}`);
  const number = "493023125001";
  const wanted = `100 10 "u" "E2U+sip" "!^.*$!sip:+${number}@wire.example!" .`;
  record("ENUM", wanted, await showNaptr(Number(port), number));
  await federation.dpds.get("dp-a.example")?.stop();
  say("$ kill dp-a      (what it said may be repeated for 5 s; a replica of Operator R serves on)");
  await mappingsEnd();
  record("ENUM, DP stopped, replica serves", wanted, await showNaptr(Number(port), number));
  record("ENUM, DP stopped, a new name", "SERVFAIL", await showNaptr(Number(port), "493023125002"));
  await federation.dpds.get("replica.example")?.stop();
  say("$ kill replica");
  await mappingsEnd();
  record("ENUM, replica stopped too: stale", wanted, await showNaptr(Number(port), number));
  await Promise.all(["dp-a.example", "replica.example"].map((id) => federation.restart(id)));
  await dnsd.stop();
}

/** What was told before is now too old to be repeated. */
function mappingsEnd(): Promise<void> {
  return systemClock.sleep(5_200);
}

/** As `dig +short` prints it: with dig where there is one, else with Node's own resolver. */
async function showNaptr(port: number, digits: string): Promise<string> {
  const name = `${digits.split("").toReversed().join(".")}.e164.arpa`;
  say(`\n$ dig -p ${port} @127.0.0.1 ${name} NAPTR +short`);
  const hasDig = pathOf({ name: "dig" }) !== undefined;
  const seen = hasDig ? dig(port, name) : await resolveNaptr(port, name);
  say(seen);
  return seen;
}

function dig(port: number, name: string): string {
  const args = ["-p", String(port), "@127.0.0.1", name, "NAPTR", "+noall", "+answer", "+comments"];
  const text = execFileSync("dig", args, { encoding: "utf8" });
  const status = /status: (\w+)/.exec(text)?.[1] ?? "nothing";
  const [reason] = /EDE: .*/.exec(text) ?? [];
  if (reason !== undefined) say(`; ${reason}`);
  if (status !== "NOERROR") return status;
  const answers = text
    .split("\n")
    .filter((line) => /\sNAPTR\s/.test(line) && !line.startsWith(";"));
  return answers.map((line) => line.replace(/^.*\sNAPTR\s+/, "")).join("\n");
}

async function resolveNaptr(port: number, name: string): Promise<string> {
  const resolver = new Resolver({ timeout: 5_000, tries: 1 });
  resolver.setServers([`127.0.0.1:${port}`]);
  try {
    const records = await resolver.resolveNaptr(name);
    return records
      .toSorted((a, b) => a.preference - b.preference)
      .map(
        ({ order, preference, flags, service, regexp }) =>
          `${order} ${preference} "${flags}" "${service}" "${regexp}" .`,
      )
      .join("\n");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    return code.replace(/^E/, "");
  }
}

/** A DP with its own key and certificate that flips one bit of each bucket. */
async function catchLiar(federation: RunningFederation): Promise<void> {
  title("A discovery provider that changes its answers is caught");
  const { files } = federation;
  const dp = files.dps.find(({ plan: { id } }) => id === "dp-c.example");
  const [hidden] = await freePorts(1);
  if (dp === undefined || hidden === undefined) throw new TypeError("no dp-c");
  await federation.dpds.get(dp.plan.id)?.stop();
  const config = files.path("dp-c-hidden.yaml");
  await writeFile(
    config,
    dpdYaml({ files, dp: { ...dp, publicPort: hidden }, state: `${dp.plan.id}.state` }),
  );
  federation.dpds.set(dp.plan.id, await Daemon.start("whither-dpd", ["--config", config]));
  {
    await using liar = await startTamperingDp({
      port: dp.publicPort,
      upstreamPort: hidden,
      certificateFile: files.path("pki", `${dp.plan.id}.pem`),
      keyFile: files.path("pki", `${dp.plan.id}-key.pem`),
      caFile: files.path("pki", "ca.pem"),
    });
    await expectStatus(files, { what: "tampering DP", args: ["+14155550123"], status: 3 });
    say(`(it changed ${liar.tampered()} buckets)`);
  }
  await federation.restart(dp.plan.id);
  await expectStatus(files, { what: "honest again", args: ["+14155550123", "+short"], status: 0 });
}

/** Registrations that lack one party's signature, shown to the DP by somebody who has the other keys. */
async function refuseForgeries(files: FederationFiles): Promise<void> {
  title("Forged registrations are refused by the DP");
  const csi = "tel:+14155550142";
  const zone = "rest@dp-c.example";
  for (const [forged, code] of [
    ["prover", "KEY_MISSING"],
    ["msp", "KEY_MISSING"],
    ["holder", "BAD_SIGNATURE"],
  ] as const) {
    const seen = await forgeRegistration({ files, csi, dpId: "dp-c.example", zone, forged });
    say(`all signatures but the ${forged}'s, which is by another key: ${seen}`);
    record(`forged ${forged}`, code, seen);
  }
  await expectStatus(files, { what: "the forged person", args: [csi], status: 1 });
}

function printTable(): void {
  title("Summary");
  const width = Math.max(...table.map(({ what }) => what.length));
  for (const { what, expected, seen, ok } of table) {
    say(
      `${ok ? "ok  " : "FAIL"}  ${what.padEnd(width)}  ${ok ? seen : `expected ${expected}, got ${seen}`}`,
    );
  }
}

function printQueries(config: string): void {
  const whither = `node packages/cli/dist/bin/whither.js --config ${config}`;
  for (const query of ["+14155550123", "alice@example.org +trace", "+493023125002 +json"]) {
    say(`  ${whither} ${query}`);
  }
}

async function tour(federation: RunningFederation, people: readonly Person[]): Promise<void> {
  const { files } = federation;
  title("People register: prover, holder, MSP and DP each sign");
  await registerEverybody(files, people);
  title("An address book in one batch");
  await resolveEverybody(files, people);
  title("One person with one MSP");
  await expectStatus(files, { what: "one MSP", args: ["+493023125001"], status: 0 });
  title("One person with several, in their order");
  await expectStatus(files, { what: "several MSPs", args: ["alice@example.org"], status: 0 });
  title("Nobody, and the proof of it");
  await expectStatus(files, { what: "proven absent", args: ["+493023125002"], status: 1 });
  title("What each server was told");
  await expectStatus(files, {
    what: "trace without mirror",
    args: ["+14155550123", "+trace", "+nomirror", "+noall", "+answer"],
    status: 0,
  });
  await openWindow(federation);
  await stopRoot(federation);
  await stopOneOfTwo(federation);
  await catchLiar(federation);
  await refuseForgeries(files);
}

/** A path that can be printed before it exists, for `--keep`. */
async function makeKept(path: string): Promise<string> {
  try {
    await mkdir(path);
  } catch (cause) {
    throw new Error(`${path} exists: another demo runs there, or remove it`, { cause });
  }
  return path;
}

async function main(): Promise<void> {
  const keep = process.argv.includes("--keep");
  const started = systemClock.monotonicMs();
  const kept = join(tmpdir(), "whither-demo");
  const directory = keep ? await makeKept(kept) : await mkdtemp(`${kept}-`);
  title("A federation: keys, certificates, manifests, registry, signed root");
  const people = await readPeople();
  const files = await makeFederation({
    directory,
    plan: plan(await readFile(join(projectRoot, "configs/root.zone.yaml"), "utf8")),
  });
  say(`made in ${directory}`);
  const federation = await RunningFederation.start(files);
  say("rootd, four dpds of different operators and a replica of a fifth listen on loopback");
  try {
    await tour(federation, people);
    printTable();
    say(`${((systemClock.monotonicMs() - started) / 1000).toFixed(0)} s`);
    if (keep) {
      const rootd = await Daemon.start("whither-rootd", ["--config", files.rootdConfig]);
      printQueries(files.clientConfig);
      say("\nThe federation runs until you press Ctrl-C.");
      await new Promise<void>((resolve) => process.once("SIGINT", () => resolve()));
      await rootd.stop();
    } else {
      say("\n./scripts/demo --keep leaves it running and prints:");
      printQueries(join(kept, "whither.yaml"));
    }
  } finally {
    await federation.stop("SIGTERM");
    await rm(directory, { recursive: true, force: true });
  }
  process.exitCode = table.every(({ ok }) => ok) ? 0 : 1;
}

await main();
