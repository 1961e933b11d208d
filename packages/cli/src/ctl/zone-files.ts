// Files around the directory: sources, manifests, keys, artefacts. What they mean is decided in
// @whither/zone; here they are read, put together and written.

import { dirname, resolve } from "node:path";
import {
  DiscoveryError,
  isDiscoveryError,
  roles,
  type DirectoryHead,
  type Manifest,
  type RootKeys,
  type SignedObject,
  type ZoneName,
} from "@whither/protocol";
import { pathExists, readFileBounded, replaceFile, systemClock } from "@whither/runtime";
import {
  decodeDirectoryHead,
  decodeManifest,
  decodeRootKeys,
  decodeSignedObject,
  type HeadVoucher,
} from "@whither/wire";
import {
  checkDirectory,
  compileDirectory,
  decodeArtefact,
  encodeArtefact,
  ksksOf,
  nodeVerifier,
  openArtefact,
  parseAnchors,
  parseRegistrySource,
  parseRootSource,
  signDirectory,
  verifySigned,
  type Anchors,
  type Directory,
  type DirectoryObjects,
  type Finding,
  type NodeTrust,
  type RegistrySource,
  type RootSource,
} from "@whither/zone";
import { readSigner } from "../key-files.js";

const sourceBytesMax = 64 * 1024 * 1024;
const objectBytesMax = 256 * 1024;
/** A million nodes of one authority each. */
export const artefactBytesMax = 1024 * 1024 * 1024;

export interface SourceFiles {
  readonly root: string;
  readonly registry: string;
  /** The artefact in service. */
  readonly previous?: string | undefined;
  /** Anchors that vouch for the previous artefact; without them its own root keys are believed. */
  readonly anchors?: string | undefined;
  readonly rootKeys?: string | undefined;
}

export interface Sources {
  readonly root: RootSource;
  readonly registry: RegistrySource;
  readonly manifestPayloads: ReadonlyMap<string, Uint8Array>;
  readonly manifests: ReadonlyMap<ZoneName, Manifest>;
  readonly rootKeys: SignedObject | undefined;
  readonly previous: Directory<NodeTrust> | undefined;
}

/** What `zone check` finds. Mistakes that prevent compiling are thrown: CONFIG with file, line and key. */
export async function checkSources(files: SourceFiles): Promise<readonly Finding[]> {
  const sources = await readSources(files);
  return findingsOf(sources, { nowSeconds: systemClock.nowSeconds() }).findings;
}

export function findingsOf(sources: Sources, { nowSeconds }: { readonly nowSeconds: number }) {
  const { root, registry, manifests, manifestPayloads, previous } = sources;
  const compiled = compileDirectory({ root, registry, manifests: manifestPayloads });
  const rootKeys: RootKeys | undefined =
    sources.rootKeys === undefined ? undefined : decodeRootKeys(sources.rootKeys.payload);
  const check = { root, registry, compiled, manifests, rootKeys, previous, nowSeconds };
  return { compiled, findings: checkDirectory(check) };
}

export async function readSources(
  files: SourceFiles,
): Promise<Sources & { readonly previous: Directory | undefined }> {
  const root = parseRootSource({ text: await readText(files.root), file: files.root });
  const registry = parseRegistrySource({
    text: await readText(files.registry),
    file: files.registry,
  });
  const rootKeys = files.rootKeys === undefined ? undefined : await readObject(files.rootKeys);
  if (files.previous !== undefined && root.zone !== ".") {
    throw fileError(`${files.root}: --previous compares artefacts of the root`);
  }
  return {
    root,
    registry,
    ...(await readManifests(registry, dirname(files.registry))),
    rootKeys,
    previous:
      files.previous === undefined
        ? undefined
        : await openPrevious(files.previous, { anchorsFile: files.anchors, rootKeys }),
  };
}

/** Missing manifests are left out: the compiler names the line that wants them. */
async function readManifests(
  registry: RegistrySource,
  directory: string,
): Promise<Pick<Sources, "manifestPayloads" | "manifests">> {
  const manifestPayloads = new Map<string, Uint8Array>();
  const manifests = new Map<ZoneName, Manifest>();
  for (const zone of registry.dps.flatMap(({ zones }) => zones)) {
    if (zone.manifests.kind === "hashes") continue;
    for (const [at, path] of zone.manifests.paths.entries()) {
      const file = resolve(directory, path);
      if (!(await pathExists(file))) continue;
      const { payload } = await readObject(file);
      const manifest = withPath(file, () => decodeManifest(payload));
      if (manifest.zone !== zone.name) {
        const place = `${registry.file}:${zone.line}: zones.${zone.name}.manifest`;
        throw fileError(`${place}: expected a manifest of ${zone.name}, got ${manifest.zone}`);
      }
      manifestPayloads.set(path, payload);
      if (at === 0) manifests.set(zone.name, manifest);
    }
  }
  return { manifestPayloads, manifests };
}

export interface SignFiles extends SourceFiles {
  readonly rootKeys: string;
  readonly zsk: string;
  readonly epoch?: number | undefined;
  readonly out: string;
}

export interface SignedSources {
  readonly findings: readonly Finding[];
  /** Undefined when a finding of severity error prevented the signing; then nothing was written. */
  readonly signed: { readonly head: DirectoryHead; readonly bytes: number } | undefined;
}

/** Checks, signs, verifies the result as a client would, and only then replaces the artefact. */
export async function signSources(files: SignFiles): Promise<SignedSources> {
  const nowSeconds = systemClock.nowSeconds();
  const sources = await readSources({ ...files, previous: await previousOf(files) });
  if (sources.root.zone !== ".") {
    throw fileError(`${files.root}: a part is signed with --manifest and --zone-key`);
  }
  const rootKeys = sources.rootKeys ?? (await readObject(files.rootKeys));
  const { compiled, findings } = findingsOf(sources, { nowSeconds });
  if (findings.some(({ severity }) => severity === "error")) return { findings, signed: undefined };
  const signer = await readSigner(files.zsk);
  const { previous } = sources;
  const { epoch } = files;
  const objects = signDirectory({ compiled, rootKeys, signer, previous, nowSeconds, epoch });
  const bytes = encodeArtefact(objects);
  const anchors = await anchorsFor({ anchorsFile: files.anchors, rootKeys });
  const { directory } = openArtefact({ bytes, anchors, nowSeconds, verifier: nodeVerifier });
  await replaceFile(files.out, bytes);
  return { findings, signed: { head: directory.head, bytes: bytes.length } };
}

/** The named artefact, or the one that is about to be replaced. */
export async function previousOf(
  files: Pick<SignFiles, "out" | "previous">,
): Promise<string | undefined> {
  if (files.previous !== undefined) return files.previous;
  return (await pathExists(files.out)) ? files.out : undefined;
}

/** Verified at its own time: an artefact that has expired still says which serial comes next. */
async function openPrevious(
  file: string,
  trust: { readonly anchorsFile: string | undefined; readonly rootKeys: SignedObject | undefined },
): Promise<Directory> {
  const bytes = await readFileBounded(file, { bytesMax: artefactBytesMax });
  const objects = withPath(file, () => decodeArtefact(bytes));
  const rootKeys = rootKeysIn(objects);
  if (trust.anchorsFile === undefined && trust.rootKeys !== undefined) {
    checkAgreed({ before: rootKeys, now: trust.rootKeys });
  }
  const anchors = await anchorsFor({ anchorsFile: trust.anchorsFile, rootKeys });
  const { notAfter } = decodeDirectoryHead(objects.head.payload);
  const nowSeconds = Math.min(systemClock.nowSeconds(), notAfter);
  return openArtefact({ bytes, anchors, nowSeconds, verifier: nodeVerifier }).directory;
}

/** The operator's own root keys vouch for those of an artefact if its KSKs have signed them, too. Throws KEY_MISSING. */
function checkAgreed({ before, now }: Readonly<Record<"before" | "now", SignedObject>>): void {
  const { keys, threshold } = ksksOf(decodeRootKeys(before.payload));
  const place = { type: "root-keys", role: roles.rootKsk, zone: "." } as const;
  const check = { ...place, keys, threshold, atSeconds: systemClock.nowSeconds() };
  verifySigned({ ...check, object: now, verifier: nodeVerifier });
}

function rootKeysIn({ rootKeys }: DirectoryObjects<HeadVoucher>): SignedObject {
  if (rootKeys !== undefined) return rootKeys;
  throw fileError("expected an artefact of the root, got one of a part");
}

/** The operator's own root keys vouch for what the operator signs, unless anchors are named. */
async function anchorsFor(trust: {
  readonly anchorsFile: string | undefined;
  readonly rootKeys: SignedObject;
}): Promise<Anchors> {
  if (trust.anchorsFile !== undefined) return parseAnchors(await readText(trust.anchorsFile));
  const { threshold, ksks } = decodeRootKeys(trust.rootKeys.payload);
  return { version: 1, threshold, keys: ksks, tlsCaPem: [] };
}

/** Objects of an artefact; `verified` when anchors were named and hold. */
export async function readArtefact(files: {
  readonly file: string;
  readonly anchors?: string | undefined;
}): Promise<{ readonly objects: DirectoryObjects<HeadVoucher>; readonly verified: boolean }> {
  const bytes = await readFileBounded(files.file, { bytesMax: artefactBytesMax });
  const objects = withPath(files.file, () => decodeArtefact(bytes));
  if (files.anchors === undefined) return { objects, verified: false };
  const anchors = parseAnchors(await readText(files.anchors));
  const nowSeconds = systemClock.nowSeconds();
  openArtefact({ bytes, anchors, nowSeconds, verifier: nodeVerifier });
  return { objects, verified: true };
}

/** The verified directory of an artefact and its anchors. Throws as openArtefact, CONFIG. */
export async function openDirectory(files: {
  readonly file: string;
  readonly anchors: string;
}): Promise<{ readonly directory: Directory; readonly anchors: Anchors }> {
  const bytes = await readFileBounded(files.file, { bytesMax: artefactBytesMax });
  const anchors = parseAnchors(await readText(files.anchors));
  const nowSeconds = systemClock.nowSeconds();
  const check = { bytes, anchors, nowSeconds, verifier: nodeVerifier };
  return { directory: openArtefact(check).directory, anchors };
}

async function readText(file: string): Promise<string> {
  const bytes = await readFileBounded(file, { bytesMax: sourceBytesMax });
  return new TextDecoder().decode(bytes);
}

export async function readObject(file: string): Promise<SignedObject> {
  const bytes = await readFileBounded(file, { bytesMax: objectBytesMax });
  return withPath(file, () => decodeSignedObject(bytes));
}

/** A file that cannot be decoded is named. */
export function withPath<T>(file: string, decode: () => T): T {
  try {
    return decode();
  } catch (cause) {
    if (!isDiscoveryError(cause)) throw cause;
    throw fileError(`${file}: ${cause.text}`, cause);
  }
}

export function fileError(problem: string, cause?: unknown): DiscoveryError {
  return new DiscoveryError("CONFIG", "a file is not what it should be", {
    cause: new Error(problem, cause === undefined ? {} : { cause }),
  });
}
