// Lies on the wire: what a DP or a directory server sends, changed on its way to whoever asked. Streamed
// and unary answers alike. A lie that has to be signed is signed with the party's real key by the test.

import type { SignedObject } from "@whither/protocol";
import { decodeMessage, encodeMessage, type LinkFaults, type Travel } from "@whither/rpc";
import {
  BodiesResponseSchema,
  BucketResponseSchema,
  decodeRecordsAnswer,
  decodeReferAnswer,
  decodeTransferChunk,
  encodeRecordsAnswer,
  encodeReferAnswer,
  encodeTransferChunk,
  EvaluateResponseSchema,
  ExchangeResponseSchema,
  FetchResponseSchema,
  GetHeadResponseSchema,
  GetManifestResponseSchema,
  signedObjectFromWire,
  signedObjectToWire,
  type BodiesResponse,
  type BucketResponse,
  type EvaluateResponse,
  type FetchResponse,
  type RecordsAnswer,
  type ReferAnswer,
  type TransferChunk,
  type WireSignedObject,
} from "@whither/wire";

/** What of a DP's answers is replaced; what is absent stays as it is. */
export interface DpLies {
  /** Called after `head`, with what it made. */
  readonly bucket?: (answer: BucketResponse) => BucketResponse;
  readonly bodies?: (answer: BodiesResponse) => BodiesResponse;
  readonly evaluate?: (answer: EvaluateResponse) => EvaluateResponse;
  /** The head, on its own and in every bucket. */
  readonly head?: (head: SignedObject) => SignedObject;
  readonly manifest?: (manifest: SignedObject) => SignedObject;
  /** Every response of any other method, the registrar's for one, as bytes. */
  readonly other?: (message: Uint8Array, travel: Travel) => Uint8Array;
}

export function dpFaults(lies: DpLies): LinkFaults {
  const same = <T>(value: T): T => value;
  const { bodies = same, evaluate = same, manifest = same, other = same } = lies;
  const head = wireLie(lies.head);
  const bucket = (answer: BucketResponse): BucketResponse =>
    (lies.bucket ?? same)(
      lies.head === undefined ? answer : { ...answer, head: head(answer.head) },
    );
  const fetched = (response: FetchResponse["response"]): FetchResponse["response"] => {
    switch (response.case) {
      case "bucket":
        return { case: "bucket", value: bucket(response.value) };
      case "bodies":
        return { case: "bodies", value: bodies(response.value) };
      case "head":
        return { case: "head", value: { ...response.value, head: head(response.value.head) } };
      case "manifest": {
        const { value } = response;
        return {
          case: "manifest",
          value: { ...value, manifest: wireLie(manifest)(value.manifest) },
        };
      }
      case "error":
      case undefined:
        return response;
    }
  };
  const methods: Readonly<Record<string, (bytes: Uint8Array) => Uint8Array>> = {
    Fetch: (bytes) => {
      const message = decodeMessage(FetchResponseSchema, bytes);
      const response = fetched(message.response);
      return encodeMessage(FetchResponseSchema, { ...message, response });
    },
    Bucket: (bytes) =>
      encodeMessage(BucketResponseSchema, bucket(decodeMessage(BucketResponseSchema, bytes))),
    Bodies: (bytes) =>
      encodeMessage(BodiesResponseSchema, bodies(decodeMessage(BodiesResponseSchema, bytes))),
    GetHead: (bytes) => {
      const message = decodeMessage(GetHeadResponseSchema, bytes);
      return encodeMessage(GetHeadResponseSchema, { ...message, head: head(message.head) });
    },
    GetManifest: (bytes) => {
      const message = decodeMessage(GetManifestResponseSchema, bytes);
      const replaced = wireLie(manifest)(message.manifest);
      return encodeMessage(GetManifestResponseSchema, { ...message, manifest: replaced });
    },
    Exchange: (bytes) => {
      const message = decodeMessage(ExchangeResponseSchema, bytes);
      const { response } = message;
      if (response.case !== "evaluate") return bytes;
      const value = evaluate(response.value);
      return encodeMessage(ExchangeResponseSchema, {
        ...message,
        response: { case: "evaluate", value },
      });
    },
    Evaluate: (bytes) =>
      encodeMessage(EvaluateResponseSchema, evaluate(decodeMessage(EvaluateResponseSchema, bytes))),
  };
  return onResponses((bytes, travel) => {
    const change = methods[methodName(travel)];
    return change === undefined ? other(bytes, travel) : change(bytes);
  });
}

/** What of a directory server's answers is replaced. */
export interface DirectoryLies {
  readonly refer?: (answer: ReferAnswer) => ReferAnswer;
  readonly records?: (answer: RecordsAnswer) => RecordsAnswer;
  /** Message by message: root keys and head, then nodes, then records. */
  readonly transfer?: (chunk: TransferChunk) => TransferChunk;
}

export function directoryFaults(lies: DirectoryLies): LinkFaults {
  const { refer, records, transfer } = lies;
  return onResponses((bytes, travel) => {
    switch (methodName(travel)) {
      case "Refer":
        return refer === undefined ? bytes : encodeReferAnswer(refer(decodeReferAnswer(bytes)));
      case "GetRecords":
        return records === undefined
          ? bytes
          : encodeRecordsAnswer(records(decodeRecordsAnswer(bytes)));
      case "Transfer":
        return transfer === undefined
          ? bytes
          : encodeTransferChunk(transfer(decodeTransferChunk(bytes)));
      default:
        return bytes;
    }
  });
}

function onResponses(change: (bytes: Uint8Array, travel: Travel) => Uint8Array): LinkFaults {
  return {
    tamper: (bytes, travel) => (travel.direction === "response" ? change(bytes, travel) : bytes),
  };
}

function methodName({ method }: Travel): string {
  return method.slice(method.lastIndexOf("/") + 1);
}

function wireLie(
  lie: ((object: SignedObject) => SignedObject) | undefined,
): (wire: WireSignedObject | undefined) => WireSignedObject {
  return (wire) => {
    const object = signedObjectFromWire(wire);
    return signedObjectToWire(lie === undefined ? object : lie(object));
  };
}
