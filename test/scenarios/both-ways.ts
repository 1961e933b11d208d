// What the scenarios share: the outcome of a call as a code, each case mirrored and walking, and the lies
// that a party with its real keys can sign.

import { concatBytes } from "@whither/crypto/node";
import {
  isDiscoveryError,
  roles,
  type Csi,
  type ErrorCode,
  type Head,
  type SignedObject,
} from "@whither/protocol";
import type { Answer, Resolver } from "@whither/resolver";
import type { Federation, FederationZone } from "@whither/testkit";
import {
  decodeHead,
  encodeHead,
  signedObjectFromWire,
  signedObjectToWire,
  type BucketResponse,
} from "@whither/wire";
import { bucketHash, padEntries, prefixOfBucket, rootOverPath, signObject } from "@whither/zone";

/** The code of the DiscoveryError that the call ends with, or "ok"; any other error passes through. */
export async function codeOf(call: Promise<unknown>): Promise<ErrorCode | "ok"> {
  try {
    await call;
    return "ok";
  } catch (error) {
    if (isDiscoveryError(error)) return error.code;
    throw error;
  }
}

/** The error of a call that must fail. */
export async function failureOf(call: Promise<unknown>): Promise<Error> {
  try {
    await call;
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error("expected a failure");
}

/** One test holding the directory, one asking for it label by label. */
export function bothWays(title: string, run: (mirror: boolean) => Promise<void>): void {
  it(`${title} (mirror)`, () => run(true));
  it(`${title} (walk)`, () => run(false));
}

/** MSPs of an answer in its order. */
export function mspsOf(answer: Answer): readonly string[] {
  return answer.mappings.map(({ msp }) => msp);
}

/** What a lookup ends with: a code, or its status and MSPs. */
export async function outcomeOf(
  resolver: Resolver,
  csi: Csi,
  options: { readonly form?: "verbose" | "compact"; readonly refresh?: boolean } = {},
): Promise<string> {
  try {
    const { status, mappings } = await resolver.lookup<"verbose" | "compact">(csi, options);
    return [status, ...mappings.map(({ msp }) => msp)].join(" ");
  } catch (error) {
    if (isDiscoveryError(error)) return error.code;
    throw error;
  }
}

/** Past what a failure is remembered for, the first time (protocol.md section 8). */
export async function forgetFailures(federation: Federation): Promise<void> {
  await federation.clock.advance(6_000);
}

export function flip(bytes: Uint8Array, at: number, bit = 1): Uint8Array {
  const copy = bytes.slice();
  copy[at < 0 ? copy.length + at : at]! ^= bit;
  return copy;
}

/** A head changed and signed again with the zone's own key. */
export function resigned(
  zone: FederationZone,
  change: (head: Head) => Head,
): (object: SignedObject) => SignedObject {
  return ({ payload }) => {
    const changed = encodeHead(change(decodeHead(payload)));
    return signObject({
      type: "head",
      role: roles.zone,
      zone: zone.zone,
      payload: changed,
      signer: zone.signer,
    });
  };
}

export const entryBytes = 68;

/** Real entries of a bucket answer, one by one. */
export function entriesOf({ entries, count }: BucketResponse): readonly Uint8Array[] {
  return Array.from({ length: count }, (_, at) =>
    entries.slice(at * entryBytes, (at + 1) * entryBytes),
  );
}

/** The answer with other entries, and nothing else made to fit. */
export function withEntries(
  answer: BucketResponse,
  entries: readonly Uint8Array[],
): BucketResponse {
  const padded = padEntries(concatBytes(...entries), answer.entries.length);
  return { ...answer, entries: padded, count: entries.length };
}

/**
 * What a DP that breaks its rules would publish: another content of the bucket, with root, size and signature
 * made to fit. Only that bucket's own path still fits.
 */
export function signedBucket(
  zone: FederationZone,
  answer: BucketResponse,
  entries: readonly Uint8Array[],
): BucketResponse {
  const object = signedObjectFromWire(answer.head);
  const { kid, b } = decodeHead(object.payload);
  const first = answer.entries[0] ?? 0;
  const index = b === 0 ? 0 : first >>> (8 - b);
  const prefix = prefixOfBucket(index, b);
  const hash = bucketHash({ zone: zone.zone, kid, b, prefix, entries: concatBytes(...entries) });
  const mapRoot = rootOverPath({ index, bucketHash: hash, siblings: answer.siblings });
  const sign = resigned(zone, (head) => ({
    ...head,
    mapRoot,
    mapSize: head.mapSize + entries.length - answer.count,
  }));
  return { ...withEntries(answer, entries), head: signedObjectToWire(sign(object)) };
}
