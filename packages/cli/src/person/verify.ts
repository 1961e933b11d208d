// `whither verify FILE`: checks a file of signed data against the anchors, as whoever receives it would.
// Credentials and directory artefacts in this version; exported answers follow with their export.

import { Command } from "commander";
import {
  DiscoveryError,
  errorRegistry,
  errorTextBytesMax,
  isDiscoveryError,
} from "@whither/protocol";
import { formatPublicKey } from "@whither/crypto";
import { readFileBounded, systemClock } from "@whither/runtime";
import { nodeVerifier, openArtefact, verifyCredential } from "@whither/zone";
import type { WhitherRun } from "../whither-run.js";
import { readClientConfig, type ClientConfig } from "../client-config.js";
import { readCredential } from "../credential-file.js";
import { jsonOption } from "../options.js";
import { print } from "../terminal.js";
import { formatUtc } from "../utc.js";
import { followDirectory, readAnchors } from "./registration-session.js";

const fileBytesMax = 1024 * 1024 * 1024;

const help = `
A credential is checked against the registry of the directory: a known prover, within its prefixes, methods
and level, in its time, for the identifier that the file names. A directory artefact is checked whole.

Example:
  whither verify credential.json`;

interface Verified {
  readonly value: Readonly<Record<string, unknown>>;
  readonly text: string;
}

export function verifyCommand(run: WhitherRun): Command {
  const { terminal } = run;
  return new Command("verify")
    .description("verify a credential or a directory artefact with the configured anchors")
    .argument("<file>")
    .option("--config <file>", "configuration; as for questions")
    .addOption(jsonOption())
    .addHelpText("after", help)
    .action(async (file: string, options: { config?: string; json?: true }) => {
      const config = await readClientConfig({ named: options.config, env: terminal.env });
      const bytes = await readFileBounded(file, { bytesMax: fileBytesMax });
      const { value, text } = await asBogus(() =>
        isJson(bytes)
          ? verifyCredentialFile(file, { config, signal: terminal.signal })
          : verifyArtefactBytes(bytes, config),
      );
      print(terminal, { json: options.json === true, value: { verified: true, ...value }, text });
    });
}

/** A rule of registration that a file breaks makes the file bogus; nobody has refused anything here. */
async function asBogus<T>(verify: () => Promise<T>): Promise<T> {
  try {
    return await verify();
  } catch (cause) {
    if (!isDiscoveryError(cause) || cause.number < errorRegistry.BAD_OFFER.number) throw cause;
    const text = `${cause.code}: ${cause.text}`.slice(0, errorTextBytesMax);
    throw new DiscoveryError("BOGUS", text, { cause });
  }
}

/** An artefact begins with the length of its first message, which is more than `{`. */
function isJson(bytes: Uint8Array): boolean {
  return new TextDecoder().decode(bytes.subarray(0, 16)).trimStart().startsWith("{");
}

async function verifyCredentialFile(
  file: string,
  { config, signal }: { readonly config: ClientConfig; readonly signal: AbortSignal },
): Promise<Verified> {
  const { csi, opening, credential: object } = await readCredential(file);
  await using directory = await followDirectory(config, await readAnchors(config));
  const registry = await directory.registry({ signal });
  const nowSeconds = systemClock.nowSeconds();
  const check = { object, csi, opening, registry, nowSeconds, verifier: nodeVerifier };
  const { credential, prover } = verifyCredential(check);
  const holder = formatPublicKey(credential.holderPublicKey);
  const { method, level, issued, expires } = credential;
  return {
    value: {
      kind: "credential",
      csi,
      holder,
      prover: prover.id,
      operator: prover.operator,
      method,
      level,
      issued,
      expires,
    },
    text: `verified: ${prover.id} (${prover.operator}) vouches for ${csi} with ${holder}: ${method}, level ${level}, until ${formatUtc(expires)}`,
  };
}

async function verifyArtefactBytes(bytes: Uint8Array, config: ClientConfig): Promise<Verified> {
  const anchors = await readAnchors(config);
  const nowSeconds = systemClock.nowSeconds();
  try {
    const check = { bytes, anchors, nowSeconds, verifier: nodeVerifier };
    const { head } = openArtefact(check).directory;
    const { epoch, serial, nodeCount, recordCount, notAfter } = head;
    return {
      value: {
        kind: "directory",
        epoch,
        serial,
        node_count: nodeCount,
        record_count: recordCount,
        not_after: notAfter,
      },
      text: `verified: directory epoch ${epoch}, serial ${serial}, ${nodeCount} nodes, until ${formatUtc(notAfter)}`,
    };
  } catch (cause) {
    if (!isDiscoveryError(cause, "INVALID_DATA")) throw cause;
    const text = "verify: only credentials and directory artefacts yet";
    throw new DiscoveryError("NOT_AVAILABLE", text, { cause });
  }
}
