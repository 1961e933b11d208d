// whitherctl key rollover: a mapping zone goes on to a new zone key. The same command is run again and again: it does
// what is due, says what it found, what comes next and when. Nothing it has done is done twice.

import { rm } from "node:fs/promises";
import { join, parse } from "node:path";
import { Command } from "commander";
import {
  encodePrivateKeyPem,
  equalBytes,
  formatPublicKey,
  generateSecretKey,
  roles,
  sha256,
  toHex,
  type Signer,
} from "@whither/crypto";
import { DiscoveryError, type Manifest, type SignedObject } from "@whither/protocol";
import {
  pathExists,
  readFileBounded,
  readSecretFile,
  replaceFile,
  systemClock,
  systemRandom,
  writeSecretFile,
} from "@whither/runtime";
import {
  decodeManifest,
  decodeSignedObject,
  encodeManifest,
  encodeSignedObject,
} from "@whither/wire";
import { addSignature, nodeVerifier, verifySigned } from "@whither/zone";
import { readSigner } from "../key-files.js";
import { jsonOption, parseLifetime } from "../options.js";
import { print, type Terminal } from "../terminal.js";
import { formatUtc } from "../utc.js";
import { makeSuccessor, rolloverPhase, type RolloverPhase } from "./rollover-plan.js";
import { openDirectory } from "./zone-files.js";

const manifestBytesMax = 256 * 1024;

interface RolloverOptions {
  readonly zoneKey: string;
  readonly directory?: string;
  readonly anchors?: string;
  readonly lifetime: number;
  readonly json?: true;
}

export function rolloverCommand(terminal: Terminal): Command {
  return new Command("rollover")
    .description("replace the key of a mapping zone while it serves; run it again to go on")
    .argument("<manifest>", "manifest in force")
    .requiredOption("--zone-key <file>", "private key that signs under it")
    .option("--directory <file>", "signed directory in service: which manifests it names")
    .option("--anchors <file>", "anchors that the directory is verified with")
    .option("--lifetime <duration>", "how long the new key is valid", parseLifetime, 365 * 86_400)
    .addOption(jsonOption())
    .addHelpText("after", helpText)
    .action(async (manifest: string, options: RolloverOptions) => {
      const step = await rollOver({ manifest, ...options });
      print(terminal, {
        json: options.json === true,
        value: { ...step.value, next: step.next },
        text: [step.text, ...step.next.map((line) => `next: ${line}`)].join("\n"),
      });
    });
}

const helpText = `
Example:
  whitherctl key rollover de.manifest --zone-key de.zone.pem
  whitherctl key rollover de.manifest --zone-key de.zone.pem --directory root.directory --anchors anchors.json

Phases: prepared (de.zone.next.pem and de.next.manifest are made) · published (the directory names both
manifests; wait) · active (the zone has switched) · retired (the directory names the new one alone; the
new files take the place of the old).`;

interface RolloverFiles {
  readonly manifest: string;
  readonly zoneKey: string;
  readonly nextManifest: string;
  readonly nextZoneKey: string;
}

interface RolloverStep {
  readonly value: Readonly<Record<string, unknown>>;
  readonly text: string;
  readonly next: readonly string[];
}

async function rollOver(options: RolloverOptions & { readonly manifest: string }) {
  const files: RolloverFiles = {
    manifest: options.manifest,
    zoneKey: options.zoneKey,
    nextManifest: nextTo(options.manifest),
    nextZoneKey: nextTo(options.zoneKey),
  };
  const current = await readManifest(files.manifest);
  const finished = await finishInstall(files, current);
  if (finished !== undefined) return finished;
  const signer = await readSigner(files.zoneKey);
  const successor = await successorOf(files, { current, signer, lifetime: options.lifetime });
  const { directory: file, anchors } = options;
  let phase: RolloverPhase = { kind: "prepared" };
  if (file !== undefined) {
    if (anchors === undefined) throw new DiscoveryError("CONFIG", "--directory needs --anchors");
    const { directory } = await openDirectory({ file, anchors });
    phase = rolloverPhase({
      zone: current.manifest.zone,
      currentSha256: current.sha256,
      nextSha256: successor.sha256,
      nodes: directory.nodes().map(({ node }) => node),
      nowSeconds: systemClock.nowSeconds(),
    });
  }
  if (phase.kind === "retired") return await install(files, successor);
  return describe(files, successor, phase);
}

interface ReadManifest {
  readonly object: SignedObject;
  readonly manifest: Manifest;
  readonly sha256: Uint8Array;
}

async function readManifest(path: string): Promise<ReadManifest> {
  const bytes = await readFileBounded(path, { bytesMax: manifestBytesMax });
  const object = decodeSignedObject(bytes);
  return { object, manifest: decodeManifest(object.payload), sha256: sha256(object.payload) };
}

/** The successor that was made before, checked, or a new one. The key comes first: a manifest without one is of no use. */
async function successorOf(
  files: RolloverFiles,
  by: { readonly current: ReadManifest; readonly signer: Signer; readonly lifetime: number },
): Promise<ReadManifest> {
  const { current, signer } = by;
  if (!(await pathExists(files.nextZoneKey))) {
    if (await pathExists(files.nextManifest)) throw unfit(files.nextManifest, "its key is missing");
    const secret = generateSecretKey((n) => systemRandom.bytes(n));
    await writeSecretFile(files.nextZoneKey, encodePrivateKeyPem(secret));
  }
  const next = await readSigner(files.nextZoneKey);
  if (await pathExists(files.nextManifest)) {
    const made = await readManifest(files.nextManifest);
    checkSuccessor(files, { current, signer, next, made });
    return made;
  }
  const nowSeconds = systemClock.nowSeconds();
  const manifest = makeSuccessor({
    current: current.manifest,
    zoneKey: signer.publicKey,
    next: { publicKey: next.publicKey, notAfter: nowSeconds + by.lifetime },
    nowSeconds,
  });
  const payload = encodeManifest(manifest);
  const place = { type: "manifest", role: roles.zone, zone: manifest.zone } as const;
  const unsigned: SignedObject = { payload, signatures: [] };
  const object = [next, signer].reduce(
    (one, by) => addSignature(one, { ...place, signer: by }),
    unsigned,
  );
  await replaceFile(files.nextManifest, encodeSignedObject(object));
  return { object, manifest, sha256: sha256(payload) };
}

/** Throws CONFIG for files of another rollover, or of another zone. */
function checkSuccessor(
  { nextManifest }: RolloverFiles,
  of: {
    readonly current: ReadManifest;
    readonly signer: Signer;
    readonly next: Signer;
    readonly made: ReadManifest;
  },
): void {
  const { current, signer, next, made } = of;
  const { zone, version, zoneKeys } = made.manifest;
  if (zone !== current.manifest.zone) throw unfit(nextManifest, "it is of another zone");
  if (version <= current.manifest.version) throw unfit(nextManifest, "it is not newer");
  if (!equalBytes(zoneKeys[0]?.publicKey ?? noKey, next.publicKey)) {
    throw unfit(nextManifest, "its zone key is another one");
  }
  verifySigned({
    type: "manifest",
    role: roles.zone,
    zone,
    object: made.object,
    keys: [signer.publicKey],
    atSeconds: systemClock.nowSeconds(),
    verifier: nodeVerifier,
  });
}

function describe(
  files: RolloverFiles,
  { manifest, sha256: hash }: ReadManifest,
  phase: Exclude<RolloverPhase, { readonly kind: "retired" }>,
): RolloverStep {
  const { zone, version, zoneKeys } = manifest;
  const names = [files.nextManifest, files.manifest].map((path) => parse(path).base).join(", ");
  const value = {
    phase: phase.kind,
    zone,
    version,
    manifest_sha256: toHex(hash),
    public_key: formatPublicKey(zoneKeys[0]?.publicKey ?? noKey),
    manifest_file: files.nextManifest,
    zone_key_file: files.nextZoneKey,
  };
  switch (phase.kind) {
    case "prepared":
      return {
        value,
        text: `prepared: ${zone}, version ${version}, manifest ${toHex(hash)}`,
        next: [
          `dpd.yaml: manifest_file: ${files.nextManifest}, next_zone_key_file: ${files.nextZoneKey}; then whitherctl reload`,
          `registry.yaml: manifest: [${names}]; then whitherctl zone sign`,
          "this command with --directory and --anchors says when the zone switches",
        ],
      };
    case "published":
      return {
        value: { ...value, named_at: phase.namedAt, switch_at: phase.switchAt },
        text: `published: ${zone}, named since ${formatUtc(phase.namedAt)}`,
        next: [`nothing before ${formatUtc(phase.switchAt)}: then the zone switches by itself`],
      };
    case "active":
      return {
        value: { ...value, active_since: phase.since },
        text: `active: ${zone}, everybody can know version ${version} since ${formatUtc(phase.since)}`,
        next: [
          "whitherctl zone-status --config dpd.yaml: go on when the zone is under the new manifest",
          `registry.yaml: manifest: ${parse(files.nextManifest).base}; then whitherctl zone sign`,
        ],
      };
  }
}

/** The new files take the place of the old, the manifest first: whoever finds one of them knows which. */
async function install(files: RolloverFiles, successor: ReadManifest): Promise<RolloverStep> {
  await replaceFile(files.manifest, encodeSignedObject(successor.object));
  await rm(files.nextManifest);
  const done = await finishInstall(files, successor);
  if (done === undefined) throw new TypeError("a successor without its key");
  return done;
}

/** The second half, also of a command that ended between the two: the old private key is gone with it. */
async function finishInstall(
  { manifest: path, zoneKey, nextManifest, nextZoneKey }: RolloverFiles,
  { manifest }: ReadManifest,
): Promise<RolloverStep | undefined> {
  if ((await pathExists(nextManifest)) || !(await pathExists(nextZoneKey))) return undefined;
  const next = await readSigner(nextZoneKey);
  const isInForce = equalBytes(manifest.zoneKeys[0]?.publicKey ?? noKey, next.publicKey);
  // Made for a manifest that is not made yet.
  if (!isInForce) return undefined;
  await writeSecretFile(zoneKey, await readSecretFile(nextZoneKey), { replace: true });
  await rm(nextZoneKey);
  const { zone, version } = manifest;
  return {
    value: { phase: "retired", zone, version, manifest_file: path, zone_key_file: zoneKey },
    text: `retired: ${zone}, version ${version} is ${path}; the key before is gone`,
    next: [
      `dpd.yaml: manifest_file: ${path}, zone_key_file: ${zoneKey}, no next_zone_key_file; then whitherctl reload`,
      `registry.yaml: manifest: ${parse(path).base}`,
    ],
  };
}

const noKey = new Uint8Array(0);

/** `de.zone.pem` → `de.zone.next.pem`. */
function nextTo(path: string): string {
  const { dir, name, ext } = parse(path);
  return join(dir, `${name}.next${ext}`);
}

function unfit(path: string, why: string): DiscoveryError {
  return new DiscoveryError("CONFIG", "files of another rollover", {
    cause: new Error(`${path}: ${why}: remove it, or finish what it is of`),
  });
}
