// Pieces that several directory records share: endpoints, pins, key periods. Strict, as all codecs here.

import { limits, type Endpoint } from "@whither/protocol";
import type { Endpoint as WireEndpoint } from "./gen/whither/v1/record_pb.js";
import { integer, invalid, list, octets, text, type FieldContext } from "./fields.js";

export const hash32 =
  (context: FieldContext, field: string) =>
  (value: Uint8Array): Uint8Array =>
    octets(context, field, value, 32);

export function wireKeyPeriod(key: {
  readonly publicKey: Uint8Array;
  readonly notBefore: number;
  readonly notAfter: number;
}): { publicKey: Uint8Array; notBefore: bigint; notAfter: bigint } {
  return {
    publicKey: key.publicKey,
    notBefore: BigInt(key.notBefore),
    notAfter: BigInt(key.notAfter),
  };
}

export function endpointFromWire(context: FieldContext, m: WireEndpoint): Endpoint {
  const host = text(context, "host", m.host, 255);
  if (!/^[0-9a-zA-Z.:_-]+$/.test(host)) throw invalid(context, "host", "a host name or address");
  const port = { max: 65_535 };
  return {
    host,
    port: integer(context, "port", m.port, port),
    publicPort: integer(context, "public_port", m.publicPort, port),
    spkiSha256: list(
      context,
      { field: "spki_sha256", min: 1, max: limits.pinsMax },
      m.spkiSha256,
      hash32(context, "spki_sha256"),
    ),
    jurisdiction: text(context, "jurisdiction", m.jurisdiction, 2),
    operator: text(context, "operator", m.operator, 255),
  };
}

export function endpointToWire(value: Endpoint) {
  return {
    host: value.host,
    port: value.port,
    publicPort: value.publicPort,
    spkiSha256: [...value.spkiSha256],
    jurisdiction: value.jurisdiction,
    operator: value.operator,
  };
}
