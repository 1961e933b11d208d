// A federation of real processes on loopback, made with the project's own commands in the order that
// docs/operators.md gives: keys, certificates, manifests, registry, signature, start.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Daemon, freePorts, whitherctlInProcess } from "./processes.js";

export interface DpPlan {
  readonly id: string;
  readonly operator: string;
  readonly jurisdiction: string;
  /** Names of its mapping zones, `name@id`. */
  readonly zones: readonly string[];
  /** How long its mappings may be repeated, such as "5s"; an hour unless told. */
  readonly mappingTtl?: string;
  /** Parts of the directory that it serves. None unless told. */
  readonly parts?: readonly PartPlan[];
}

/** A part of the directory that the root delegates to a DP. */
export interface PartPlan {
  readonly zone: string;
  readonly apex: string;
  /** Lines under `prefixes:`. */
  readonly prefixes: readonly string[];
}

/** Somebody's dpd that follows a zone and serves its public bytes; without a secret unless it is the DP's own. */
export interface ReplicaPlan {
  readonly id: string;
  readonly operator: string;
  readonly jurisdiction: string;
  readonly zone: string;
  /** An identifier that lies in the zone, registered or not. */
  readonly probe: string;
  /** The DP whose own secondary it is: with its VOPRF key, able to take its place. */
  readonly secondaryOf?: string;
}

export interface MspPlan {
  readonly id: string;
  readonly operator: string;
  readonly bit: number;
}

export interface FederationPlan {
  readonly dps: readonly DpPlan[];
  readonly msps: readonly MspPlan[];
  /** None unless told. */
  readonly replicas?: readonly ReplicaPlan[];
  /** Text of root.zone.yaml. */
  readonly rootZone: string;
  /** Longest time to a new head, such as "1s". */
  readonly epoch?: string;
  /** Lines added to every dpd.yaml, such as raised limits. */
  readonly dpdConfig?: string;
  /** Everybody finds the daemons at `front`, where nothing listens: a test puts a link of its own there. */
  readonly isFronted?: boolean;
}

/** Ports by which others find a daemon; its own unless the federation is fronted. */
export interface Front {
  readonly port: number;
  readonly publicPort: number;
}

export interface DpFiles {
  readonly plan: DpPlan;
  readonly config: string;
  readonly port: number;
  readonly publicPort: number;
  readonly front: Front;
}

export interface ReplicaFiles {
  readonly plan: ReplicaPlan;
  readonly config: string;
  readonly port: number;
  readonly publicPort: number;
  readonly front: Front;
}

/** Paths of a federation that has been made; nothing runs yet. */
export interface FederationFiles {
  readonly directory: string;
  readonly plan: FederationPlan;
  readonly anchors: string;
  readonly artefact: string;
  readonly rootdConfig: string;
  readonly rootPort: number;
  /** Where others find rootd. */
  readonly rootFrontPort: number;
  readonly dps: readonly DpFiles[];
  readonly replicas: readonly ReplicaFiles[];
  /** Configuration of `whither` as one MSP asks: identity, mirror, MSP keys for registrations. */
  readonly clientConfig: string;
  readonly proverKey: string;
  readonly proverId: string;
  /** Accounts file of an MSP, JSON lines of canonical CSIs. */
  readonly accounts: (mspId: string) => string;
  /** Path of a file in the federation's folder. */
  readonly path: (...names: string[]) => string;
}

const proverId = "prover.example";

const ctl = async (...args: readonly string[]): Promise<string> =>
  (await whitherctlInProcess(args)).trim();

const baseName = (zone: string): string => zone.replace("@", "-");

/** Makes all keys, certificates, manifests, sources and configurations, and signs the directory. */
export async function makeFederation(options: {
  readonly directory: string;
  readonly plan: FederationPlan;
}): Promise<FederationFiles> {
  const { directory, plan } = options;
  const path = (...names: string[]): string => join(directory, ...names);
  await mkdir(path("accounts"), { recursive: true });
  const { replicas = [] } = plan;
  const perDaemon = plan.isFronted === true ? 4 : 2;
  const ports = await freePorts(2 + perDaemon * (plan.dps.length + replicas.length));
  const keys = await makeKeys(path, plan);
  const pins = await makeCertificates(path, plan);
  const manifests = await makeManifests(path, plan);
  const placed = <P extends { readonly id: string }>(one: P, place: number) => {
    const [port, publicPort, ...others] = ports.slice(2 + perDaemon * place);
    if (port === undefined || publicPort === undefined) throw new TypeError("too few ports");
    const own = { port, publicPort };
    const [frontPort = port, frontPublicPort = publicPort] = plan.isFronted === true ? others : [];
    const front = { port: frontPort, publicPort: frontPublicPort };
    return { plan: one, config: path(`${one.id}.yaml`), ...own, front };
  };
  const files: FederationFiles = {
    directory,
    plan,
    anchors: path("anchors.json"),
    artefact: path("root.signed"),
    rootdConfig: path("rootd.yaml"),
    rootPort: ports[0] ?? 0,
    rootFrontPort: ports[plan.isFronted === true ? 1 : 0] ?? 0,
    dps: plan.dps.map((dp, place) => placed(dp, place)),
    replicas: replicas.map((replica, place) => placed(replica, plan.dps.length + place)),
    clientConfig: path("whither.yaml"),
    proverKey: path("prover.pem"),
    proverId,
    accounts: (mspId) => path("accounts", `${mspId}.jsonl`),
    path,
  };
  await writeFile(path("root.zone.yaml"), plan.rootZone);
  await writeFile(path("registry.yaml"), registryYaml({ files, keys, pins, manifests }));
  await Promise.all(plan.msps.map(({ id }) => writeFile(files.accounts(id), "")));
  await ctl(
    ...["anchor", "create", "--ksk", keys.ksks[0] ?? "", "--ksk", keys.ksks[1] ?? ""],
    ...["--threshold", "2", "--tls-ca", path("pki", "ca.pem"), "--out", files.anchors],
  );
  await signDirectory(files);
  for (const part of plan.dps.flatMap(({ parts = [] }) => parts)) await signPart(files, part);
  await writeConfigs(files);
  return files;
}

/** Signs the directory anew from its sources; the serial rises by one. */
export async function signDirectory(files: FederationFiles): Promise<void> {
  await ctl(
    ...["zone", "sign", files.path("root.zone.yaml"), "--registry", files.path("registry.yaml")],
    ...["--root-keys", files.path("root-keys"), "--zsk", files.path("zsk.pem")],
    ...["--out", files.artefact],
  );
}

/** Signs a part anew; the serial rises by one. */
export async function signPart(files: FederationFiles, part: PartPlan): Promise<void> {
  const name = baseName(part.zone);
  await writeFile(
    files.path(`${name}.zone.yaml`),
    [
      `zone: ${part.zone}`,
      `apex: "${part.apex}"`,
      ...["ttl_s: 3600", "lifetime_s: 604800", "refresh_s: 900", "retry_s: 300"],
      ...["expire_s: 604800", "federation_default: local", "prefixes:"],
      ...part.prefixes.map((line) => `  ${line}`),
      "",
    ].join("\n"),
  );
  await ctl(
    ...["zone", "sign", files.path(`${name}.zone.yaml`)],
    ...["--registry", files.path("registry.yaml"), "--manifest", files.path(`${name}.manifest`)],
    ...["--zone-key", files.path(`${name}.zone.pem`), "--out", files.path(`${name}.signed`)],
  );
}

interface PublicKeys {
  readonly ksks: readonly string[];
  readonly prover: string;
  readonly msps: ReadonlyMap<string, string>;
}

type Path = (...names: string[]) => string;

async function makeKeys(path: Path, plan: FederationPlan): Promise<PublicKeys> {
  const generate = (type: string, name: string): Promise<string> =>
    ctl("key", "generate", "--type", type, "--out", path(name));
  const zones = plan.dps.flatMap((dp) => dp.zones);
  const [ksk1, ksk2, zsk, prover] = await Promise.all([
    generate("ksk", "ksk-1.pem"),
    generate("ksk", "ksk-2.pem"),
    generate("zsk", "zsk.pem"),
    generate("prover", "prover.pem"),
  ]);
  const msps = new Map(
    await Promise.all(
      plan.msps.map(async ({ id }) => [id, await generate("msp", `${id}.msp.pem`)] as const),
    ),
  );
  for (const zone of zones) {
    const name = baseName(zone);
    await Promise.all([
      generate("zone", `${name}.zone.pem`),
      generate("voprf", `${name}.voprf`),
      generate("vault", `${name}.vault`),
    ]);
  }
  for (const { zone } of plan.dps.flatMap(({ parts = [] }) => parts)) {
    await generate("zone", `${baseName(zone)}.zone.pem`);
  }
  await ctl(
    ...["key", "sign-root-set", "--ksk", path("ksk-1.pem"), "--ksk", path("ksk-2.pem")],
    ...["--zsk", zsk, "--threshold", "2", "--out", path("root-keys")],
  );
  return { ksks: [ksk1, ksk2], prover, msps };
}

/** SPKI pins by name. */
async function makeCertificates(
  path: Path,
  plan: FederationPlan,
): Promise<ReadonlyMap<string, string>> {
  await ctl("pki", "init", "--dir", path("pki"));
  const names = ["root.example", ...plan.dps, ...(plan.replicas ?? []), ...plan.msps].map((one) =>
    typeof one === "string" ? one : one.id,
  );
  const pins = new Map<string, string>();
  for (const name of names) {
    const pin = await ctl(
      ...["pki", "issue", "--dir", path("pki"), "--name", name],
      ...["--san", "127.0.0.1", "--san", "localhost"],
    );
    pins.set(name, pin);
  }
  return pins;
}

/** SHA-256 of the manifests by zone. */
async function makeManifests(
  path: Path,
  plan: FederationPlan,
): Promise<ReadonlyMap<string, string>> {
  const hashes = new Map<string, string>();
  for (const dp of plan.dps) {
    for (const zone of dp.zones) {
      const name = baseName(zone);
      await writeFile(
        path(`${name}.manifest.yaml`),
        [
          `zone: ${zone}`,
          `operator: ${dp.operator}`,
          `zone_key_file: ${name}.zone.pem`,
          `voprf_key_file: ${name}.voprf`,
          `epoch: ${plan.epoch ?? "1s"}`,
          `mapping_ttl: ${dp.mappingTtl ?? "1h"}`,
          "policy:",
          "  federation_default: local",
          "",
        ].join("\n"),
      );
      const source = path(`${name}.manifest.yaml`);
      hashes.set(zone, await ctl("manifest", "create", source, "--out", path(`${name}.manifest`)));
    }
    for (const { zone } of dp.parts ?? []) {
      const name = baseName(zone);
      const source = path(`${name}.manifest.yaml`);
      const text = `kind: directory\nzone: ${zone}\noperator: ${dp.operator}\nzone_key_file: ${name}.zone.pem\npolicy: {}\n`;
      await writeFile(source, text);
      hashes.set(zone, await ctl("manifest", "create", source, "--out", path(`${name}.manifest`)));
    }
  }
  return hashes;
}

function registryYaml(parts: {
  readonly files: FederationFiles;
  readonly keys: PublicKeys;
  readonly pins: ReadonlyMap<string, string>;
  readonly manifests: ReadonlyMap<string, string>;
}): string {
  const { files, keys, pins } = parts;
  const pin = (name: string): string => `"${pins.get(name) ?? ""}"`;
  const dps = files.dps.flatMap(({ plan, front: { port, publicPort } }) => [
    `  - id: ${plan.id}`,
    `    operator: ${plan.operator}`,
    "    max_qps: 1000",
    `    jurisdictions: [${plan.jurisdiction}]`,
    "    endpoints:",
    `      - { host: 127.0.0.1, port: ${port}, public_port: ${publicPort}, spki: [${pin(plan.id)}], jurisdiction: ${plan.jurisdiction} }`,
    "    zones:",
    ...plan.zones.map((zone) => {
      const replicas = files.replicas
        .filter((replica) => replica.plan.zone === zone)
        .map(
          (replica) =>
            `{ host: 127.0.0.1, ${replica.plan.secondaryOf === undefined ? "" : `port: ${replica.front.port}, `}public_port: ${replica.front.publicPort}, spki: [${pin(replica.plan.id)}], jurisdiction: ${replica.plan.jurisdiction}, operator: ${replica.plan.operator} }`,
        );
      const named = replicas.length === 0 ? "" : `, replicas: [${replicas.join(", ")}]`;
      return `      - { name: ${zone}, manifest: ${baseName(zone)}.manifest${named} }`;
    }),
    ...(plan.parts ?? []).map(
      ({ zone }) => `      - { name: ${zone}, manifest: ${baseName(zone)}.manifest }`,
    ),
  ]);
  const msps = files.plan.msps.flatMap(({ id, operator, bit }) => [
    `  - id: ${id}`,
    `    operator: ${operator}`,
    `    bit: ${bit}`,
    `    keys: ["${keys.msps.get(id) ?? ""}"]`,
    `    spki: [${pin(id)}]`,
    `    mimi_directory_url: https://${id}/.well-known/mimi`,
    "    accredited_from: 2026-01-01T00:00:00Z",
    "    accredited_to: 2036-01-01T00:00:00Z",
  ]);
  return [
    "dps:",
    ...dps,
    "msps:",
    ...msps,
    "provers:",
    `  - id: ${proverId}`,
    "    operator: Prover Operator",
    `    keys: ["${keys.prover}"]`,
    '    prefixes: ["tel:", "mailto:", "acct:"]',
    "    methods: [sms, email, oidc]",
    "    max_level: 2",
    "    valid_from: 2026-01-01T00:00:00Z",
    "    valid_to: 2036-01-01T00:00:00Z",
    "relays: []",
    "",
  ].join("\n");
}

async function writeConfigs(files: FederationFiles): Promise<void> {
  const { path, plan } = files;
  await writeFile(
    files.rootdConfig,
    [
      "anchors_file: anchors.json",
      "artefact_file: root.signed",
      "state_directory: root-state",
      "tls:",
      "  certificate_file: pki/root.example.pem",
      "  key_file: pki/root.example-key.pem",
      "listen:",
      `  public: 127.0.0.1:${files.rootPort}`,
      "",
    ].join("\n"),
  );
  await Promise.all(
    files.dps.map((dp) =>
      writeFile(dp.config, dpdYaml({ files, dp, state: `${dp.plan.id}.state` })),
    ),
  );
  await Promise.all(
    files.replicas.map((replica) => writeFile(replica.config, replicaYaml(files, replica))),
  );
  const asked = plan.msps[0];
  if (asked === undefined) throw new TypeError("a federation needs an MSP");
  await writeFile(
    files.clientConfig,
    clientYaml({ files, asMsp: asked.id, state: "client.state" }),
  );
  await mkdir(path("holders"), { recursive: true });
}

/** Configuration of a dpd; a test may write a second one that differs. */
export function dpdYaml(parts: {
  readonly files: FederationFiles;
  readonly dp: DpFiles;
  readonly state: string;
}): string {
  const { files, dp, state } = parts;
  return [
    `dp: ${dp.plan.id}`,
    `state_directory: ${state}`,
    "listen:",
    `  clients: 127.0.0.1:${dp.port}`,
    `  public: 127.0.0.1:${dp.publicPort}`,
    "tls:",
    `  certificate_file: pki/${dp.plan.id}.pem`,
    `  key_file: pki/${dp.plan.id}-key.pem`,
    "  client_ca_file: pki/ca.pem",
    "directory:",
    "  anchors_file: anchors.json",
    `  server: 127.0.0.1:${files.rootFrontPort}`,
    ...(dp.plan.zones.length === 0 ? [] : ["zones:"]),
    ...dp.plan.zones.flatMap((zone) => [
      `  - name: ${zone}`,
      `    manifest_file: ${baseName(zone)}.manifest`,
      `    zone_key_file: ${baseName(zone)}.zone.pem`,
      `    voprf_key_file: ${baseName(zone)}.voprf`,
      `    vault_key_file: ${baseName(zone)}.vault`,
    ]),
    ...(dp.plan.parts === undefined ? [] : ["directories:"]),
    ...(dp.plan.parts ?? []).map(({ zone, apex }) => {
      const name = baseName(zone);
      return `  - { name: ${zone}, apex: "${apex}", manifest_file: ${name}.manifest, artefact_file: ${name}.signed }`;
    }),
    files.plan.dpdConfig ?? "",
    "",
  ].join("\n");
}

function replicaYaml(files: FederationFiles, replica: ReplicaFiles): string {
  const { plan, port, publicPort } = replica;
  const { id, zone, probe, secondaryOf = id } = plan;
  const key = secondaryOf === id ? "" : `, voprf_key_file: ${baseName(zone)}.voprf`;
  return `dp: ${secondaryOf}
state_directory: ${plan.id}.state
listen: { clients: "127.0.0.1:${port}", public: "127.0.0.1:${publicPort}" }
tls: { certificate_file: pki/${plan.id}.pem, key_file: pki/${plan.id}-key.pem, client_ca_file: pki/ca.pem }
directory: { anchors_file: anchors.json, server: "127.0.0.1:${files.rootFrontPort}" }
replicas:
  - { name: ${zone}, probe: "${probe}"${key} }
${files.plan.dpdConfig ?? ""}
`;
}

/** The same process as its zone's primary from now on. */
export function promotedYaml(
  files: FederationFiles,
  { replica, epoch }: { readonly replica: ReplicaFiles; readonly epoch: number },
): string {
  const { zone, probe } = replica.plan;
  const keyed = ["manifest", "zone_key", "voprf_key", "vault_key"] as const;
  const ends = {
    manifest: "manifest",
    zone_key: "zone.pem",
    voprf_key: "voprf",
    vault_key: "vault",
  };
  const named = keyed.map((what) => `${what}_file: ${baseName(zone)}.${ends[what]}`).join(", ");
  const entry = `  - { name: ${zone}, probe: "${probe}", epoch: ${epoch}, ${named} }`;
  return replicaYaml(files, replica).replace(/replicas:\n.*/, `zones:\n${entry}`);
}

/** Configuration of `whither` for a querier with the certificate of an MSP. */
export function clientYaml(parts: {
  readonly files: FederationFiles;
  readonly asMsp: string;
  readonly state: string;
  readonly mirror?: boolean;
  /** Key files that differ from the registered ones, by MSP. */
  readonly mspKeys?: ReadonlyMap<string, string>;
}): string {
  const { files, asMsp, state, mirror = true } = parts;
  return [
    "anchors: anchors.json",
    `directory: 127.0.0.1:${files.rootFrontPort}`,
    `identity: { cert: pki/${asMsp}.pem, key: pki/${asMsp}-key.pem }`,
    `state_dir: ${state}`,
    `mirror: ${mirror}`,
    `own_msp: ${asMsp}`,
    "msps:",
    ...files.plan.msps.map(
      ({ id }) =>
        `  - { id: ${id}, key_file: ${parts.mspKeys?.get(id) ?? `${id}.msp.pem`}, accounts: accounts/${id}.jsonl }`,
    ),
    "",
  ].join("\n");
}

/** A federation whose rootd and dpds run. */
export class RunningFederation implements AsyncDisposable {
  readonly files: FederationFiles;
  /** By id, replicas too. */
  readonly dpds: Map<string, Daemon>;
  #rootd: Daemon;

  private constructor(files: FederationFiles, rootd: Daemon, dpds: Map<string, Daemon>) {
    this.files = files;
    this.#rootd = rootd;
    this.dpds = dpds;
  }

  get rootd(): Daemon {
    return this.#rootd;
  }

  /** Starts rootd first, then the dpds together, and waits until all serve. */
  static async start(files: FederationFiles): Promise<RunningFederation> {
    const rootd = await Daemon.start("whither-rootd", ["--config", files.rootdConfig]);
    const starting = await Promise.allSettled(
      [...files.dps, ...files.replicas].map(
        async ({ plan, config }) =>
          [plan.id, await Daemon.start("whither-dpd", ["--config", config])] as const,
      ),
    );
    const dpds = starting.flatMap((start) => (start.status === "fulfilled" ? [start.value] : []));
    const failed = starting.find((start) => start.status === "rejected");
    if (failed !== undefined) {
      // Nobody would stop the others.
      await Promise.all([rootd, ...dpds.map(([, dpd]) => dpd)].map((one) => one.stop("SIGKILL")));
      throw new Error("a dpd did not start", { cause: failed.reason });
    }
    return new RunningFederation(files, rootd, new Map(dpds));
  }

  /** Starts a dpd again, after it was stopped or killed. */
  async restart(dpId: string): Promise<Daemon> {
    const dp = [...this.files.dps, ...this.files.replicas].find(({ plan }) => plan.id === dpId);
    if (dp === undefined) throw new TypeError(`no such dpd: ${dpId}`);
    await this.dpds.get(dpId)?.stop("SIGKILL");
    const daemon = await Daemon.start("whither-dpd", ["--config", dp.config]);
    this.dpds.set(dpId, daemon);
    return daemon;
  }

  /** Starts rootd again, after it was stopped or killed; the serial is that which it serves. */
  async restartRootd(): Promise<{ readonly serial: number }> {
    await this.#rootd.stop("SIGKILL");
    this.#rootd = await Daemon.start("whither-rootd", ["--config", this.files.rootdConfig]);
    const { serial } = await this.#rootd.waitFor("listening");
    return { serial: Number(serial) };
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    await Promise.all([this.rootd, ...this.dpds.values()].map((daemon) => daemon.stop(signal)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop("SIGKILL");
  }
}
