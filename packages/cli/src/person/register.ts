// `whither register`: the scripted form. Plays the holder with a key file and a credential file; the MSP's
// side runs in the same process with the key file that the configuration names. One CSI, or a list.

import { resolve, dirname } from "node:path";
import { Command } from "commander";
import { z } from "zod";
import {
  limits,
  parseCsi,
  parseMspId,
  parseZoneName,
  type Csi,
  type ZoneName,
} from "@whither/protocol";
import { systemClock } from "@whither/runtime";
import type { WhitherRun } from "../whither-run.js";
import { ExitTally } from "../ask/report.js";
import { readClientConfig } from "../client-config.js";
import { credentialFileSchema, readCredential } from "../credential-file.js";
import { readLinkFile } from "../link-file.js";
import { collect, jsonOption, parseInteger } from "../options.js";
import { readJsonLines, type JsonLine } from "../json-lines.js";
import { createProgress } from "../progress.js";
import type { Terminal } from "../terminal.js";
import { ExitStatus, UsageError } from "../usage.js";
import { inOrder } from "./in-order.js";
import { registerOne, waitForAll, type RegistrationOutcome } from "./registration-outcome.js";
import { formatOutcome, describeOutcome, outcomeStatus } from "./registration-text.js";
import { RegistrationSession, type RegistrationRequest } from "./registration-session.js";

interface RegisterCommandOptions {
  readonly credential?: string;
  readonly csi?: string;
  readonly holderKey?: string;
  readonly link?: string;
  readonly msp?: string;
  readonly preference?: number;
  readonly tag?: readonly string[];
  readonly exclusive?: true;
  readonly sameAppOnly?: true;
  readonly portedTo?: string;
  readonly zone?: readonly string[];
  readonly batch?: string;
  readonly concurrency: number;
  readonly wait?: true;
  readonly config?: string;
  readonly json?: true;
}

const help = `
The credential comes from a prover (whitherctl credential issue). The configuration names the client
certificate, and per MSP its key file and accounts: the MSP's side runs in this process.
What the holder has to remember is kept beside the holder key (FILE.….slots.json).

A batch has one JSON object a line, paths relative to the batch file:
  {"credential": {"csi", "opening", "credential"} or "credential.json",
   "holder_key_file": "alice.pem", "msps": [{"id", "preference"?, "tags"?}]}

Exit status: 0 promised (with --wait: published) · 2 wrong usage · 3 bogus · 4 refused
  5 unreachable · 6 some zones took it and others did not. In a batch the first of 3, 4, 5, 6 that occurred.

Examples:
  whither register --credential credential.json --holder-key alice.pem --msp wire.example --wait
  whither register --batch registrations.jsonl --wait`;

const concurrencyDefault = 8;

export function registerCommand(run: WhitherRun): Command {
  return new Command("register")
    .description("register an identifier with a provider in the zones that serve it")
    .option("--credential <file>", "credential and opening, from the prover")
    .option("--csi <csi>", "the identifier, to be sure that the credential is for it")
    .option("--holder-key <file>", "private key of the holder")
    .option("--link <file>", "another app of the holder's lets this key in (whither link)")
    .option("--msp <id>", "the provider that reaches the holder")
    .option(
      "--preference <n>",
      "place in the holder's order, lower is better; behind all others unless given",
      parseInteger({ name: "preference", min: 0, max: 65_535 }),
    )
    .option("--tag <text>", "for the holder's callers to see (repeat, at most 4)", collect)
    .option("--exclusive", "only the first provider may be used")
    .option("--same-app-only", "a provider counts only for callers of the same one")
    .option(
      "--ported-to <csi|zone>",
      "where the holder moved: another identifier (mailto:… for e-mail) or another zone of this one",
    )
    .option(
      "--zone <name>",
      "only this zone (repeat); all that the directory names unless given",
      collect,
    )
    .option("--batch <file>", "registrations, one JSON object a line")
    .option(
      "--concurrency <n>",
      "registrations of a batch at a time",
      parseInteger({ name: "concurrency", min: 1, max: 64 }),
      concurrencyDefault,
    )
    .option("--wait", "until it is published")
    .option("--config <file>", "configuration; as for questions")
    .addOption(jsonOption())
    .addHelpText("after", help)
    .action(async (options: RegisterCommandOptions) => {
      const status = await register(options, run.terminal);
      if (status !== 0) throw new ExitStatus(status);
    });
}

async function register(options: RegisterCommandOptions, terminal: Terminal): Promise<number> {
  const isBulk = options.batch !== undefined;
  const requests = isBulk ? await readBatch(options) : [await singleRequest(options)];
  const config = await readClientConfig({ named: options.config, env: terminal.env });
  const { signal } = terminal;
  await using session = await RegistrationSession.open(config, { isBulk });
  if (isBulk) await session.warmUp(signal);
  const tally = new ExitTally();
  const progress = createProgress({
    terminal,
    clock: systemClock,
    what: "registered",
    total: requests.length,
  });
  const outcomes: RegistrationOutcome[] = [];
  const work = (one: JsonLine<RegistrationRequest>) => registerOne(session, one, { signal });
  for await (const outcome of inOrder(requests, { concurrency: options.concurrency, work })) {
    outcomes.push(outcome);
    if (isBulk) progress.tick();
    if (options.wait !== true) show(outcome);
  }
  if (options.wait === true) {
    for await (const outcome of waitForAll(outcomes, { signal, clock: systemClock })) show(outcome);
  }
  progress.clear();
  if (isBulk && options.json !== true) terminal.stdout.write(summaryOf(outcomes));
  return tally.status({ several: isBulk });

  function show(outcome: RegistrationOutcome): void {
    tally.addStatus(outcomeStatus(outcome));
    progress.clear();
    if (options.json === true) {
      terminal.stdout.write(`${JSON.stringify(describeOutcome(outcome, { isBulk }))}\n`);
    } else {
      const { out, err } = formatOutcome(outcome, { file: options.batch });
      terminal.stdout.write(out);
      terminal.stderr.write(err);
    }
  }
}

function summaryOf(outcomes: readonly RegistrationOutcome[]): string {
  const done = outcomes.filter((outcome) => outcomeStatus(outcome) === "found").length;
  return `${outcomes.length} registrations: ${done} done, ${outcomes.length - done} failed\n`;
}

async function singleRequest(
  options: RegisterCommandOptions,
): Promise<JsonLine<RegistrationRequest>> {
  const { credential: file, holderKey, msp } = options;
  if (file === undefined || holderKey === undefined || msp === undefined) {
    throw new UsageError(
      "register: expected --credential, --holder-key and --msp, or --batch, got less",
    );
  }
  const credential = await readCredential(file);
  if (options.csi !== undefined && parseCsi(options.csi) !== credential.csi) {
    throw new UsageError("csi: expected the one of the credential, got another");
  }
  const link = options.link === undefined ? undefined : await readLinkFile(options.link);
  if (link !== undefined && link.csi !== credential.csi) {
    throw new UsageError("link: expected one for the credential's identifier, got another's");
  }
  const wish = { id: parseMspId(msp), preference: options.preference, tags: options.tag };
  return {
    line: 1,
    value: {
      credential,
      holderKeyFile: holderKey,
      link,
      msps: [wish],
      zones: zonesOf(options),
      exclusive: options.exclusive,
      sameAppOnly: options.sameAppOnly,
      portedTo: options.portedTo === undefined ? undefined : parseDestination(options.portedTo),
    },
  };
}

/** `name@dp` is a zone; an e-mail address has to say `mailto:`. Throws INVALID_CSI, INVALID_DATA. */
function parseDestination(text: string): Csi | ZoneName {
  const isZone = text.includes("@") && !text.includes(":");
  return isZone ? parseZoneName(text) : parseCsi(text);
}

function zonesOf({ zone = [] }: RegisterCommandOptions): readonly ZoneName[] {
  return zone.map(parseZoneName);
}

const batchSchema = z.strictObject({
  credential: z.union([credentialFileSchema, z.string().min(1).max(1024)]),
  holder_key_file: z.string().min(1).max(1024),
  msps: z
    .array(
      z.strictObject({
        id: z.string().transform((text, context) => {
          try {
            return parseMspId(text);
          } catch {
            context.addIssue({ code: "custom", message: "expected the id of an MSP" });
            return z.NEVER;
          }
        }),
        preference: z.int().min(0).max(65_535).optional(),
        tags: z.array(z.string()).max(limits.tagsPerItemMax).optional(),
      }),
    )
    .min(1)
    .max(limits.mappingsPerSlotMax),
});

/** Paths start from the batch's directory. A CSI stands in one line only: its MSPs build on each other. */
async function readBatch(
  options: RegisterCommandOptions,
): Promise<readonly JsonLine<RegistrationRequest>[]> {
  const { batch: file = "" } = options;
  if (
    options.credential !== undefined ||
    options.holderKey !== undefined ||
    options.link !== undefined ||
    options.msp !== undefined
  ) {
    throw new UsageError(
      "batch: expected it alone, got --credential, --holder-key, --link or --msp with it",
    );
  }
  const directory = dirname(file);
  const zones = zonesOf(options);
  const seen = new Map<string, number>();
  const requests: JsonLine<RegistrationRequest>[] = [];
  for (const { line, value } of await readJsonLines({ file, schema: batchSchema })) {
    const credential =
      typeof value.credential === "string"
        ? await readCredential(resolve(directory, value.credential))
        : value.credential;
    const other = seen.get(credential.csi);
    if (other !== undefined) {
      throw new UsageError(
        `${file}:${line}: expected each identifier in one line, got it in ${other} too`,
      );
    }
    seen.set(credential.csi, line);
    const holderKeyFile = resolve(directory, value.holder_key_file);
    requests.push({ line, value: { credential, holderKeyFile, msps: value.msps, zones } });
  }
  return requests;
}
