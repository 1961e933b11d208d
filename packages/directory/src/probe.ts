// One look at one endpoint of an authority, as a stranger: reachable under its pin, has the manifest that the
// directory names, and a head of it that is signed and in its time. Tells it nothing but its own zone, and of a
// part of the directory its apex.

import {
  DiscoveryError,
  limits,
  type Authority,
  type Endpoint,
  type Prefix,
} from "@whither/protocol";
import { createClient } from "@whither/rpc";
import type { Clock } from "@whither/runtime";
import { signedObjectFromWire, Zone } from "@whither/wire";
import {
  nodeVerifier,
  verifyHead,
  verifyManifest,
  verifyPartTrust,
  verifyReferral,
} from "@whither/zone";
import { DirectoryServer } from "./directory-server.js";
import type { OpenChannel } from "./follower.js";

export interface ProbeOptions {
  readonly authority: Pick<Authority, "kind" | "manifestSha256" | "zone">;
  /** That names the authority. */
  readonly prefix: Prefix;
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
export function probeEndpoint(options: ProbeOptions): Promise<number> {
  return options.authority.kind === "directory" ? probePart(options) : probeMappings(options);
}

/** The apex of a part, under its manifest: it must exist there and speak for itself. */
async function probePart(options: ProbeOptions): Promise<number> {
  const { authority, prefix, endpoint, caPem, openChannel, clock, signal } = options;
  const { host, publicPort: port, spkiSha256: pins } = endpoint;
  const part = { zone: authority.zone, pins };
  using server = new DirectoryServer({ from: { host, port }, caPem, openChannel, clock, part });
  const { answer } = await server.refer(prefix, { signal });
  const { manifest, head } = answer;
  if (manifest === undefined) {
    throw new DiscoveryError("KEY_MISSING", "referral: of a part, without its manifest");
  }
  const check = { nowSeconds: clock.nowSeconds(), verifier: nodeVerifier };
  const trust = verifyPartTrust({ ...check, manifest, head, part: { apex: prefix, authority } });
  verifyReferral({ ...check, asked: prefix, response: answer, trust });
  return Math.max(0, check.nowSeconds - trust.head.notBefore);
}

async function probeMappings(options: ProbeOptions): Promise<number> {
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
