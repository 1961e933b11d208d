// Writes what setup has settled: anchors beside the configuration, a certificate request if one is wanted, and the
// configuration last, so that it stands only where the rest does.

import { dirname, join } from "node:path";
import { DiscoveryError } from "@whither/protocol";
import { equalBytes } from "@whither/crypto";
import {
  makeStateDirectory,
  parseYaml,
  pathExists,
  readFileBounded,
  writeSecretFile,
} from "@whither/runtime";
import { clientSchema } from "../client-config.js";
import { anchorsBytesMax } from "./anchors-source.js";
import { writeRequest, type RequestFiles } from "./certificate-request.js";
import type { PlannedIdentity, SetupPlan } from "./plan.js";

export interface SetupPlace {
  /** Of the configuration. */
  readonly path: string;
  /** Replaces a configuration and anchors that are there; never a private key. */
  readonly force: boolean;
  readonly region?: string | undefined;
}

export interface WrittenSetup {
  readonly anchors: string;
  readonly identity:
    | Extract<PlannedIdentity, { kind: "certificate" }>
    | ({ readonly kind: "request" } & RequestFiles);
}

/** Before anybody is asked anything. Throws CONFIG. */
export async function checkPlace({ path, force }: SetupPlace): Promise<void> {
  if (!force && (await pathExists(path))) throw existsAlready(path);
}

/** Throws CONFIG for what exists and may not be replaced, STORE. */
export async function writeSetup(plan: SetupPlan, place: SetupPlace): Promise<WrittenSetup> {
  const { path, force } = place;
  const directory = dirname(path);
  await makeStateDirectory(directory);
  const anchors = join(directory, "anchors.json");
  await placeAnchors(anchors, { bytes: plan.found.bytes, force });
  const identity = await placeIdentity(directory, plan.identity);
  const { cert, key } = identity;
  const text = configText({ directory: plan.directory, cert, key, region: place.region });
  // What no run of whither could read is not written.
  parseYaml({ text, path, schema: clientSchema(directory) });
  await writeSecretFile(path, text, { replace: force });
  return { anchors, identity };
}

async function placeIdentity(
  directory: string,
  identity: PlannedIdentity,
): Promise<WrittenSetup["identity"]> {
  if (identity.kind === "certificate") return identity;
  return { kind: "request", ...(await writeRequest(directory, identity.name)) };
}

async function placeAnchors(
  path: string,
  { bytes, force }: { readonly bytes: Uint8Array; readonly force: boolean },
): Promise<void> {
  if (await pathExists(path)) {
    const held = await readFileBounded(path, { bytesMax: anchorsBytesMax });
    if (equalBytes(held, bytes)) return;
    if (!force) throw existsAlready(path);
  }
  await writeSecretFile(path, bytes, { replace: force });
}

function existsAlready(path: string): DiscoveryError {
  const cause = new Error(`${path} exists already; --force replaces it`);
  return new DiscoveryError("CONFIG", "setup", { cause });
}

/** JSON strings are YAML: no path can say more than its name. */
function configText(of: {
  readonly directory: string;
  readonly cert: string;
  readonly key: string;
  readonly region: string | undefined;
}): string {
  const { directory, cert, key, region } = of;
  const quoted = JSON.stringify;
  return [
    "# Written by `whither setup`. configs/whither.yaml describes every key.",
    "anchors: anchors.json",
    `directory: ${quoted(directory)}`,
    `identity: { cert: ${quoted(cert)}, key: ${quoted(key)} }`,
    "# What must not be forgotten: the newest heads seen, so that nothing older is ever believed.",
    "state_dir: state",
    ...(region === undefined ? [] : [`region: ${region}`]),
    "",
  ].join("\n");
}
