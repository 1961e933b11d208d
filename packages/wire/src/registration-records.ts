// Strict codecs of what holder, MSP, prover and DP sign about a person (protocol.md section 6). The slot that
// holds it is slot-body.ts. Rules that need more than one record are in @whither/zone.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  limits,
  parseMspId,
  parseProverId,
  parseZoneName,
  type Acceptance,
  type Credential,
  type KeyLink,
  type Mapping,
  type MergePromise,
  type Statement,
  type StatementItem,
} from "@whither/protocol";
import {
  AcceptanceSchema,
  CredentialSchema,
  KeyLinkSchema,
  MappingSchema,
  PromiseSchema,
  StatementSchema,
  type StatementItem as WireStatementItem,
} from "./gen/whither/v1/record_pb.js";
import { integer, invalid, list, octets, period, text } from "./fields.js";
import { parseMessage } from "./signed-object.js";

const nonceLengths = [16, 24, 32] as const;

export function decodeCredential(payload: Uint8Array): Credential {
  const context = { record: "credential" };
  const m = parseMessage(() => fromBinary(CredentialSchema, payload));
  const issued = integer(context, "issued", m.issued);
  const expires = integer(context, "expires", m.expires, {
    min: issued + 1,
    max: issued + limits.credentialLifetimeSecondsMax,
  });
  return {
    proverId: parseProverId(m.proverId),
    csiCommit: octets(context, "csi_commit", m.csiCommit, 32),
    holderPublicKey: octets(context, "holder_public_key", m.holderPublicKey, 32),
    method: text(context, "method", m.method, 32),
    level: integer(context, "level", m.level, { min: 1, max: 3 }),
    issued,
    expires,
    firstProvedAt: integer(context, "first_proved_at", m.firstProvedAt, { max: issued }),
    evidenceSha256: octets(context, "evidence_sha256", m.evidenceSha256, 0, 32),
  };
}

export function encodeCredential(value: Credential): Uint8Array {
  return toBinary(
    CredentialSchema,
    create(CredentialSchema, {
      proverId: value.proverId,
      csiCommit: value.csiCommit,
      holderPublicKey: value.holderPublicKey,
      method: value.method,
      level: value.level,
      issued: BigInt(value.issued),
      expires: BigInt(value.expires),
      firstProvedAt: BigInt(value.firstProvedAt),
      evidenceSha256: value.evidenceSha256,
    }),
  );
}

export function decodeMapping(payload: Uint8Array): Mapping {
  const context = { record: "mapping" };
  const m = parseMessage(() => fromBinary(MappingSchema, payload));
  const { notBefore, notAfter } = period(context, m);
  if (notAfter - notBefore > limits.mappingLifetimeSecondsMax) {
    throw invalid(context, "not_after", "at most 90 d after not_before");
  }
  return {
    csiCommit: octets(context, "csi_commit", m.csiCommit, 32),
    mspId: parseMspId(m.mspId),
    holderPublicKey: octets(context, "holder_public_key", m.holderPublicKey, 32),
    credentialSha256: octets(context, "credential_sha256", m.credentialSha256, 32),
    establishedAt: integer(context, "established_at", m.establishedAt),
    notBefore,
    notAfter,
    nonceH: octets(context, "nonce_h", m.nonceH, ...nonceLengths),
    nonceM: octets(context, "nonce_m", m.nonceM, ...nonceLengths),
    prevSha256: octets(context, "prev_sha256", m.prevSha256, 0, 32),
  };
}

export function encodeMapping(value: Mapping): Uint8Array {
  return toBinary(
    MappingSchema,
    create(MappingSchema, {
      csiCommit: value.csiCommit,
      mspId: value.mspId,
      holderPublicKey: value.holderPublicKey,
      credentialSha256: value.credentialSha256,
      establishedAt: BigInt(value.establishedAt),
      notBefore: BigInt(value.notBefore),
      notAfter: BigInt(value.notAfter),
      nonceH: value.nonceH,
      nonceM: value.nonceM,
      prevSha256: value.prevSha256,
    }),
  );
}

const utf8 = new TextEncoder();

function itemFromWire(m: WireStatementItem): StatementItem {
  const context = { record: "statement item" };
  const tags = list(
    context,
    { field: "tags", min: 0, max: limits.tagsPerItemMax },
    m.tags,
    (tag) => {
      const bytes = utf8.encode(tag).length;
      if (bytes === 0 || bytes > limits.tagBytesMax)
        throw invalid(context, "tags", "1..64 octets each");
      return tag;
    },
  );
  if (new Set(tags).size !== tags.length) throw invalid(context, "tags", "each tag once");
  if (tags.includes("Default") && tags.length > 1) throw invalid(context, "tags", "Default alone");
  return {
    mappingSha256: octets(context, "mapping_sha256", m.mappingSha256, 32),
    preference: m.preference,
    tags,
  };
}

/** Of one length, octet by octet: a handful of hashes is told apart sooner than written as text. */
function isSameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((octet, at) => octet === b[at]);
}

export function decodeStatement(payload: Uint8Array): Statement {
  const context = { record: "statement" };
  const m = parseMessage(() => fromBinary(StatementSchema, payload));
  const items = list(
    context,
    { field: "items", min: 0, max: limits.mappingsPerSlotMax },
    m.items,
    itemFromWire,
  );
  if (new Set(items.map((item) => item.preference)).size !== items.length) {
    throw invalid(context, "preference", "unique values");
  }
  const hashes = items.map((item) => item.mappingSha256);
  if (hashes.some((hash, at) => hashes.slice(0, at).some((before) => isSameBytes(before, hash)))) {
    throw invalid(context, "mapping_sha256", "each mapping once");
  }
  return {
    zone: parseZoneName(m.zone),
    tag: octets(context, "tag", m.tag, 0, 32),
    csiCommits: list(
      context,
      { field: "csi_commits", min: items.length === 0 ? 0 : 1, max: limits.mappingsPerSlotMax },
      m.csiCommits,
      (commit) => octets(context, "csi_commits", commit, 32),
    ),
    holderPublicKey: octets(context, "holder_public_key", m.holderPublicKey, 32),
    seq: integer(context, "seq", m.seq, { min: 1 }),
    nonceD: octets(context, "nonce_d", m.nonceD, 48),
    items,
    exclusive: m.exclusive,
    sameAppOnly: m.sameAppOnly,
    portedTo: text(context, "ported_to", m.portedTo, limits.csiBytesMax),
    ...period(context, m),
  };
}

export function encodeStatement(value: Statement): Uint8Array {
  return toBinary(
    StatementSchema,
    create(StatementSchema, {
      zone: value.zone,
      tag: value.tag,
      csiCommits: [...value.csiCommits],
      holderPublicKey: value.holderPublicKey,
      seq: BigInt(value.seq),
      nonceD: value.nonceD,
      items: value.items.map((item) => ({
        mappingSha256: item.mappingSha256,
        preference: item.preference,
        tags: [...item.tags],
      })),
      exclusive: value.exclusive,
      sameAppOnly: value.sameAppOnly,
      portedTo: value.portedTo,
      notBefore: BigInt(value.notBefore),
      notAfter: BigInt(value.notAfter),
    }),
  );
}

export function decodeAcceptance(payload: Uint8Array): Acceptance {
  const context = { record: "acceptance" };
  const m = parseMessage(() => fromBinary(AcceptanceSchema, payload));
  return {
    zone: parseZoneName(m.zone),
    mappingSha256: octets(context, "mapping_sha256", m.mappingSha256, 32),
    acceptedAt: integer(context, "accepted_at", m.acceptedAt),
  };
}

export function encodeAcceptance(value: Acceptance): Uint8Array {
  return toBinary(
    AcceptanceSchema,
    create(AcceptanceSchema, {
      zone: value.zone,
      mappingSha256: value.mappingSha256,
      acceptedAt: BigInt(value.acceptedAt),
    }),
  );
}

export function decodePromise(payload: Uint8Array): MergePromise {
  const context = { record: "promise" };
  const m = parseMessage(() => fromBinary(PromiseSchema, payload));
  const acceptedAt = integer(context, "accepted_at", m.acceptedAt);
  return {
    zone: parseZoneName(m.zone),
    statementSha256: octets(context, "statement_sha256", m.statementSha256, 32),
    acceptedAt,
    by: integer(context, "by", m.by, { min: acceptedAt, max: acceptedAt + limits.promiseSeconds }),
  };
}

export function encodePromise(value: MergePromise): Uint8Array {
  return toBinary(
    PromiseSchema,
    create(PromiseSchema, {
      zone: value.zone,
      statementSha256: value.statementSha256,
      acceptedAt: BigInt(value.acceptedAt),
      by: BigInt(value.by),
    }),
  );
}

/** Two equal keys link nothing. */
export function decodeKeyLink(payload: Uint8Array): KeyLink {
  const context = { record: "key-link" };
  const m = parseMessage(() => fromBinary(KeyLinkSchema, payload));
  const oldPublicKey = octets(context, "old_public_key", m.oldPublicKey, 32);
  const newPublicKey = octets(context, "new_public_key", m.newPublicKey, 32);
  if (isSameBytes(oldPublicKey, newPublicKey)) {
    throw invalid(context, "new_public_key", "another key than the old");
  }
  return {
    csiCommit: octets(context, "csi_commit", m.csiCommit, 32),
    oldPublicKey,
    newPublicKey,
    nonce: octets(context, "nonce", m.nonce, ...nonceLengths),
  };
}

export function encodeKeyLink(value: KeyLink): Uint8Array {
  return toBinary(
    KeyLinkSchema,
    create(KeyLinkSchema, {
      csiCommit: value.csiCommit,
      oldPublicKey: value.oldPublicKey,
      newPublicKey: value.newPublicKey,
      nonce: value.nonce,
    }),
  );
}
