// Where trust anchors come from at setup: a file, or an https URL. A URL proves only what the Web's CAs prove,
// which is why its anchors need a fingerprint from the operator. Nothing is written here.

import { DiscoveryError, isDiscoveryError } from "@whither/protocol";
import { deadlineSignal, readFileBounded, type Clock } from "@whither/runtime";
import { parseAnchors, type Anchors } from "@whither/zone";
import { anchorsFingerprint } from "../anchors-fingerprint.js";

/** As the resolver's own bound: 16 keys and 16 CA certificates are far smaller. */
export const anchorsBytesMax = 1024 * 1024;
const downloadTimeoutMs = 10_000;

/** Anchors that parse; nobody has vouched for them yet. */
export interface FoundAnchors {
  readonly bytes: Uint8Array;
  readonly anchors: Anchors;
  /** 64 hex digits. */
  readonly fingerprint: string;
}

/** The part of the platform's fetch that is used; tests hand in their own. */
export type Fetch = (
  url: string,
  options: { readonly redirect: "error"; readonly signal: AbortSignal },
) => Promise<Pick<Response, "ok" | "status" | "body">>;

export interface DownloadOptions {
  readonly fetch: Fetch;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export function isUrl(source: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(source);
}

/**
 * Reads anchors from a path or an https URL. Throws CONFIG for what is neither or holds no anchors, NETWORK,
 * DEADLINE and TOO_LARGE for a download.
 */
export async function findAnchors(source: string, options: DownloadOptions): Promise<FoundAnchors> {
  const bytes = isUrl(source)
    ? await download(source, options)
    : await readFileBounded(source, { bytesMax: anchorsBytesMax });
  const anchors = parseAnchors(new TextDecoder().decode(bytes));
  return { bytes, anchors, fingerprint: anchorsFingerprint(bytes) };
}

async function download(
  url: string,
  { fetch, clock, signal }: DownloadOptions,
): Promise<Uint8Array> {
  if (!url.toLowerCase().startsWith("https://")) {
    throw new DiscoveryError("CONFIG", "anchors: expected a file or an https: URL");
  }
  using deadline = deadlineSignal(clock, downloadTimeoutMs, signal);
  try {
    // A redirection could lead to http: or to another party than the one that the user named.
    const response = await fetch(url, { redirect: "error", signal: deadline.signal });
    if (!response.ok) {
      throw new DiscoveryError("NETWORK", `anchors: the server answered ${response.status}`);
    }
    return await readBounded(response.body, deadline.signal);
  } catch (cause) {
    deadline.signal.throwIfAborted();
    if (isDiscoveryError(cause)) throw cause;
    throw new DiscoveryError("NETWORK", "anchors: could not be downloaded", { cause });
  }
}

/** The lengths that a server announces are its own words; what has come is counted. */
async function readBounded(body: Response["body"], signal: AbortSignal): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let total = 0;
  for await (const chunk of (body ?? []) as AsyncIterable<Uint8Array>) {
    // a web stream iterates in Node
    signal.throwIfAborted();
    total += chunk.length;
    if (total > anchorsBytesMax) {
      throw new DiscoveryError("TOO_LARGE", `anchors: more than ${anchorsBytesMax} bytes`);
    }
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks));
}
