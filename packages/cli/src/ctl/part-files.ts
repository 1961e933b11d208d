// Files around a part of the directory: what the holder of its zone key signs for the prefix that was
// delegated to him. As zone-files.ts, with the part's manifest where that has the root's keys.

import type { SignedObject } from "@whither/protocol";
import { readFileBounded, replaceFile, systemClock } from "@whither/runtime";
import { decodeDirectoryHead } from "@whither/wire";
import {
  decodeArtefact,
  encodeArtefact,
  nodeVerifier,
  openPartArtefact,
  payloadSha256,
  signPart,
  type Directory,
  type PartTrust,
  type RootSource,
} from "@whither/zone";
import { readSigner } from "../key-files.js";
import {
  artefactBytesMax,
  fileError,
  findingsOf,
  previousOf,
  readObject,
  readSources,
  withPath,
  type SignedSources,
} from "./zone-files.js";

export interface PartFiles {
  /** Source of the part: as root.zone.yaml, with its `zone` and `apex`. */
  readonly root: string;
  readonly registry: string;
  readonly manifest: string;
  readonly zoneKey: string;
  /** The artefact in service; unless told, the one that `out` replaces. */
  readonly previous?: string | undefined;
  readonly epoch?: number | undefined;
  readonly out: string;
}

/** Checks, signs, verifies the result as a client would, and only then replaces the artefact. */
export async function signPartSources(files: PartFiles): Promise<SignedSources> {
  const nowSeconds = systemClock.nowSeconds();
  const manifest = await readObject(files.manifest);
  const sources = await readSources({ root: files.root, registry: files.registry });
  const { root } = sources;
  if (root.zone === ".") {
    throw fileError(`${files.root}: the root is signed with --root-keys and --zsk`);
  }
  const previousFile = await previousOf(files);
  const previous =
    previousFile === undefined ? undefined : await openPrevious(previousFile, { root, manifest });
  const { compiled, findings } = findingsOf({ ...sources, previous }, { nowSeconds });
  if (findings.some(({ severity }) => severity === "error")) return { findings, signed: undefined };
  const signer = await readSigner(files.zoneKey);
  const { epoch } = files;
  const objects = signPart({ compiled, manifest, signer, previous, nowSeconds, epoch });
  const bytes = encodeArtefact(objects);
  const part = partOf(root, manifest);
  const { directory } = openPartArtefact({ bytes, part, nowSeconds, verifier: nodeVerifier });
  await replaceFile(files.out, bytes);
  return { findings, signed: { head: directory.head, bytes: bytes.length } };
}

function partOf({ zone, apex }: RootSource, manifest: SignedObject) {
  return { apex, authority: { zone, manifestSha256: [payloadSha256(manifest)] } };
}

/** Its own manifest vouches for it: what the key's holder signed last, at its own time. */
async function openPrevious(
  file: string,
  now: { readonly root: RootSource; readonly manifest: SignedObject },
): Promise<Directory<PartTrust>> {
  const bytes = await readFileBounded(file, { bytesMax: artefactBytesMax });
  const objects = withPath(file, () => decodeArtefact(bytes));
  if (objects.manifest === undefined) {
    throw fileError(`${file}: expected an artefact of a part, got one of the root`);
  }
  const { notAfter } = decodeDirectoryHead(objects.head.payload);
  const nowSeconds = Math.min(systemClock.nowSeconds(), notAfter);
  const part = partOf(now.root, objects.manifest);
  return openPartArtefact({ bytes, part, nowSeconds, verifier: nodeVerifier }).directory;
}
