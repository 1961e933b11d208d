// One look at one endpoint of an authority, as a stranger: reachable under its pin, has the manifest that the
// directory names, and a head of it that is signed and in its time. Tells it nothing but its own zone.

import { DiscoveryError, limits, type Authority, type Endpoint } from "@whither/protocol";
import { createClient } from "@whither/rpc";
import type { Clock } from "@whither/runtime";
import { signedObjectFromWire, Zone } from "@whither/wire";
import { nodeVerifier, verifyHead, verifyManifest } from "@whither/zone";
import type { OpenChannel } from "./follower.js";

export interface ProbeOptions {
  readonly authority: Pick<Authority, "zone" | "manifestSha256">;
  readonly endpoint: Endpoint;
  /** PEM bundle of the only CAs trusted. */
  readonly caPem: string;
  readonly openChannel: OpenChannel;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Longest wait for one answer. */
const answerTimeoutMs = 5_000;

/**
 * Age of the head in seconds. Throws NETWORK, DEADLINE, PIN_MISMATCH when the endpoint cannot be reached as
 * the directory says, STALE for a head that resolvers would not call fresh, and as verifyManifest, verifyHead.
 */
export async function probeEndpoint(options: ProbeOptions): Promise<number> {
  const { authority, endpoint, caPem, openChannel, clock, signal } = options;
  const { zone, manifestSha256 } = authority;
  const { host, publicPort: port, spkiSha256: pins } = endpoint;
  const channel = openChannel({ host, port, caPem, pins });
  try {
    const client = createClient(Zone, channel);
    const call = { signal, timeoutMs: answerTimeoutMs };
    const answer = await client.getHead({ zone }, call);
    const headObject = signedObjectFromWire(answer.head);
    const manifests = await Promise.allSettled(
      manifestSha256.map((sha256) => client.getManifest({ zone, manifestSha256: sha256 }, call)),
    );
    // While a manifest rolls over two are named, and the head is of one of them.
    let failure: unknown;
    for (const result of manifests) {
      const nowSeconds = clock.nowSeconds();
      try {
        if (result.status === "rejected") throw result.reason;
        const object = signedObjectFromWire(result.value.manifest);
        const check = { zone, nowSeconds, verifier: nodeVerifier };
        const { manifest, sha256 } = verifyManifest({ ...check, object, manifestSha256 });
        const head = verifyHead({ ...check, object: headObject, manifest, manifestSha256: sha256 });
        return freshAge(nowSeconds - head.time);
      } catch (error) {
        failure ??= error;
      }
    }
    throw failure;
  } finally {
    channel.close();
  }
}

function freshAge(ageSeconds: number): number {
  if (ageSeconds > limits.headStaleSeconds + limits.clockSkewSeconds) {
    throw new DiscoveryError("STALE", `head: ${ageSeconds} s old`);
  }
  return Math.max(0, ageSeconds);
}
