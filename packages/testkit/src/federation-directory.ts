// The signed directory of a simulated federation, and a server's view of one that nobody verified: honest,
// or signed with the real ZSK and wrong.

import {
  compareLabels,
  isDiscoveryError,
  parentPrefix,
  parsePrefix,
  prefixesOfCsi,
  prefixLabels,
  roles,
  type Node,
  type Prefix,
  type SignedObject,
} from "@whither/protocol";
import {
  decodeDirectoryHead,
  decodeManifest,
  decodeNode,
  decodeRegistryRecord,
  decodeRootKeys,
} from "@whither/wire";
import {
  compileDirectory,
  createRegistry,
  delegationOf,
  encodeTransfer,
  nodeVerifier,
  parseRootSource,
  payloadSha256,
  rootPlace,
  signDirectory,
  verifySigned,
  type Directory,
  type DirectoryObjects,
  type DirectoryTrust,
  type NodeTrust,
  type PartTrust,
  type PartVoucher,
  type RegistrySource,
  type SignedNode,
  type VerifiedArtefact,
} from "@whither/zone";
import type { RootFixture } from "./directory-fixtures.js";

/** As `whitherctl zone sign` makes it, continuing `previous`. */
export function signFederationDirectory(options: {
  readonly root: RootFixture;
  readonly registry: RegistrySource;
  /** Text of root.zone.yaml. */
  readonly rootZone: string;
  readonly previous?: Directory | undefined;
  readonly nowSeconds: number;
}): DirectoryObjects {
  const { root, registry, rootZone, previous, nowSeconds } = options;
  const source = parseRootSource({ text: rootZone, file: "root.zone.yaml" });
  const compiled = compileDirectory({ root: source, registry, manifests: new Map() });
  const { rootKeys, zsk: signer } = root;
  const honest = previous === undefined ? undefined : withoutForgeries(previous, root);
  return signDirectory({ compiled, rootKeys, signer, previous: honest, nowSeconds });
}

/** What a signer would have read of it: `zone sign` verifies the last artefact, and keeps what is right. */
function withoutForgeries(directory: Directory, { zsk }: RootFixture): Directory {
  const isSigned = (type: "node" | "registry", object: SignedObject): boolean => {
    const place = { type, role: roles.rootZsk, zone: "." } as const;
    const check = { ...place, object, keys: [zsk.publicKey], atSeconds: 0, verifier: nodeVerifier };
    try {
      verifySigned(check);
      return object.signatures.length === 1;
    } catch (error) {
      if (!isDiscoveryError(error)) throw error;
      return false;
    }
  };
  return {
    ...directory,
    node: (prefix) => {
      const found = directory.node(prefix);
      return found !== undefined && isSigned("node", found.object) ? found : undefined;
    },
    records: () => directory.records().filter(({ object }) => isSigned("registry", object)),
  };
}

/** Objects as a directory server that checks nothing would serve them. */
export function unverifiedDirectory(objects: DirectoryObjects): VerifiedArtefact {
  const { rootKeys: rootKeysObject, earlierRootKeys, head: headObject } = objects;
  const rootKeys = decodeRootKeys(rootKeysObject.payload);
  const voucher: DirectoryTrust["voucher"] = { rootKeys: rootKeysObject, earlierRootKeys };
  const head = decodeDirectoryHead(headObject.payload);
  const trust = { ...rootPlace, keys: [], rootKeys, trail: [], voucher, head, headObject };
  return { directory: unverified(objects, trust), messages: encodeTransfer(objects) };
}

/** As unverifiedDirectory, of a part. */
export function unverifiedPart(
  objects: DirectoryObjects<PartVoucher>,
  apex: Prefix,
): VerifiedArtefact<PartTrust> {
  const { manifest: manifestObject, head: headObject } = objects;
  const manifest = decodeManifest(manifestObject.payload);
  const trust = {
    zone: manifest.zone,
    apex,
    role: roles.zone,
    keys: [],
    manifest,
    manifestSha256: payloadSha256(manifestObject),
    voucher: { manifest: manifestObject },
    head: decodeDirectoryHead(headObject.payload),
    headObject,
  };
  return { directory: unverified(objects, trust), messages: encodeTransfer(objects) };
}

function unverified<T extends NodeTrust>(
  objects: DirectoryObjects<T["voucher"]>,
  trust: T,
): Directory<T> {
  const nodes = objects.nodes.map((object) => ({ node: readNode(object.payload), object }));
  const records = objects.records.map((object) => {
    return { record: decodeRegistryRecord(object.payload), object };
  });
  const byPrefix = new Map<Prefix, SignedNode>(nodes.map((one) => [one.node.prefix, one]));
  const path: Directory["path"] = (csi) =>
    prefixesOfCsi(csi).flatMap((prefix) => byPrefix.get(prefix)?.node ?? []);
  const { head, zone } = trust;
  return {
    head,
    trust,
    registry: createRegistry(
      records.map(({ record }) => record.party),
      head.registryVersion,
    ),
    serial: head.serial,
    refer: (prefix) => referralOf(prefix, { nodes, byPrefix }),
    delegation: (csi) => delegationOf(path(csi).map((node) => ({ zone, node }))),
    path,
    node: (prefix) => byPrefix.get(prefix),
    nodes: () => nodes,
    records: () => records,
    objects: () => objects,
  };
}

/** What a strict reader refuses is served all the same, under the prefix that it begins with. */
function readNode(payload: Uint8Array): Node {
  try {
    return decodeNode(payload);
  } catch (error) {
    if (!isDiscoveryError(error)) throw error;
  }
  // Field 1 of Node: tag, length, text.
  const text = new TextDecoder().decode(payload.subarray(2, 2 + (payload[1] ?? 0)));
  return {
    prefix: parsePrefix(text),
    disposition: "unassigned",
    firstChild: "",
    nextSibling: "",
    authorities: [],
    ttlSeconds: 0,
    notBefore: 0,
    notAfter: 0,
    serial: 0,
  };
}

/** The closest node there is, and the last sibling before the label that is not there. */
function referralOf(
  asked: Prefix,
  of: { readonly nodes: readonly SignedNode[]; readonly byPrefix: ReadonlyMap<Prefix, SignedNode> },
): ReturnType<Directory["refer"]> {
  let below: Prefix | undefined = asked;
  while (below !== undefined && !of.byPrefix.has(below)) below = parentPrefix(below);
  const node = below === undefined ? undefined : of.byPrefix.get(below);
  if (node === undefined) throw new TypeError("a directory without a root");
  const depth = prefixLabels(node.node.prefix).length;
  const label = prefixLabels(asked)[depth];
  if (label === undefined) return { node };
  const labelOf = ({ node: { prefix } }: SignedNode): string => prefixLabels(prefix)[depth] ?? "";
  const [cover] = of.nodes
    .filter((one) => parentPrefix(one.node.prefix) === node.node.prefix)
    .filter((one) => compareLabels(labelOf(one), label) < 0)
    .sort((a, b) => compareLabels(labelOf(b), labelOf(a)));
  return cover === undefined ? { node } : { node, cover };
}
