// whitherctl anchor: the file a client must be given by hand, and whether a root key set fits it.

import { Command } from "commander";
import { formatPublicKey, keyIdOf, parsePublicKey, roles, toHex, utf8 } from "@whither/crypto";
import { readFileBounded, replaceFile, systemClock } from "@whither/runtime";
import { decodeRootKeys, decodeSignedObject } from "@whither/wire";
import {
  formatAnchors,
  ksksOf,
  nodeVerifier,
  parseAnchors,
  verifySigned,
  type Anchors,
} from "@whither/zone";
import { anchorsFingerprint, formatFingerprint } from "../anchors-fingerprint.js";
import { print, type Terminal } from "../terminal.js";
import { collect, jsonOption, parseInteger } from "../options.js";
import { openDirectory } from "./zone-files.js";

const text = new TextDecoder();
const fileBytesMax = 1024 * 1024;

export function anchorCommand(terminal: Terminal): Command {
  const anchor = new Command("anchor").description("trust anchors: the file a client starts from");
  anchor
    .command("create")
    .description("write an anchors file from the KSKs' public keys and the CA of the servers")
    .requiredOption("--ksk <key>", "public key of a KSK, ed25519:… (repeat)", collect)
    .requiredOption(
      "--threshold <k>",
      "how many KSKs have to sign the root key set",
      parseInteger({ name: "threshold", min: 1, max: 16 }),
    )
    .requiredOption(
      "--tls-ca <file>",
      "PEM certificate that server certificates lead to (repeat)",
      collect,
    )
    .requiredOption("--out <file>", "where to write it")
    .addOption(jsonOption())
    .addHelpText(
      "after",
      "\nExample:\n  whitherctl anchor create --ksk ed25519:… --ksk ed25519:… --threshold 2 --tls-ca ca.pem --out anchors.json",
    )
    .action(
      async (o: {
        ksk: readonly string[];
        threshold: number;
        tlsCa: readonly string[];
        out: string;
        json?: true;
      }) => {
        const tlsCaPem = await Promise.all(o.tlsCa.map(readText));
        const keys = o.ksk.map(parsePublicKey);
        const content = formatAnchors({ version: 1, threshold: o.threshold, keys, tlsCaPem });
        parseAnchors(content); // the same rules that every client applies
        await replaceFile(o.out, content);
        const fingerprint = anchorsFingerprint(utf8(content));
        print(terminal, {
          json: o.json === true,
          value: { file: o.out, threshold: o.threshold, keys: keys.length, sha256: fingerprint },
          text: `${o.out}: ${o.threshold} of ${keys.length} keys, SHA-256 ${fingerprint}`,
        });
      },
    );
  anchor
    .command("show")
    .description("print keys and fingerprint of an anchors file, for whoever sets up a client")
    .argument("<file>")
    .addOption(jsonOption())
    .addHelpText("after", "\nExample:\n  whitherctl anchor show anchors.json")
    .action(async (file: string, o: { json?: true }) => {
      const bytes = await readFileBounded(file, { bytesMax: fileBytesMax });
      const anchors = parseAnchors(text.decode(bytes));
      const fingerprint = anchorsFingerprint(bytes);
      const keys = anchors.keys.map((key) => ({
        public_key: formatPublicKey(key),
        key_id: toHex(keyIdOf(key)),
      }));
      const lines = keys.map((key) => `${key.key_id}  ${key.public_key}`);
      print(terminal, {
        json: o.json === true,
        value: {
          threshold: anchors.threshold,
          keys,
          tls_ca: anchors.tlsCaPem.length,
          sha256: fingerprint,
        },
        text: [
          `threshold ${anchors.threshold} of ${keys.length}`,
          ...lines,
          `SHA-256 ${formatFingerprint(fingerprint)}`,
        ].join("\n"),
      });
    });
  anchor
    .command("verify")
    .description("check that a signed root key set fits an anchors file")
    .argument("<anchors>", "anchors file")
    .requiredOption("--root-keys <file>", "root key set, of whitherctl key sign-root-set")
    .addOption(jsonOption())
    .addHelpText(
      "after",
      "\nExample:\n  whitherctl anchor verify anchors.json --root-keys root-keys",
    )
    .action(async (file: string, o: { rootKeys: string; json?: true }) => {
      const value = await verifyRootSet(parseAnchors(await readText(file)), o.rootKeys);
      print(terminal, {
        json: o.json === true,
        value,
        text: `verified: version ${value.version}, ${value.zsks} ZSKs, valid to ${value.not_after}`,
      });
    });
  anchor
    .command("update")
    .description("follow the KSKs of a signed directory: an anchors file for new clients")
    .argument("<anchors>", "anchors file that was given out last")
    .requiredOption("--directory <file>", "signed directory in service")
    .requiredOption("--out <file>", "where to write the new one; may be the same")
    .addOption(jsonOption())
    .addHelpText(
      "after",
      "\nExample:\n  whitherctl anchor update anchors.json --directory root.directory --out anchors.json",
    )
    .action(async (file: string, o: { directory: string; out: string; json?: true }) => {
      const { directory, anchors } = await openDirectory({ file: o.directory, anchors: file });
      const { keys, threshold } = ksksOf(directory.trust.rootKeys);
      await replaceFile(o.out, formatAnchors({ ...anchors, keys, threshold }));
      print(terminal, {
        json: o.json === true,
        value: { file: o.out, threshold, keys: keys.length },
        text: `${o.out}: ${threshold} of ${keys.length} keys`,
      });
    });
  return anchor;
}

async function readText(path: string): Promise<string> {
  return text.decode(await readFileBounded(path, { bytesMax: fileBytesMax }));
}

async function verifyRootSet(
  anchors: Anchors,
  path: string,
): Promise<{ verified: true; version: number; zsks: number; not_after: number }> {
  const object = decodeSignedObject(await readFileBounded(path, { bytesMax: fileBytesMax }));
  verifySigned({
    object,
    type: "root-keys",
    role: roles.rootKsk,
    zone: ".",
    keys: anchors.keys,
    threshold: anchors.threshold,
    atSeconds: systemClock.nowSeconds(),
    verifier: nodeVerifier,
  });
  const { version, zsks, notAfter } = decodeRootKeys(object.payload);
  return { verified: true, version, zsks: zsks.length, not_after: notAfter };
}
