// The configuration of `whither`: whom to believe, whom to ask, as whom. configs/whither.yaml documents
// every key. Secrets are paths to files.

import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { z } from "zod";
import { parsePin } from "@whither/crypto";
import { DiscoveryError, parseMspId, parseZoneName } from "@whither/protocol";
import {
  loadConfig,
  nameServersField,
  parseDomain,
  parseHostPort,
  pathExists,
  pathField,
  secretPathField,
  textField,
} from "@whither/runtime";

/** configs/whither.yaml describes every key. Relative paths start from `directory`. */
export function clientSchema(directory: string) {
  const path = pathField(directory);
  return z.strictObject({
    anchors: path,
    directory: textField(
      "host:port of a directory, dns: and a domain, or a path of the signed artefact",
      (text) => directoryAddress(text, directory),
    ),
    name_servers: nameServersField(),
    domain_suggestions: z.boolean().default(false),
    identity: z.strictObject({ cert: path, key: secretPathField(directory) }).optional(),
    state_dir: path.optional(),
    mirror: z.boolean().default(true),
    region: textField("a country code such as DE", (text) =>
      /^[A-Z]{2}$/.test(text) ? text : undefined,
    ).optional(),
    own_msp: mspIdField().optional(),
    replicas: z.array(replicaSchema()).max(64).default([]),
    msps: z
      .array(
        z.strictObject({
          id: mspIdField(),
          key_file: secretPathField(directory),
          accounts: path,
        }),
      )
      .max(64)
      .default([]),
  });
}
/** A server of one zone's public bytes. */
function replicaSchema() {
  const zone = textField("a zone such as de@dp-a.example", (text) => {
    try {
      return parseZoneName(text);
    } catch {
      return undefined;
    }
  });
  const pin = textField("sha256: and the hash of the server's key in base64url", (text) => {
    try {
      return parsePin(text);
    } catch {
      return undefined;
    }
  });
  const country = textField("a country code such as DE", (text) =>
    /^[A-Z]{2}$/.test(text) ? text : undefined,
  );
  return z
    .strictObject({
      zone,
      server: textField("host:port", parseHostPort),
      pins: z.array(pin).min(1).max(2),
      jurisdiction: country.optional(),
    })
    .transform(({ zone, server, pins, jurisdiction }) => ({
      zone,
      ...server,
      pins,
      ...(jurisdiction === undefined ? {} : { jurisdiction }),
    }));
}
export type ClientConfig = z.output<ReturnType<typeof clientSchema>>;

function mspIdField() {
  return textField("the id of an MSP, its domain in lower case", (text) => {
    try {
      return parseMspId(text);
    } catch {
      return undefined;
    }
  });
}

const defaultPort = 7363;

/** `host`, `host:port`, `dns:domain` as they are; anything else is a path. `file:` says so where a name looks like a host. */
export function directoryAddress(text: string, base: string): string | undefined {
  if (text === "" || text.includes("\0")) return undefined;
  if (text.startsWith("file:"))
    return resolve(base, text.slice("file:".length).replace(/^\/\//, ""));
  if (text.startsWith("dns:")) {
    const domain = parseDomain(text.slice("dns:".length).toLowerCase());
    return domain === undefined ? undefined : `dns:${domain}`;
  }
  if (parseHostPort(text) !== undefined) return text;
  if (parseHostPort(`${text}:${defaultPort}`) !== undefined && !/[/\\]|\.signed$/.test(text)) {
    return `${text}:${defaultPort}`;
  }
  return resolve(base, text.startsWith("~/") ? join(homedir(), text.slice(2)) : text);
}

interface ConfigPlace {
  readonly named: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Reads the configuration: named, else WHITHER_CONFIG, else ~/.config/whither/config.yaml. Throws CONFIG. */
export async function readClientConfig(from: ConfigPlace): Promise<ClientConfig> {
  const path = clientConfigPath(from);
  const isNamed = from.named !== undefined || (from.env["WHITHER_CONFIG"] ?? "") !== "";
  if (!isNamed && !(await pathExists(path))) throw new MissingConfig(path);
  return await loadConfig({ path, schema: clientSchema });
}

/** Where the configuration is, or would be. */
export function clientConfigPath({ named, env }: ConfigPlace): string {
  if (named !== undefined) return named;
  const fromEnv = env["WHITHER_CONFIG"] ?? "";
  if (fromEnv !== "") return fromEnv;
  return join(env["HOME"] ?? homedir(), ".config", "whither", "config.yaml");
}

/** Nobody has told this machine yet whom to believe. */
export class MissingConfig extends DiscoveryError {
  readonly path: string;

  constructor(path: string) {
    super("CONFIG", "no configuration");
    this.path = path;
  }
}
