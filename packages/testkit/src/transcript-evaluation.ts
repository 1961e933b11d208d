// The evaluation of the test vectors: what of one zone all parts share, both identifiers in one batch, and
// requests and answers as they travel on the correlated streams.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { concatBytes, joinElements, portableVoprf, toHex, utf8 } from "@whither/crypto/node";
import { errorRegistry, parseCsi, parseZoneName } from "@whither/protocol";
import {
  ErrorDetailSchema,
  EvaluateRequestSchema,
  EvaluateResponseSchema,
  ExchangeRequestSchema,
  ExchangeResponseSchema,
  FetchRequestSchema,
  FetchResponseSchema,
} from "@whither/wire";
import { slotIndex, slotInput } from "@whither/zone";
import { drawn, fieldsOf, type JsonObject } from "./transcript-values.js";

/** 2027-01-15T08:00:00Z. */
export const nowSeconds = 1_800_000_000;
export const zone = parseZoneName("us@dp-a.example");
export const kid = drawn("kid", 4);
export const present = parseCsi("tel:+14155550123");
export const absent = parseCsi("tel:+14155550199");
export const voprfInfo = "whither-v1 vectors";
export const keyPair = portableVoprf.deriveKeyPair(drawn("voprf seed"), utf8(voprfInfo));

export interface Evaluation {
  readonly y: Uint8Array;
  readonly absentIdx: Uint8Array;
  readonly request: Uint8Array;
  readonly response: Uint8Array;
  readonly vectors: JsonObject;
}

/** Both identifiers in one batch, under one proof. */
export function evaluateBoth(): Evaluation {
  const csis = [present, absent];
  const inputs = csis.map((csi) => slotInput(csi));
  const blindSeeds = ["blind 0", "blind 1"];
  const proofSeed = "proof";
  const { blinds, blinded } = portableVoprf.blind(inputs, () =>
    concatBytes(...blindSeeds.map((seed) => drawn(seed, 64))),
  );
  const { evaluated, proof } = portableVoprf.evaluateBlinded({
    ...keyPair,
    blinded,
    randomBytes: (length) => drawn(proofSeed, length),
  });
  const outputs = portableVoprf.finalize({
    publicKey: keyPair.publicKey,
    inputs,
    blinds,
    blinded,
    evaluated,
    proof,
  });
  const [y, absentY] = outputs;
  if (y === undefined || absentY === undefined) throw new TypeError("two were evaluated");
  const request = toBinary(
    EvaluateRequestSchema,
    create(EvaluateRequestSchema, { zone, kid, blinded: joinElements(blinded) }),
  );
  const response = toBinary(
    EvaluateResponseSchema,
    create(EvaluateResponseSchema, { evaluated: joinElements(evaluated), proof }),
  );
  const vectors = {
    elements: csis.map((csi, at) => ({
      csi,
      x: hexAt(inputs, at),
      blind_random: toHex(drawn(blindSeeds[at] ?? "", 64)),
      blind: hexAt(blinds, at),
      blinded: hexAt(blinded, at),
      evaluated: hexAt(evaluated, at),
      y: hexAt(outputs, at),
      idx: toHex(slotIndex({ y: outputs[at] ?? y, zone, kid })),
    })),
    proof_random: toHex(drawn(proofSeed, 64)),
    proof: toHex(proof),
    request: toHex(request),
    response: toHex(response),
  };
  return { y, absentIdx: slotIndex({ y: absentY, zone, kid }), request, response, vectors };
}

function hexAt(list: readonly Uint8Array[], at: number): string {
  return toHex(list[at] ?? new Uint8Array());
}

/** How requests and answers travel on the correlated streams. */
export function streamVectors({ request, response }: Evaluation): JsonObject {
  const error = create(ErrorDetailSchema, {
    number: errorRegistry.UNKNOWN_BODY.number,
    text: "body: not in the current epoch",
    upstream: zone,
    retryAfterS: 1,
  });
  const encoded = {
    ExchangeRequest: toBinary(
      ExchangeRequestSchema,
      create(ExchangeRequestSchema, {
        id: 1n,
        request: { case: "evaluate", value: fromBinary(EvaluateRequestSchema, request) },
      }),
    ),
    ExchangeResponse: toBinary(
      ExchangeResponseSchema,
      create(ExchangeResponseSchema, {
        id: 1n,
        response: { case: "evaluate", value: fromBinary(EvaluateResponseSchema, response) },
      }),
    ),
    FetchRequest: toBinary(
      FetchRequestSchema,
      create(FetchRequestSchema, { id: 300n, request: { case: "head", value: { zone } } }),
    ),
    FetchResponse: toBinary(
      FetchResponseSchema,
      create(FetchResponseSchema, { id: 300n, response: { case: "error", value: error } }),
    ),
    ErrorDetail: toBinary(ErrorDetailSchema, error),
  };
  return Object.fromEntries(
    Object.entries(encoded).map(([name, bytes]) => [
      name,
      { bytes: toHex(bytes), fields: fieldsOf(name, bytes) },
    ]),
  );
}
