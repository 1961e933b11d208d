// What setup has settled before it writes anything: whom to believe, whom to ask, as whom.

import { resolve } from "node:path";
import { DiscoveryError } from "@whither/protocol";
import type { OpenChannel } from "@whither/directory";
import { tlsIdentityFromFiles } from "@whither/rpc";
import type { Clock } from "@whither/runtime";
import type { Anchors } from "@whither/zone";
import { formatFingerprint, parseFingerprint } from "../anchors-fingerprint.js";
import { directoryAddress } from "../client-config.js";
import type { Terminal } from "../terminal.js";
import { UsageError } from "../usage.js";
import { findAnchors, isUrl, type Fetch, type FoundAnchors } from "./anchors-source.js";
import { parseRequestName } from "./certificate-request.js";
import { checkClientCertificate, type CheckedCertificate } from "./client-certificate.js";
import { ask, settle } from "./dialogue.js";
import { checkServer, type CheckedServer } from "./server-check.js";

export interface SetupWords {
  readonly anchors?: string;
  readonly fingerprint?: string;
  readonly server?: string;
  readonly certificate?: string;
  readonly key?: string;
  readonly request?: string;
}

export interface SetupSurroundings {
  readonly terminal: Terminal;
  readonly clock: Clock;
  readonly fetch: Fetch;
  readonly openChannel?: OpenChannel | undefined;
}

export type PlannedIdentity =
  | {
      readonly kind: "certificate";
      /** Absolute paths. */
      readonly cert: string;
      readonly key: string;
      readonly checked: CheckedCertificate;
    }
  | { readonly kind: "request"; readonly name: string };

export interface SetupPlan {
  readonly found: FoundAnchors;
  /** As the configuration will hold it. */
  readonly directory: string;
  readonly server: CheckedServer;
  readonly identity: PlannedIdentity;
}

/** Settles everything by asking and checking. Writes nothing. */
export async function planSetup(words: SetupWords, around: SetupSurroundings): Promise<SetupPlan> {
  checkWords(words, around.terminal);
  const found = await settleAnchors(words, around);
  const { directory, server } = await settleServer(words, around, found.anchors);
  const identity = await settleIdentity(words, around, found.anchors);
  return { found, directory, server, identity };
}

/** Everything that is missing at once: a script is not asked question by question. */
function checkWords(words: SetupWords, { ask }: Terminal): void {
  const { certificate, key, request, anchors, fingerprint } = words;
  if (request !== undefined && (certificate !== undefined || key !== undefined)) {
    throw new UsageError("setup: expected --certificate and --key or --request, got both");
  }
  if (fingerprint !== undefined && parseFingerprint(fingerprint) === undefined) {
    throw new UsageError("fingerprint: expected 64 hex digits, as whitherctl anchor show prints");
  }
  if (ask !== undefined) return;
  const hasIdentity = request !== undefined || (certificate !== undefined && key !== undefined);
  const missing = [
    ...(anchors === undefined ? ["--anchors FILE"] : []),
    ...(words.server === undefined ? ["--server HOST:PORT"] : []),
    ...(hasIdentity ? [] : ["--certificate FILE --key FILE (or --request NAME)"]),
    // The Web's CAs vouch for a server's name, and here for nothing more.
    ...(isUrl(anchors ?? "") && fingerprint === undefined ? ["--fingerprint HEX"] : []),
  ];
  if (missing.length === 0) return;
  throw new UsageError(
    `setup: expected ${missing.join(", ")}, got nothing`,
    "on a terminal whither setup asks for what is missing",
  );
}

async function settleAnchors(
  words: SetupWords,
  { terminal, clock, fetch }: SetupSurroundings,
): Promise<FoundAnchors> {
  const { signal } = terminal;
  return await settle(terminal, {
    given: words.anchors,
    question: "Trust anchors, from the federation's operator (file or https URL): ",
    check: async (source) => {
      const found = await findAnchors(source, { fetch, clock, signal });
      await compareFingerprint(found, { words, terminal });
      return found;
    },
  });
}

/** Throws BOGUS for anchors that are not the operator's. */
async function compareFingerprint(
  { fingerprint }: FoundAnchors,
  { words, terminal }: { readonly words: SetupWords; readonly terminal: Terminal },
): Promise<void> {
  if (words.fingerprint !== undefined) {
    if (parseFingerprint(words.fingerprint) === fingerprint) return;
    throw new DiscoveryError("BOGUS", "anchors: another fingerprint than the expected one");
  }
  // A file without a person at hand: its fingerprint is shown with the result.
  if (terminal.ask === undefined) return;
  const shown = formatFingerprint(fingerprint);
  const answer = await ask(
    terminal,
    `Fingerprint of the anchors:\n  ${shown}\nDid the operator tell you the same by another way, such as the telephone? (yes or no): `,
  );
  if (answer.toLowerCase() === "yes") return;
  throw new DiscoveryError("BOGUS", "anchors: not confirmed by their fingerprint");
}

async function settleServer(
  words: SetupWords,
  { terminal, clock, openChannel }: SetupSurroundings,
  anchors: Anchors,
): Promise<{ readonly directory: string; readonly server: CheckedServer }> {
  const { signal } = terminal;
  return await settle(terminal, {
    given: words.server,
    question: "Directory server (HOST, HOST:PORT or dns:DOMAIN): ",
    check: async (text) => {
      const directory = directoryAddress(text, process.cwd());
      if (directory === undefined) {
        throw new UsageError(
          `server: expected HOST:PORT or dns:DOMAIN, got ${JSON.stringify(text)}`,
        );
      }
      const server = await checkServer({ anchors, directory, clock, signal, openChannel });
      return { directory, server };
    },
  });
}

async function settleIdentity(
  words: SetupWords,
  { terminal, clock }: SetupSurroundings,
  { tlsCaPem: caPem }: Anchors,
): Promise<PlannedIdentity> {
  const { request } = words;
  const named = async (text: string): Promise<PlannedIdentity> =>
    Promise.resolve({ kind: "request", name: parseRequestName(text) });
  if (request !== undefined) return await named(request);
  const certificate = await settle(terminal, {
    given: words.certificate,
    question: "Client certificate (file; nothing to make a request for the operator to sign): ",
    check: (text) => Promise.resolve(text),
  });
  if (certificate === "") {
    const question = "Name for the certificate request: ";
    return await settle(terminal, { given: undefined, question, check: named });
  }
  return await settle(terminal, {
    given: words.key,
    question: "Its private key (file): ",
    check: async (path) => {
      const files = { cert: resolve(certificate), key: resolve(path) };
      const read = { certPath: files.cert, keyPath: files.key };
      const nowSeconds = clock.nowSeconds();
      const identity = await tlsIdentityFromFiles(read);
      const checked = checkClientCertificate(identity, { caPem, nowSeconds });
      return { kind: "certificate", ...files, checked };
    },
  });
}
