// Signs a compiled directory with the root ZSK, and root key sets with the KSKs. Each signing makes a new
// serial of the same epoch; an artefact is persisted before it is published (protocol.md section 3). What
// has not changed keeps its signature for half of its life, so that a transfer need not carry it again.

import {
  DiscoveryError,
  roles,
  type DirectoryHead,
  type KeyPeriod,
  type MspRecord,
  type Party,
  type Role,
  type RootKeys,
  type SignedObject,
  type ZoneName,
} from "@whither/protocol";
import { equalBytes, type Signer } from "@whither/crypto/node";
import {
  decodeManifest,
  decodeRootKeys,
  encodeDirectoryHead,
  encodeNode,
  encodeRegistryRecord,
  encodeRootKeys,
} from "@whither/wire";
import type { Registry } from "../registry.js";
import { addSignature, signObject } from "../signed.js";
import type { CompiledDirectory, NodeDraft } from "./compile.js";
import type { Directory, DirectoryObjects } from "./directory.js";
import type { PartTrust, PartVoucher } from "./part-trust.js";
import { earlierRootKeys, voucherOf } from "./root-ksks.js";
import { checkPeriod, rootPlace, type DirectoryTrust, type NodeTrust } from "./trust.js";
import { directoryDigest } from "./verify.js";

/** Signs a root key set with KSKs; with `threshold` of the anchors' keys it counts. */
export function signRootKeys(rootKeys: RootKeys, signers: readonly Signer[]): SignedObject {
  const place = { type: "root-keys", role: roles.rootKsk, zone: "." } as const;
  const unsigned: SignedObject = { payload: encodeRootKeys(rootKeys), signatures: [] };
  return signers.reduce((object, signer) => addSignature(object, { ...place, signer }), unsigned);
}

interface SigningOptions<T extends NodeTrust> {
  readonly compiled: CompiledDirectory;
  /** The last one published, verified. Without it a new epoch begins, numbered by the time. */
  readonly previous?: Directory<T> | undefined;
  /** Begins this epoch instead of continuing the last one: after a loss of serials. Must be higher. */
  readonly epoch?: number | undefined;
  /** One of the keys that clients accept for this zone. */
  readonly signer: Signer;
  readonly nowSeconds: number;
}

export interface SignDirectoryOptions extends SigningOptions<DirectoryTrust> {
  /** Signed by the KSKs; holds the signer's key as a ZSK. */
  readonly rootKeys: SignedObject;
}

export interface SignPartOptions extends SigningOptions<PartTrust> {
  /** Of the part's zone; holds the signer's key as a zone key. */
  readonly manifest: SignedObject;
}

/**
 * Signs the head and every node and record that is new, changed or past half of its life. The head ends
 * with the first of them. Throws CONFIG when the registry takes a bit away or gives it
 * to somebody else, the epoch does not rise, or the KSKs change without those before, KEY_MISSING when the signer is not in the key set, EXPIRED, NOT_YET_VALID.
 */
export function signDirectory(options: SignDirectoryOptions): DirectoryObjects {
  const { compiled, signer, previous, nowSeconds } = options;
  const rootKeys = decodeRootKeys(options.rootKeys.payload);
  checkPeriod("root-keys", rootKeys, nowSeconds);
  const period = validity({ keys: rootKeys.zsks, keysEnd: rootKeys.notAfter, ...options });
  const msps = compiled.parties.filter((party) => party.kind === "msp");
  if (previous !== undefined) checkBits(msps, previous.registry);
  const registryVersion = nextRegistryVersion(msps, previous);
  const { zone, role } = rootPlace;
  const place = { zone, role, signer } as const;
  const signed = signObjects(options, { place, period, registryVersion });
  const earlier = previous === undefined ? [] : earlierRootKeys(previous.trust, options.rootKeys);
  return { ...voucherOf({ rootKeys: options.rootKeys, earlierRootKeys: earlier }), ...signed };
}

/**
 * Signs a part of the directory with a zone key of its manifest. Throws CONFIG when the epoch does not rise,
 * KEY_MISSING when the signer is not in the manifest, EXPIRED, NOT_YET_VALID.
 */
export function signPart(options: SignPartOptions): DirectoryObjects<PartVoucher> {
  const { signer } = options;
  const { zone, zoneKeys } = decodeManifest(options.manifest.payload);
  const period = validity({ keys: zoneKeys, keysEnd: Infinity, ...options });
  const place = { zone, role: roles.zone, signer } as const;
  const signed = signObjects(options, { place, period, registryVersion: 0 });
  return { manifest: options.manifest, ...signed };
}

function signObjects<T extends NodeTrust>(
  options: SigningOptions<T>,
  as: {
    readonly place: { readonly zone: ZoneName; readonly role: Role; readonly signer: Signer };
    readonly period: Period;
    readonly registryVersion: number;
  },
) {
  const { compiled, previous } = options;
  const { place, period, registryVersion } = as;
  const serial = (previous?.serial ?? 0) + 1;
  const kept = keptObjects(options, period);
  const nodes = compiled.nodes.map((draft): Signed => {
    const old = kept.node(draft);
    if (old !== undefined) return old;
    const payload = encodeNode({ ...draft, ...period, serial });
    return { object: signObject({ ...place, type: "node", payload }), notAfter: period.notAfter };
  });
  const records = compiled.parties.map((party): Signed => {
    const old = kept.record(party);
    if (old !== undefined) return old;
    const payload = encodeRegistryRecord({ serial, ...period, party });
    const object = signObject({ ...place, type: "registry", payload });
    return { object, notAfter: period.notAfter };
  });
  const all = [...nodes, ...records];
  const head: DirectoryHead = {
    zone: place.zone,
    epoch: epochOf(options),
    serial,
    registryVersion,
    nodeCount: nodes.length,
    recordCount: records.length,
    digest: directoryDigest(all.map(({ object }) => object.payload)),
    ...period,
    // A mirror is whole to its end: none of what it holds ends before the head does.
    notAfter: all.reduce((end, { notAfter }) => Math.min(end, notAfter), period.notAfter),
    refreshSeconds: compiled.refreshSeconds,
    retrySeconds: compiled.retrySeconds,
    expireSeconds: compiled.expireSeconds,
    federationDefault: compiled.federationDefault,
  };
  const payload = encodeDirectoryHead(head);
  return {
    head: signObject({ ...place, type: "directory-head", payload }),
    nodes: nodes.map(({ object }) => object),
    records: records.map(({ object }) => object),
  };
}

interface Signed {
  readonly object: SignedObject;
  readonly notAfter: number;
}

/** The objects of the last directory that say the same now and have half of a lifetime left. */
interface Period {
  readonly notBefore: number;
  readonly notAfter: number;
}

function keptObjects(
  { previous, epoch, signer, nowSeconds }: SigningOptions<NodeTrust>,
  period: Period,
) {
  // A new epoch follows a loss: nothing of the old one is built upon.
  const old = epoch === undefined || epoch === previous?.head.epoch ? previous : undefined;
  const leastSeconds = nowSeconds + (period.notAfter - nowSeconds) / 2;
  const parties = new Map(
    (old?.records() ?? []).map((one) => [partyKey(one.record.party), one] as const),
  );
  const keep = (
    object: SignedObject,
    now: { readonly payload: Uint8Array; readonly notAfter: number },
  ): Signed | undefined => {
    const { payload, notAfter } = now;
    const isLong = notAfter >= leastSeconds && notAfter <= period.notAfter;
    const isOwn = object.signatures.some(({ keyId }) => equalBytes(keyId, signer.keyId));
    return isLong && isOwn && equalBytes(payload, object.payload)
      ? { object, notAfter }
      : undefined;
  };
  return {
    node(draft: NodeDraft): Signed | undefined {
      const found = old?.node(draft.prefix);
      if (found === undefined) return undefined;
      const { serial, notBefore, notAfter } = found.node;
      const payload = encodeNode({ ...draft, serial, notBefore, notAfter });
      return keep(found.object, { payload, notAfter });
    },
    record(party: Party): Signed | undefined {
      const found = parties.get(partyKey(party));
      if (found === undefined) return undefined;
      const { notAfter } = found.record;
      return keep(found.object, {
        payload: encodeRegistryRecord({ ...found.record, party }),
        notAfter,
      });
    },
  };
}

function partyKey({ kind, id }: Pick<Party, "kind" | "id">): string {
  return `${kind} ${id}`;
}

/** Clients never go back to an older epoch: one that does not rise would be refused by all of them. */
function epochOf({ epoch, previous, nowSeconds }: SigningOptions<NodeTrust>): number {
  const last = previous?.head.epoch;
  if (epoch === undefined) return last ?? nowSeconds;
  if (last !== undefined && epoch <= last) {
    throw new DiscoveryError(
      "CONFIG",
      `epoch: expected more than ${last}, got ${epoch}`.slice(0, 64),
    );
  }
  return epoch;
}

/** From now for the source's lifetime, but no longer than the keys that vouch for it. */
function validity(options: {
  readonly keys: readonly KeyPeriod[];
  /** End of what names the keys. */
  readonly keysEnd: number;
  readonly signer: Signer;
  readonly compiled: CompiledDirectory;
  readonly nowSeconds: number;
}): Period {
  const { keys, keysEnd, signer, compiled, nowSeconds } = options;
  const key = keys.find((one) => equalBytes(one.publicKey, signer.publicKey));
  if (key === undefined) {
    throw new DiscoveryError("KEY_MISSING", "the signer's key is none of the zone's");
  }
  checkPeriod("signing key", key, nowSeconds);
  const notAfter = Math.min(nowSeconds + compiled.lifetimeSeconds, keysEnd, key.notAfter);
  return { notBefore: nowSeconds, notAfter };
}

/**
 * Positions in the compact bit string are append-only: an answer masked under an old registry must never
 * name another MSP under a new one. One that ends keeps its record, with a past `accredited_to`.
 */
export function checkBits(msps: readonly MspRecord[], previous: Registry): void {
  const byId = new Map(msps.map((msp) => [msp.id, msp]));
  for (const old of previous.msps()) {
    if (byId.get(old.id)?.bit === old.bit) continue;
    throw new DiscoveryError("CONFIG", `registry: bit ${old.bit} was taken from its MSP`, {
      upstream: old.id,
    });
  }
}

/** Rises when the bits mean more than they did. */
function nextRegistryVersion(msps: readonly MspRecord[], previous: Directory | undefined): number {
  if (previous === undefined) return 1;
  const { registry, head } = previous;
  const isKnown = (msp: MspRecord): boolean => registry.msp(msp.id)?.bit === msp.bit;
  return msps.every(isKnown) ? head.registryVersion : head.registryVersion + 1;
}
