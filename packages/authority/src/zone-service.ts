// Service `Zone` of zone.proto: heads, manifests, buckets and bodies for everybody. It holds no key and
// learns nothing of who reads; an address is only counted for its bytes. Answers are stored bytes.

import { DiscoveryError, limits } from "@whither/protocol";
import {
  implementService,
  toErrorDetail,
  type CallContext,
  type ServerDuplex,
  type ServiceRegistration,
} from "@whither/rpc";
import { silentLogger, type Clock, type Logger } from "@whither/runtime";
import {
  ErrorDetailSchema,
  Zone,
  type BodiesRequest,
  type BucketRequest,
  type FetchRequest,
  type GetHeadRequest,
  type GetManifestRequest,
  type ZoneTransferRequest,
  type ZoneWatchRequest,
} from "@whither/wire";
import { encodeMessage } from "@whither/rpc";
import type { Admission } from "./admission.js";
import type { ReadableZone } from "./mapping/mapping-zone.js";
import { encodeCorrelated, fetchCases } from "./mapping/raw-messages.js";
import { TransferServer } from "./replica/transfer-server.js";
import { ZoneWatchers } from "./replica/zone-watchers.js";

const hashBytes = 32;
/** Charged before a request is looked at, so that none is free, whatever its answer. */
const requestBytes = 256;

/** The mapping zones of a process by name. */
export type ServedZones = ReadonlyMap<string, ReadableZone>;

export interface ZoneServiceOptions {
  readonly zones: ServedZones;
  readonly admission: Pick<Admission, "admitBytes" | "chargeBytes">;
  /** Whoever waits for heads; its own unless told. */
  readonly watchers?: ZoneWatchers;
  readonly clock: Clock;
  readonly logger?: Logger;
}

type Answer = Uint8Array | Promise<Uint8Array>;

/** The service, for the public port. */
export function createZoneService(options: ZoneServiceOptions): ServiceRegistration {
  const { zones, admission, clock, watchers = new ZoneWatchers(options.clock) } = options;
  const transfers = new TransferServer({ admission, clock });
  const unary =
    <Request>(answer: (request: Request) => Answer) =>
    async (request: Request, { address }: CallContext): Promise<Uint8Array> => {
      admission.admitBytes(address, requestBytes);
      const bytes = await answer(request);
      admission.chargeBytes(address, bytes.length);
      return bytes;
    };
  return implementService(Zone, {
    fetch: { callback: (context, stream) => serveFetch(options, context, stream) },
    bucket: unary((request: BucketRequest) => answerBucket(zones, request)),
    bodies: unary((request: BodiesRequest) => answerBodies(zones, request)),
    getHead: unary(({ zone, kid }: GetHeadRequest) => zoneOf(zones, zone).headResponse(kid)),
    getManifest: unary((request: GetManifestRequest) =>
      zoneOf(zones, request.zone).manifestResponse(request.manifestSha256),
    ),
    transfer: async function* ({ from }: ZoneTransferRequest, context) {
      admission.admitBytes(context.address, requestBytes);
      if (from === undefined)
        throw new DiscoveryError("INVALID_DATA", "transfer: expected a place");
      const tree = zoneOf(zones, from.zone).holdTree(from.kid);
      for await (const part of transfers.serve({ tree, from }, context)) yield { part };
    },
    watch: (request: ZoneWatchRequest, context) => {
      admission.admitBytes(context.address, requestBytes);
      return watchers.watch(zoneOf(zones, request.zone), context);
    },
  });
}

/** The zone of a request. Throws NOT_AUTHORITATIVE. */
export function zoneOf(zones: ServedZones, name: string): ReadableZone {
  const zone = zones.get(name);
  if (zone === undefined)
    throw new DiscoveryError("NOT_AUTHORITATIVE", "not a zone of this server");
  return zone;
}

/** Answers by id, in any order; what needs no waiting is answered at once. */
function serveFetch(
  { zones, admission, logger = silentLogger }: ZoneServiceOptions,
  { address, signal }: CallContext,
  stream: ServerDuplex<FetchRequest, Uint8Array>,
): void {
  let waiting = 0;
  let halfClosed = false;
  const send = (id: bigint, field: number, bytes: Uint8Array): void => {
    admission.chargeBytes(address, bytes.length);
    stream.send(encodeCorrelated(id, { field, bytes }));
  };
  const sendError = (id: bigint, error: unknown): void => {
    stream.send(
      encodeCorrelated(id, { field: fetchCases.error, bytes: errorBytes(error, logger) }),
    );
  };
  const later = async (id: bigint, field: number, answer: Promise<Uint8Array>): Promise<void> => {
    try {
      const bytes = await answer;
      if (!signal.aborted) send(id, field, bytes);
    } catch (error) {
      if (!signal.aborted) sendError(id, error);
    } finally {
      waiting -= 1;
      if (waiting < limits.inFlightPerPeerMax) stream.resume();
      if (halfClosed && waiting === 0) stream.end();
    }
  };
  stream.onMessage(({ id, request }) => {
    try {
      admission.admitBytes(address, requestBytes);
      const { field, answer } = answerFetch(zones, request);
      if (answer instanceof Uint8Array) {
        send(id, field, answer);
        return;
      }
      waiting += 1;
      if (waiting >= limits.inFlightPerPeerMax) stream.pause();
      void later(id, field, answer);
    } catch (error) {
      sendError(id, error);
    }
  });
  stream.onEnd(() => {
    halfClosed = true;
    if (waiting === 0) stream.end();
  });
}

function answerFetch(
  zones: ServedZones,
  request: FetchRequest["request"],
): { readonly field: number; readonly answer: Answer } {
  switch (request.case) {
    case "bucket":
      return { field: fetchCases.bucket, answer: answerBucket(zones, request.value) };
    case "bodies":
      return { field: fetchCases.bodies, answer: answerBodies(zones, request.value) };
    case "head": {
      const { zone, kid } = request.value;
      return { field: fetchCases.head, answer: zoneOf(zones, zone).headResponse(kid) };
    }
    case "manifest": {
      const { zone, manifestSha256 } = request.value;
      const answer = zoneOf(zones, zone).manifestResponse(manifestSha256);
      return { field: fetchCases.manifest, answer };
    }
    case undefined:
      throw new DiscoveryError("INVALID_DATA", "fetch: expected a request");
  }
}

function answerBucket(zones: ServedZones, request: BucketRequest): Uint8Array {
  const { zone, kid, b, prefix } = request;
  return zoneOf(zones, zone).bucketResponse({ kid, b, prefix });
}

function answerBodies(zones: ServedZones, { zone, vhashes }: BodiesRequest): Promise<Uint8Array> {
  return zoneOf(zones, zone).bodiesResponse(splitHashes(vhashes));
}

/** 1..128 hashes in ascending order: the order must not tell which of them is the wanted one. */
function splitHashes(joined: Uint8Array): readonly Uint8Array[] {
  const count = joined.length / hashBytes;
  if (count > limits.bodiesPerRequestMax) {
    throw new DiscoveryError("TOO_LARGE", `at most ${limits.bodiesPerRequestMax} bodies a request`);
  }
  if (!Number.isInteger(count) || count < 1) {
    throw new DiscoveryError("INVALID_DATA", "vhashes: expected whole hashes of 32 octets");
  }
  const hashes = Array.from({ length: count }, (_, n) =>
    joined.subarray(n * hashBytes, (n + 1) * hashBytes),
  );
  const ascends = hashes.every((hash, n) => {
    const before = hashes[n - 1];
    return before === undefined || Buffer.compare(before, hash) < 0;
  });
  if (!ascends) throw new DiscoveryError("INVALID_DATA", "vhashes: expected ascending order");
  return hashes;
}

/** An encoded ErrorDetail; what is not a coded failure is logged and says nothing to the peer. */
export function errorBytes(error: unknown, logger: Logger): Uint8Array {
  const coded =
    error instanceof DiscoveryError
      ? error
      : new DiscoveryError("INTERNAL", "the server failed", { cause: error });
  if (coded.code === "INTERNAL") logger.error("request failed", { error });
  return encodeMessage(ErrorDetailSchema, toErrorDetail(coded));
}
