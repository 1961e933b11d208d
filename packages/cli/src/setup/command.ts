// `whither setup`: the first configuration, from anchors, an address and a certificate, or a request for one. Asks
// on a terminal, takes everything from flags in a script, and writes nothing that it has not checked.

import { resolve } from "node:path";
import { Command } from "commander";
import { systemClock } from "@whither/runtime";
import type { WhitherRun } from "../whither-run.js";
import { formatFingerprint } from "../anchors-fingerprint.js";
import { clientConfigPath } from "../client-config.js";
import { jsonOption } from "../options.js";
import { print } from "../terminal.js";
import { UsageError } from "../usage.js";
import { formatUtc } from "../utc.js";
import { planSetup, type SetupPlan, type SetupWords } from "./plan.js";
import { checkPlace, writeSetup, type SetupPlace, type WrittenSetup } from "./write-setup.js";

interface SetupCommandOptions extends SetupWords {
  readonly region?: string;
  readonly config?: string;
  readonly force?: true;
  readonly json?: true;
}

const help = `
Nothing is believed before it is checked: the anchors by their fingerprint, which the operator tells you by
another way (for a URL: --fingerprint, or a question); the server's directory under the anchors; the
certificate against its key and the federation's CA. Anchors are copied beside the configuration, the
certificate and its key stay where they are. Without a certificate, --request NAME makes a key that never
leaves this machine and NAME.csr, which the operator signs (whitherctl pki sign).

On a terminal whatever is missing is asked for. A configuration that exists is replaced only with --force.

Examples:
  whither setup --anchors anchors.json --server root.example --request anna
  whither setup --anchors https://example.org/anchors.json --fingerprint 1f3a… \\
    --server dns:example.org --certificate anna.pem --key anna-key.pem`;

export function setupCommand(run: WhitherRun): Command {
  const { terminal, clock = systemClock } = run;
  return new Command("setup")
    .description("write the configuration from anchors, an address and a certificate")
    .option("--anchors <source>", "trust anchors: a file, or an https URL")
    .option("--fingerprint <hex>", "SHA-256 of the anchors file, as the operator told you")
    .option("--server <address>", "directory: HOST, HOST:PORT, dns:DOMAIN, or file:PATH")
    .option("--certificate <file>", "client certificate that the operator signed")
    .option("--key <file>", "its private key, mode 0600")
    .option("--request <name>", "make a key and a certificate request instead")
    .option("--region <country>", "country of numbers in national form, such as DE", parseRegion)
    .option("--config <file>", "where to write; as for questions")
    .option("--force", "replace a configuration that exists")
    .addOption(jsonOption())
    .addHelpText("after", help)
    .action(async (options: SetupCommandOptions) => {
      const { config, force = false, region, json, ...words } = options;
      const path = resolve(clientConfigPath({ named: config, env: terminal.env }));
      const place = { path, force, region };
      await checkPlace(place);
      const { openChannel, fetch = globalThis.fetch } = run;
      const plan = await planSetup(words, { terminal, clock, fetch, openChannel });
      const written = await writeSetup(plan, place);
      const value = describe(plan, { place, written });
      print(terminal, { json: json === true, value, text: format(plan, { place, written }) });
    });
}

function parseRegion(text: string): string {
  if (/^[A-Z]{2}$/.test(text)) return text;
  throw new UsageError(`region: expected a country code such as DE, got ${JSON.stringify(text)}`);
}

interface Outcome {
  readonly place: SetupPlace;
  readonly written: WrittenSetup;
}

function describe(plan: SetupPlan, { place, written }: Outcome): unknown {
  const { found, directory, server } = plan;
  return {
    config: place.path,
    anchors: {
      file: written.anchors,
      sha256: found.fingerprint,
      threshold: found.anchors.threshold,
      keys: found.anchors.keys.length,
    },
    directory: { address: directory, ...server },
    identity: describeIdentity(written),
  };
}

function describeIdentity({ identity }: WrittenSetup): unknown {
  const { cert: certificate, key } = identity;
  if (identity.kind === "request") return { certificate, key, request: identity.request };
  const { subject, notAfter } = identity.checked;
  return { certificate, key, subject, not_after: notAfter };
}

function format(plan: SetupPlan, { place, written }: Outcome): string {
  const { found, directory, server } = plan;
  const { threshold, keys } = found.anchors;
  return [
    `anchors: ${threshold} of ${keys.length} keys; SHA-256 of the file, to compare with the operator's:`,
    `  ${formatFingerprint(found.fingerprint)}`,
    `directory: ${directory} verified: epoch ${server.epoch}, serial ${server.serial}, ${server.dps} DPs, ${server.msps} MSPs`,
    ...identityLines(written),
    `wrote ${place.path}`,
  ].join("\n");
}

function identityLines({ identity }: WrittenSetup): readonly string[] {
  if (identity.kind === "certificate") {
    const { subject, notAfter } = identity.checked;
    return [`certificate: ${subject}, to ${formatUtc(notAfter)}`];
  }
  return [
    `request: ${identity.request}, for the operator to sign; its key stays here`,
    `  put the certificate at ${identity.cert}, then ask`,
  ];
}
