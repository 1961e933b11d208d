// Encoding and decoding of whole messages, with the failures of the error registry. Bytes that are
// already encoded pass through untouched.
import { create, fromBinary, isMessage, toBinary } from "@bufbuild/protobuf";
import type { DescMessage, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { DiscoveryError } from "@whither/protocol";

/** Decoding and encoding of one method: identity on the raw side. */
export interface MethodCodec {
  readonly decode: (bytes: Uint8Array) => unknown;
  readonly encode: (response: unknown) => Uint8Array;
}

export interface CodecOptions {
  /** Server the bytes came from or go to; absent on the server's side. */
  readonly upstream?: string;
}

export function encodeMessage<D extends DescMessage>(
  schema: D,
  message: MessageInitShape<D> | Uint8Array,
): Uint8Array {
  if (message instanceof Uint8Array) return message;
  return toBinary(schema, isMessage(message, schema) ? message : create(schema, message));
}

/**
 * Bytes fields of the result are views on `bytes`: who keeps one of them keeps the whole message.
 *
 * @throws DiscoveryError INVALID_DATA
 */
export function decodeMessage<D extends DescMessage>(
  schema: D,
  bytes: Uint8Array,
  { upstream }: CodecOptions = {},
): MessageShape<D> {
  try {
    return fromBinary(schema, bytes);
  } catch (cause) {
    throw new DiscoveryError("INVALID_DATA", "a message could not be parsed", {
      cause,
      ...(upstream === undefined ? {} : { upstream }),
    });
  }
}
