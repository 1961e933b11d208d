// Records that somebody signs, as decoded values. The byte layout is proto/whither/v1/record.proto; the
// strict codecs are in @whither/wire. Times are Unix seconds; all numbers are integers up to 2^53 - 1.

import type { DpId, MspId, Prefix, ProverId, ZoneName } from "./brands.js";

/** Roles under which a signature is made (protocol.md section 2). */
export const roles = {
  rootKsk: 1,
  rootZsk: 2,
  zone: 3,
  holder: 4,
  msp: 5,
  dp: 6,
  prover: 7,
  csip: 8,
  witness: 9,
} as const;
export type Role = (typeof roles)[keyof typeof roles];

/** One Ed25519 signature: 8-byte key id, role, 64-byte signature. */
export interface Signature {
  readonly keyId: Uint8Array;
  readonly role: Role;
  readonly signature: Uint8Array;
}

/** Payload bytes exactly as signed, with their signatures. Never re-serialised. */
export interface SignedObject {
  readonly payload: Uint8Array;
  readonly signatures: readonly Signature[];
}

/** A 32-byte Ed25519 public key and when it may sign. */
export interface KeyPeriod {
  readonly publicKey: Uint8Array;
  readonly notBefore: number;
  readonly notAfter: number;
}

export type Federation = "local" | "preferred" | "list" | "all";
export type Disposition = "delegated" | "parent" | "unassigned";
export type AuthorityKind = "directory" | "mappings";

/** The only suite of this version: Ed25519, ristretto255-SHA512, AES-256-GCM. */
export const suiteV1 = 1;

export interface RootKeys {
  readonly suite: number;
  readonly version: number;
  readonly threshold: number;
  readonly ksks: readonly Uint8Array[];
  readonly zsks: readonly KeyPeriod[];
  readonly notBefore: number;
  readonly notAfter: number;
}

export interface Endpoint {
  readonly host: string;
  /** Services that demand a client certificate; 0: none. */
  readonly port: number;
  /** Services without client certificate; 0: none. */
  readonly publicPort: number;
  readonly spkiSha256: readonly Uint8Array[];
  readonly jurisdiction: string;
  /** Who runs this server; "": the operator of the DP. */
  readonly operator: string;
}

export interface Authority {
  readonly zone: ZoneName;
  readonly dpId: DpId;
  readonly kind: AuthorityKind;
  readonly relayOnly: boolean;
  readonly manifestSha256: readonly Uint8Array[];
  readonly endpoints: readonly Endpoint[];
  /** Held back by the directory's server as lame, since then, Unix seconds: not asked while another stands beside it. */
  readonly withdrawnAt?: number;
}

export interface Node {
  readonly prefix: Prefix;
  readonly disposition: Disposition;
  /** Label, or "" for none. */
  readonly firstChild: string;
  readonly nextSibling: string;
  readonly authorities: readonly Authority[];
  readonly ttlSeconds: number;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly serial: number;
}

export interface DirectoryHead {
  readonly zone: ZoneName;
  readonly epoch: number;
  readonly serial: number;
  readonly registryVersion: number;
  readonly nodeCount: number;
  readonly recordCount: number;
  /** SHA-384, 48 bytes. */
  readonly digest: Uint8Array;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly refreshSeconds: number;
  readonly retrySeconds: number;
  readonly expireSeconds: number;
  readonly federationDefault: Federation;
}

export interface DpRecord {
  readonly kind: "dp";
  readonly id: DpId;
  readonly operator: string;
  readonly endpoints: readonly Endpoint[];
  readonly maxQps: number;
  readonly jurisdictions: readonly string[];
  readonly termsHash: Uint8Array;
}

export interface MspRecord {
  readonly kind: "msp";
  readonly id: MspId;
  readonly operator: string;
  readonly bit: number;
  readonly keys: readonly KeyPeriod[];
  readonly spkiSha256: readonly Uint8Array[];
  readonly endpoint: string;
  readonly mimiDirectoryUrl: string;
  readonly accreditedFrom: number;
  readonly accreditedTo: number;
  readonly termsHash: Uint8Array;
  readonly tokenIssuerKey: Uint8Array;
}

export interface ProverRecord {
  readonly kind: "prover";
  readonly id: ProverId;
  readonly operator: string;
  readonly keys: readonly KeyPeriod[];
  readonly prefixes: readonly Prefix[];
  readonly methods: readonly string[];
  readonly maxLevel: number;
}

export interface RelayRecord {
  readonly kind: "relay";
  readonly id: string;
  readonly operator: string;
  readonly endpoint: string;
  readonly spkiSha256: readonly Uint8Array[];
}

export type Party = DpRecord | MspRecord | ProverRecord | RelayRecord;

export interface RegistryRecord {
  readonly serial: number;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly party: Party;
}

export interface VoprfKey {
  /** 4 bytes. */
  readonly kid: Uint8Array;
  /** 32-byte ristretto255 element. */
  readonly publicKey: Uint8Array;
  readonly notAfter: number;
}

/** A key that relayed queries are sealed to (RFC 9180, as a key configuration of RFC 9458 has it). */
export interface HpkeKey {
  /** 0..255, stands before each sealed query. */
  readonly id: number;
  /** 32-byte X25519 key. */
  readonly publicKey: Uint8Array;
  readonly notAfter: number;
}

export interface Quota {
  readonly class: string;
  readonly requestsPerSecond: number;
  readonly requestsBurst: number;
  readonly contactsBurst: number;
  readonly contactsPerDay: number;
}

export interface Policy {
  readonly federationDefault: Federation;
  readonly preferredDps: readonly DpId[];
  readonly quotas: readonly Quota[];
  readonly discoveryMaxSeconds: number;
  readonly removalMaxSeconds: number;
  readonly retentionSeconds: number;
  readonly replicaJurisdictions: readonly string[];
  readonly preferenceHandling: string;
  readonly publicQueries: boolean;
}

export interface Manifest {
  readonly zone: ZoneName;
  readonly operator: string;
  readonly suite: number;
  readonly version: number;
  readonly zoneKeys: readonly KeyPeriod[];
  readonly voprfKeys: readonly VoprfKey[];
  /** None: no relayed queries. The first is current, the one after it the one before. */
  readonly hpkeKeys: readonly HpkeKey[];
  readonly entryLength: number;
  readonly epochSeconds: number;
  readonly mappingTtlSeconds: number;
  readonly absenceTtlSeconds: number;
  readonly policy: Policy;
  readonly notBefore: number;
}

export interface Head {
  readonly zone: ZoneName;
  readonly epoch: number;
  readonly serial: number;
  readonly mapRoot: Uint8Array;
  readonly mapSize: number;
  readonly kid: Uint8Array;
  /** Depth of the bucket tree in bits, 0..30. */
  readonly b: number;
  /** Bytes of `entries` in every bucket answer of this epoch. */
  readonly pad: number;
  readonly manifestSha256: Uint8Array;
  readonly changesRoot: Uint8Array;
  readonly time: number;
  readonly prevSha256: Uint8Array;
  readonly notAfter: number;
}

export interface Credential {
  readonly proverId: ProverId;
  readonly csiCommit: Uint8Array;
  readonly holderPublicKey: Uint8Array;
  readonly method: string;
  readonly level: number;
  readonly issued: number;
  readonly expires: number;
  readonly firstProvedAt: number;
  /** 32 bytes or empty. */
  readonly evidenceSha256: Uint8Array;
}

export interface Mapping {
  readonly csiCommit: Uint8Array;
  readonly mspId: MspId;
  readonly holderPublicKey: Uint8Array;
  readonly credentialSha256: Uint8Array;
  readonly establishedAt: number;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly nonceH: Uint8Array;
  readonly nonceM: Uint8Array;
  /** 32 bytes or empty. */
  readonly prevSha256: Uint8Array;
}

export interface StatementItem {
  readonly mappingSha256: Uint8Array;
  /** Unique in the statement; lower is better. */
  readonly preference: number;
  readonly tags: readonly string[];
}

export interface Statement {
  readonly zone: ZoneName;
  /** Empty: public slot; 32 bytes: audience slot. */
  readonly tag: Uint8Array;
  readonly csiCommits: readonly Uint8Array[];
  readonly holderPublicKey: Uint8Array;
  readonly seq: number;
  readonly nonceD: Uint8Array;
  readonly items: readonly StatementItem[];
  readonly exclusive: boolean;
  readonly sameAppOnly: boolean;
  readonly portedTo: string;
  readonly notBefore: number;
  readonly notAfter: number;
}

export interface Acceptance {
  readonly zone: ZoneName;
  readonly mappingSha256: Uint8Array;
  readonly acceptedAt: number;
}

/** The record called "promise" in the protocol; named so that it does not shadow `Promise`. */
export interface MergePromise {
  readonly zone: ZoneName;
  readonly statementSha256: Uint8Array;
  readonly acceptedAt: number;
  readonly by: number;
}

export interface SlotMapping {
  readonly mapping: SignedObject;
  readonly credential: SignedObject;
  /** 32 bytes that open `csiCommit`. */
  readonly opening: Uint8Array;
  readonly acceptance: SignedObject;
}

/** Two keys are one holder's, for one CSI. */
export interface KeyLink {
  readonly csiCommit: Uint8Array;
  readonly oldPublicKey: Uint8Array;
  readonly newPublicKey: Uint8Array;
  readonly nonce: Uint8Array;
}

export interface SlotKeyLink {
  readonly link: SignedObject;
  /** 32 bytes that open its `csiCommit`. */
  readonly opening: Uint8Array;
}

/** Plaintext of a public slot. */
export interface SlotBody {
  readonly statement: SignedObject;
  readonly mappings: readonly SlotMapping[];
  /** Each joins one more key to the statement's own. */
  readonly links: readonly SlotKeyLink[];
}
