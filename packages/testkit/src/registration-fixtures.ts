// Parties and signed records of a registration, for tests: every key, date and field has a valid default
// and a knob that breaks it. Deterministic. Nothing here checks anything.

import {
  roles,
  type Acceptance,
  type Credential,
  type Csi,
  type DpRecord,
  type ErrorCode,
  type KeyLink,
  type Manifest,
  type Mapping,
  type MspRecord,
  type Party,
  type ProverRecord,
  type SignedObject,
  type SlotKeyLink,
  type SlotMapping,
  type Statement,
  type ZoneName,
  isDiscoveryError,
  parseCsi,
  parseDpId,
  parseMspId,
  parsePrefix,
  parseProverId,
  parseZoneName,
} from "@whither/protocol";
import {
  createSigner,
  portableVoprf,
  sha256,
  utf8,
  type Signer,
  type VoprfKeyPair,
} from "@whither/crypto/node";
import {
  encodeAcceptance,
  encodeCredential,
  encodeKeyLink,
  encodeManifest,
  encodeMapping,
  encodeSlotBody,
  encodeStatement,
} from "@whither/wire";
import {
  addSignature,
  createRegistry,
  csiCommit,
  keyLinkPlace,
  payloadSha256,
  signObject,
  type Registry,
} from "@whither/zone";

const day = 86_400;

/** 32 bytes that are the same in every run. */
export function fixedBytes(label: string, length = 32): Uint8Array {
  return sha256(utf8(`whither test ${label}`)).slice(0, length);
}

/** The code of the DiscoveryError that the call throws, or "ok"; any other error passes through. */
export function outcomeOf(call: () => unknown): ErrorCode | "ok" {
  try {
    call();
    return "ok";
  } catch (error) {
    if (isDiscoveryError(error)) return error.code;
    throw error;
  }
}

/** As outcomeOf, of work that takes its time. */
export async function codeOf(work: () => Promise<unknown>): Promise<ErrorCode | "ok"> {
  try {
    await work();
    return "ok";
  } catch (error) {
    if (isDiscoveryError(error)) return error.code;
    throw error;
  }
}

/** A signer whose key is the same in every run. */
export function fixedSigner(label: string): Signer {
  return createSigner(fixedBytes(`key ${label}`));
}

/** Who takes part: one DP with one zone, one prover, two MSPs, two holders. */
export interface RegistrationParties {
  readonly nowSeconds: number;
  readonly csi: Csi;
  readonly opening: Uint8Array;
  readonly zone: ZoneName;
  readonly manifest: Manifest;
  readonly manifestSha256: Uint8Array;
  readonly zoneSigner: Signer;
  readonly voprfKeys: VoprfKeyPair;
  readonly dp: DpRecord;
  readonly prover: ProverRecord;
  readonly proverSigner: Signer;
  readonly msps: readonly [MspRecord, MspRecord];
  readonly mspSigners: readonly [Signer, Signer];
  readonly holder: Signer;
  readonly otherHolder: Signer;
  readonly registry: Registry;
}

/** What may differ from the default parties. */
export interface RegistrationPartiesOptions {
  /** Default 1_790_000_000. */
  readonly nowSeconds?: number;
  /** Default tel:+14155550123. */
  readonly csi?: Csi;
  readonly dp?: Partial<DpRecord>;
  readonly prover?: Partial<ProverRecord>;
  readonly msps?: readonly [Partial<MspRecord>, Partial<MspRecord>];
  readonly manifest?: Partial<Manifest>;
  /** Parties left out of the registry. */
  readonly unregistered?: readonly ("prover" | "msp0" | "msp1")[];
}

export function makeRegistrationParties(
  options: RegistrationPartiesOptions = {},
): RegistrationParties {
  const nowSeconds = options.nowSeconds ?? 1_790_000_000;
  const zone = parseZoneName("us@dp-a.example");
  const zoneSigner = fixedSigner("zone");
  const proverSigner = fixedSigner("prover");
  const mspSigners = [fixedSigner("msp 0"), fixedSigner("msp 1")] as const;
  const voprfKeys = portableVoprf.deriveKeyPair(fixedBytes("voprf"), utf8("test"));
  const period = (signer: Signer) => ({
    publicKey: signer.publicKey,
    notBefore: nowSeconds - 400 * day,
    notAfter: nowSeconds + 400 * day,
  });
  const manifest = { ...makeManifest(zone), ...options.manifest };
  function makeManifest(name: ZoneName): Manifest {
    return {
      zone: name,
      operator: "Operator A",
      suite: 1,
      version: 1,
      zoneKeys: [period(zoneSigner)],
      voprfKeys: [
        {
          kid: fixedBytes("kid", 4),
          publicKey: voprfKeys.publicKey,
          notAfter: nowSeconds + 90 * day,
        },
      ],
      hpkeKeys: [],
      entryLength: 68,
      epochSeconds: 30,
      mappingTtlSeconds: 3600,
      absenceTtlSeconds: 60,
      policy: {
        federationDefault: "local",
        preferredDps: [],
        quotas: [],
        discoveryMaxSeconds: 180,
        removalMaxSeconds: 180,
        retentionSeconds: 86_400,
        replicaJurisdictions: [],
        preferenceHandling: "the holder's order is kept",
        publicQueries: false,
      },
      notBefore: nowSeconds - 10 * day,
    };
  }
  const dp: DpRecord = {
    kind: "dp",
    id: parseDpId("dp-a.example"),
    operator: "Operator A",
    endpoints: [],
    maxQps: 1000,
    jurisdictions: ["US"],
    termsHash: new Uint8Array(),
    ...options.dp,
  };
  const prover: ProverRecord = {
    kind: "prover",
    id: parseProverId("prover.example"),
    operator: "Operator P",
    keys: [period(proverSigner)],
    prefixes: [parsePrefix("tel:"), parsePrefix("mailto:")],
    methods: ["sms", "email"],
    maxLevel: 2,
    ...options.prover,
  };
  const msp = (index: 0 | 1): MspRecord => ({
    kind: "msp",
    id: parseMspId(index === 0 ? "wire.example" : "video.example"),
    operator: index === 0 ? "Operator W" : "Operator V",
    bit: index === 0 ? 0 : 5,
    keys: [period(mspSigners[index])],
    spkiSha256: [],
    endpoint: "",
    mimiDirectoryUrl: `https://${index === 0 ? "wire" : "video"}.example/mimi`,
    accreditedFrom: nowSeconds - 100 * day,
    accreditedTo: nowSeconds + 100 * day,
    termsHash: new Uint8Array(),
    tokenIssuerKey: new Uint8Array(),
    ...options.msps?.[index],
  });
  const msps = [msp(0), msp(1)] as const;
  const absent = new Set<string>(options.unregistered);
  const parties: Party[] = [dp];
  if (!absent.has("prover")) parties.push(prover);
  if (!absent.has("msp0")) parties.push(msps[0]);
  if (!absent.has("msp1")) parties.push(msps[1]);
  return {
    nowSeconds,
    csi: options.csi ?? parseCsi("tel:+14155550123"),
    opening: fixedBytes("opening"),
    zone,
    manifest,
    manifestSha256: sha256(encodeManifest(manifest)),
    zoneSigner,
    voprfKeys,
    dp,
    prover,
    proverSigner,
    msps,
    mspSigners,
    holder: fixedSigner("holder"),
    otherHolder: fixedSigner("other holder"),
    registry: createRegistry(parties, 1),
  };
}

/** A credential for the parties' CSI and holder, issued a minute ago; `fields` replaces payload fields. */
export function makeCredential(
  parties: RegistrationParties,
  knobs: {
    readonly fields?: Partial<Credential>;
    readonly csi?: Csi;
    readonly opening?: Uint8Array;
    readonly signer?: Signer;
  } = {},
): SignedObject {
  const { nowSeconds } = parties;
  const commit = csiCommit({
    csi: knobs.csi ?? parties.csi,
    opening: knobs.opening ?? parties.opening,
  });
  const payload = encodeCredential({
    proverId: parties.prover.id,
    csiCommit: commit,
    holderPublicKey: parties.holder.publicKey,
    method: "sms",
    level: 1,
    issued: nowSeconds - 60,
    expires: nowSeconds - 60 + 45 * day,
    firstProvedAt: nowSeconds - 60,
    evidenceSha256: new Uint8Array(),
    ...knobs.fields,
  });
  const signer = knobs.signer ?? parties.proverSigner;
  return signObject({ type: "credential", role: roles.prover, zone: "", payload, signer });
}

export interface MappingKnobs {
  readonly fields?: Partial<Mapping>;
  /** Which of the parties' MSPs signs; default 0. */
  readonly msp?: 0 | 1;
  readonly credential: SignedObject;
  readonly holder?: Signer;
  readonly mspSigner?: Signer;
  /** Who signs; default both. */
  readonly signedBy?: readonly ("msp" | "holder")[];
}

/** A mapping made now for this credential. */
export function makeMapping(parties: RegistrationParties, knobs: MappingKnobs): SignedObject {
  const { nowSeconds } = parties;
  const index = knobs.msp ?? 0;
  const holder = knobs.holder ?? parties.holder;
  const signedBy = knobs.signedBy ?? ["msp", "holder"];
  const payload = encodeMapping({
    csiCommit: csiCommit(parties),
    mspId: parties.msps[index].id,
    holderPublicKey: holder.publicKey,
    credentialSha256: payloadSha256(knobs.credential),
    establishedAt: nowSeconds,
    notBefore: nowSeconds,
    notAfter: nowSeconds + 40 * day,
    nonceH: fixedBytes("nonce h"),
    nonceM: fixedBytes(`nonce m ${index}`),
    prevSha256: new Uint8Array(),
    ...knobs.fields,
  });
  const place = { type: "mapping", zone: "" } as const;
  const mspSigner = knobs.mspSigner ?? parties.mspSigners[index];
  let object: SignedObject = { payload, signatures: [] };
  if (signedBy.includes("msp")) {
    object = addSignature(object, { ...place, role: roles.msp, signer: mspSigner });
  }
  if (signedBy.includes("holder")) {
    object = addSignature(object, { ...place, role: roles.holder, signer: holder });
  }
  return object;
}

/** A statement that names these mappings in this order, preferences 1, 2, …; `fields` replaces fields. */
export function makeStatement(
  parties: RegistrationParties,
  knobs: {
    readonly mappings: readonly SignedObject[];
    readonly fields?: Partial<Statement>;
    readonly holder?: Signer;
    /** Zone in the signed input; default the statement's. */
    readonly signedForZone?: string;
    readonly unsigned?: boolean;
  },
): SignedObject {
  const { nowSeconds, zone } = parties;
  const holder = knobs.holder ?? parties.holder;
  const payload = encodeStatement({
    zone,
    tag: new Uint8Array(),
    csiCommits: [csiCommit(parties)],
    holderPublicKey: holder.publicKey,
    seq: 1,
    nonceD: new Uint8Array(48),
    items: knobs.mappings.map((mapping, place) => ({
      mappingSha256: payloadSha256(mapping),
      preference: place + 1,
      tags: [],
    })),
    exclusive: false,
    sameAppOnly: false,
    portedTo: "",
    notBefore: nowSeconds,
    notAfter: nowSeconds + 90 * day,
    ...knobs.fields,
  });
  if (knobs.unsigned) return { payload, signatures: [] };
  const signed = knobs.signedForZone ?? knobs.fields?.zone ?? zone;
  return signObject({
    type: "statement",
    role: roles.holder,
    zone: signed,
    payload,
    signer: holder,
  });
}

/** The DP's acceptance of a mapping, now. */
export function makeAcceptance(
  parties: RegistrationParties,
  knobs: {
    readonly mapping: SignedObject;
    readonly fields?: Partial<Acceptance>;
    readonly signer?: Signer;
    readonly unsigned?: boolean;
  },
): SignedObject {
  const payload = encodeAcceptance({
    zone: parties.zone,
    mappingSha256: payloadSha256(knobs.mapping),
    acceptedAt: parties.nowSeconds,
    ...knobs.fields,
  });
  if (knobs.unsigned) return { payload, signatures: [] };
  const signer = knobs.signer ?? parties.zoneSigner;
  return signObject({ type: "acceptance", role: roles.dp, zone: parties.zone, payload, signer });
}

/** A link from the parties' holder to the other one, for their CSI; every part can be replaced. */
export function makeKeyLink(
  parties: RegistrationParties,
  knobs: {
    readonly from?: Signer;
    readonly to?: Signer;
    readonly csi?: Csi;
    readonly fields?: Partial<KeyLink>;
    /** Who signs; default both keys. */
    readonly signedBy?: readonly Signer[];
  } = {},
): SlotKeyLink {
  const { from = parties.holder, to = parties.otherHolder, csi = parties.csi } = knobs;
  const opening = fixedBytes("opening of a link");
  const payload = encodeKeyLink({
    csiCommit: csiCommit({ csi, opening }),
    oldPublicKey: from.publicKey,
    newPublicKey: to.publicKey,
    nonce: fixedBytes("nonce of a link"),
    ...knobs.fields,
  });
  const signers = knobs.signedBy ?? [from, to];
  const unsigned: SignedObject = { payload, signatures: [] };
  const link = signers.reduce(
    (object, signer) => addSignature(object, { ...keyLinkPlace, signer }),
    unsigned,
  );
  return { link, opening };
}

export interface SlotFixture {
  readonly credential: SignedObject;
  readonly statement: SignedObject;
  readonly mappings: readonly SlotMapping[];
  /** Encoded SlotBody. */
  readonly plaintext: Uint8Array;
}

/** A valid public slot with the first `count` MSPs (1 or 2); every part can be replaced before it is encoded. */
export function makeSlot(
  parties: RegistrationParties,
  knobs: {
    readonly count?: 1 | 2;
    readonly credential?: SignedObject;
    readonly mapping?: Partial<MappingKnobs>;
    readonly statement?: Omit<Parameters<typeof makeStatement>[1], "mappings">;
    readonly acceptance?: Omit<Parameters<typeof makeAcceptance>[1], "mapping">;
    readonly links?: readonly SlotKeyLink[];
    /** Rewrites the mappings after the statement was signed. */
    readonly tamper?: (mappings: readonly SlotMapping[]) => readonly SlotMapping[];
  } = {},
): SlotFixture {
  const credential = knobs.credential ?? makeCredential(parties);
  const places: readonly (0 | 1)[] = knobs.count === 2 ? [0, 1] : [0];
  const mappings = places.map((msp): SlotMapping => {
    const mapping = makeMapping(parties, { msp, credential, ...knobs.mapping });
    const acceptance = makeAcceptance(parties, { mapping, ...knobs.acceptance });
    return { mapping, credential, opening: parties.opening, acceptance };
  });
  const statement = makeStatement(parties, {
    mappings: mappings.map((entry) => entry.mapping),
    ...knobs.statement,
  });
  const placed = knobs.tamper?.(mappings) ?? mappings;
  const plaintext = encodeSlotBody({ statement, mappings: placed, links: knobs.links ?? [] });
  return { credential, statement, mappings: placed, plaintext };
}

/** The object with one bit of its signature in that place flipped. */
export function flipSignature(object: SignedObject, place = 0, byte = 0): SignedObject {
  return mapSignature(object, place, (signature) => {
    const flipped = signature.slice();
    flipped[byte] = (flipped[byte] ?? 0) ^ 1;
    return flipped;
  });
}

const groupOrder = 2n ** 252n + 27742317777372353535851937790883648493n;

/** The same signature with S + L instead of S: accepted by verifiers that do not check its range. */
export function malleateSignature(object: SignedObject, place = 0): SignedObject {
  return mapSignature(object, place, (signature) => {
    let s = 0n;
    for (const byte of signature.slice(32).reverse()) s = (s << 8n) | BigInt(byte);
    s += groupOrder;
    const malleated = signature.slice();
    for (let at = 32; at < 64; at += 1, s >>= 8n) malleated[at] = Number(s & 0xffn);
    return malleated;
  });
}

function mapSignature(
  object: SignedObject,
  place: number,
  change: (signature: Uint8Array) => Uint8Array,
): SignedObject {
  const signatures = object.signatures.map((entry, index) =>
    index === place ? { ...entry, signature: change(entry.signature) } : entry,
  );
  return { payload: object.payload, signatures };
}

/** The identity: with R = identity and S = 0 naive verifiers accept it for every message. */
export const smallOrderPublicKey: Uint8Array = Uint8Array.from({ length: 32 }, (_, i) =>
  i === 0 ? 1 : 0,
);

/** A signer of the universal forgery under `smallOrderPublicKey`. */
export function smallOrderSigner(): Signer {
  const signature = new Uint8Array(64);
  signature[0] = 1;
  return {
    publicKey: smallOrderPublicKey,
    keyId: sha256(smallOrderPublicKey).slice(0, 8),
    sign: () => signature,
  };
}
