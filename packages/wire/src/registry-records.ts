// Strict codec of registry records: DPs, MSPs, provers and relays (protocol.md section 3).

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  limits,
  parseDpId,
  parseMspId,
  parsePrefix,
  parseProverId,
  type Party,
  type RegistryRecord,
} from "@whither/protocol";
import {
  RegistryRecordSchema,
  type RegistryRecord as WireRegistryRecord,
} from "./gen/whither/v1/record_pb.js";
import { integer, invalid, keyPeriod, list, octets, period, text } from "./fields.js";
import { endpointFromWire, endpointToWire, hash32, wireKeyPeriod } from "./record-parts.js";
import { parseMessage } from "./signed-object.js";

function partyFromWire(m: WireRegistryRecord): Party {
  const context = { record: "registry" };
  const operator = (value: string): string => {
    if (value.length === 0) throw invalid(context, "operator", "to be present");
    return text(context, "operator", value, 255);
  };
  switch (m.party.case) {
    case "dp": {
      const p = m.party.value;
      return {
        kind: "dp",
        id: parseDpId(p.id),
        operator: operator(p.operator),
        endpoints: list(
          context,
          { field: "endpoints", min: 0, max: limits.endpointsMax },
          p.endpoints,
          (e) => endpointFromWire(context, e),
        ),
        maxQps: integer(context, "max_qps", p.maxQps),
        jurisdictions: list(
          context,
          { field: "jurisdictions", min: 0, max: 64 },
          p.jurisdictions,
          (j) => text(context, "jurisdictions", j, 2),
        ),
        termsHash: octets(context, "terms_hash", p.termsHash, 0, 32),
      };
    }
    case "msp": {
      const p = m.party.value;
      return {
        kind: "msp",
        id: parseMspId(p.id),
        operator: operator(p.operator),
        bit: integer(context, "bit", p.bit, { max: 65_535 }),
        keys: list(context, { field: "keys", min: 1, max: 4 }, p.keys, (k) =>
          keyPeriod(context, "keys", k),
        ),
        spkiSha256: list(
          context,
          { field: "spki_sha256", min: 0, max: 8 },
          p.spkiSha256,
          hash32(context, "spki_sha256"),
        ),
        endpoint: text(context, "endpoint", p.endpoint, 300),
        mimiDirectoryUrl: text(context, "mimi_directory_url", p.mimiDirectoryUrl, 1024),
        accreditedFrom: integer(context, "accredited_from", p.accreditedFrom),
        accreditedTo: integer(context, "accredited_to", p.accreditedTo),
        termsHash: octets(context, "terms_hash", p.termsHash, 0, 32),
        tokenIssuerKey: p.tokenIssuerKey.slice(0, 1024),
      };
    }
    case "prover": {
      const p = m.party.value;
      return {
        kind: "prover",
        id: parseProverId(p.id),
        operator: operator(p.operator),
        keys: list(context, { field: "keys", min: 1, max: 4 }, p.keys, (k) =>
          keyPeriod(context, "keys", k),
        ),
        prefixes: list(context, { field: "prefixes", min: 1, max: 512 }, p.prefixes, parsePrefix),
        methods: list(context, { field: "methods", min: 1, max: 32 }, p.methods, (x) =>
          text(context, "methods", x, 32),
        ),
        maxLevel: integer(context, "max_level", p.maxLevel, { min: 1, max: 3 }),
      };
    }
    case "relay": {
      const p = m.party.value;
      return {
        kind: "relay",
        id: text(context, "id", p.id, 253),
        operator: operator(p.operator),
        endpoint: text(context, "endpoint", p.endpoint, 300),
        spkiSha256: list(
          context,
          { field: "spki_sha256", min: 1, max: limits.pinsMax },
          p.spkiSha256,
          hash32(context, "spki_sha256"),
        ),
      };
    }
    case undefined:
      throw invalid(context, "party", "to be present");
  }
}

export function decodeRegistryRecord(payload: Uint8Array): RegistryRecord {
  const context = { record: "registry" };
  const m = parseMessage(() => fromBinary(RegistryRecordSchema, payload));
  return {
    serial: integer(context, "serial", m.serial, { min: 1 }),
    ...period(context, m),
    party: partyFromWire(m),
  };
}

function partyToWire(party: Party) {
  switch (party.kind) {
    case "dp":
      return {
        case: "dp" as const,
        value: {
          id: party.id,
          operator: party.operator,
          endpoints: party.endpoints.map(endpointToWire),
          maxQps: party.maxQps,
          jurisdictions: [...party.jurisdictions],
          termsHash: party.termsHash,
        },
      };
    case "msp":
      return {
        case: "msp" as const,
        value: {
          id: party.id,
          operator: party.operator,
          bit: party.bit,
          keys: party.keys.map(wireKeyPeriod),
          spkiSha256: [...party.spkiSha256],
          endpoint: party.endpoint,
          mimiDirectoryUrl: party.mimiDirectoryUrl,
          accreditedFrom: BigInt(party.accreditedFrom),
          accreditedTo: BigInt(party.accreditedTo),
          termsHash: party.termsHash,
          tokenIssuerKey: party.tokenIssuerKey,
        },
      };
    case "prover":
      return {
        case: "prover" as const,
        value: {
          id: party.id,
          operator: party.operator,
          keys: party.keys.map(wireKeyPeriod),
          prefixes: [...party.prefixes],
          methods: [...party.methods],
          maxLevel: party.maxLevel,
        },
      };
    case "relay":
      return {
        case: "relay" as const,
        value: {
          id: party.id,
          operator: party.operator,
          endpoint: party.endpoint,
          spkiSha256: [...party.spkiSha256],
        },
      };
  }
}

export function encodeRegistryRecord(value: RegistryRecord): Uint8Array {
  return toBinary(
    RegistryRecordSchema,
    create(RegistryRecordSchema, {
      serial: BigInt(value.serial),
      notBefore: BigInt(value.notBefore),
      notAfter: BigInt(value.notAfter),
      party: partyToWire(value.party),
    }),
  );
}
