// The DP's offer, first message of a registration: a nonce that only this DP can have made, for this zone,
// with its expiry inside (protocol.md section 6). The DP keeps nothing until one is used.

import { DiscoveryError, limits, type ZoneName } from "@whither/protocol";
import {
  concatBytes,
  equalBytes,
  hmacSha256,
  lp,
  uint64Bytes,
  utf8,
  type RandomBytes,
} from "@whither/crypto/node";

/** expiry(8) ‖ random(16) ‖ first 24 bytes of HMAC-SHA256. */
export const offerBytes = 48;
export const offerKeyBytes = 32;
const expiryBytes = 8;
const bodyBytes = 24;
const domain = utf8("whither/offer/v1");

export interface Offer {
  /** 48 bytes, the statement's nonce_d. */
  readonly nonceD: Uint8Array;
  /** Unix seconds. */
  readonly expires: number;
}

/** A new offer, good for 15 minutes. `key` is 32 secret bytes of this DP. */
export function makeOffer(input: {
  readonly key: Uint8Array;
  readonly zone: ZoneName;
  readonly nowSeconds: number;
  readonly randomBytes: RandomBytes;
}): Offer {
  const expires = input.nowSeconds + limits.offerSeconds;
  const body = concatBytes(uint64Bytes(expires), input.randomBytes(bodyBytes - expiryBytes));
  return { nonceD: concatBytes(body, offerTag({ ...input, body })), expires };
}

/**
 * Checks that this DP made the nonce for this zone and that it has not expired; returns its expiry in
 * Unix seconds. Throws BAD_OFFER. Whether it was used before is for the caller to know.
 */
export function checkOffer(input: {
  readonly key: Uint8Array;
  readonly zone: ZoneName;
  readonly nonceD: Uint8Array;
  readonly nowSeconds: number;
}): number {
  const { nonceD } = input;
  const body = nonceD.subarray(0, bodyBytes);
  const isOurs =
    nonceD.length === offerBytes &&
    equalBytes(nonceD.subarray(bodyBytes), offerTag({ ...input, body }));
  if (!isOurs) throw new DiscoveryError("BAD_OFFER", "the offer is not of this zone");
  const view = new DataView(body.buffer, body.byteOffset, expiryBytes);
  const expires = Number(view.getBigUint64(0)); // our own value: exact
  // No clock tolerance: the same clock wrote it and reads it.
  if (input.nowSeconds >= expires) throw new DiscoveryError("BAD_OFFER", "the offer has expired");
  return expires;
}

function offerTag(input: {
  readonly key: Uint8Array;
  readonly zone: ZoneName;
  readonly body: Uint8Array;
}): Uint8Array {
  if (input.key.length !== offerKeyBytes) throw new TypeError("offer key: expected 32 bytes");
  return hmacSha256(input.key, domain, lp(input.zone), input.body).subarray(
    0,
    offerBytes - bodyBytes,
  );
}
