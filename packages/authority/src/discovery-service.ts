// Service `Discovery` of discovery.proto: evaluates blinded elements for clients with a certificate. It
// learns who asks and how many, never which identifiers (requirement 14). Arithmetic runs in the engine.

import { elementBytes, splitElements } from "@whither/crypto";
import { DiscoveryError, isDiscoveryError, limits } from "@whither/protocol";
import {
  implementService,
  type CallContext,
  type ServerDuplex,
  type ServiceRegistration,
} from "@whither/rpc";
import { silentLogger, type Logger } from "@whither/runtime";
import { Discovery, type EvaluateRequest, type ExchangeRequest } from "@whither/wire";
import type { Admission, AdmittedClient } from "./admission.js";
import { encodeCorrelated, encodeEvaluateResponse, exchangeCases } from "./mapping/raw-messages.js";
import { errorBytes, zoneOf, type ServedZones } from "./zone-service.js";

/** CPU time reserved for an element, a little above what one takes (2,300 a second). */
const elementMs = 0.5;
/** CPU time charged for an element of a batch that was found wrong: it was decoded before. */
const refusedElementMs = 0.1;
/**
 * Refusals in a row after which a stream ends. Each costs a decoded message and an answer that no limit counts;
 * a client that heeds `retry_after_s` has at most its 64 requests in flight refused.
 */
const refusalsInRowMax = 256;

export interface DiscoveryServiceOptions {
  readonly zones: ServedZones;
  readonly admission: Admission;
  readonly logger?: Logger;
}

/** The service, for the port that demands client certificates. */
export function createDiscoveryService(options: DiscoveryServiceOptions): ServiceRegistration {
  return implementService(Discovery, {
    evaluate: (request, context) => {
      const client = options.admission.identify(context);
      return answerEvaluate(options, { request, client, signal: context.signal });
    },
    exchange: { callback: (context, stream) => serveExchange(options, context, stream) },
  });
}

/** Answers by id, in any order; no more than 64 at work for one stream, dropped when it ends. */
function serveExchange(
  options: DiscoveryServiceOptions,
  context: CallContext,
  stream: ServerDuplex<ExchangeRequest, Uint8Array>,
): void {
  const { admission, logger = silentLogger } = options;
  const { signal } = context;
  const client = admission.identify(context);
  let waiting = 0;
  let halfClosed = false;
  let refusalsInRow = 0;
  let ended = false;
  const answer = async (
    request: ExchangeRequest["request"],
  ): Promise<{ readonly field: number; readonly bytes: Uint8Array }> => {
    try {
      if (request.case === undefined) {
        throw new DiscoveryError("INVALID_DATA", "exchange: expected a request");
      }
      const bytes = await answerEvaluate(options, { request: request.value, client, signal });
      refusalsInRow = 0;
      return { field: exchangeCases.evaluate, bytes };
    } catch (error) {
      refusalsInRow += 1;
      return { field: exchangeCases.error, bytes: errorBytes(error, logger) };
    }
  };
  const serve = async ({ id, request }: ExchangeRequest): Promise<void> => {
    const response = await answer(request);
    waiting -= 1;
    if (signal.aborted || ended) return;
    stream.send(encodeCorrelated(id, response));
    if (refusalsInRow >= refusalsInRowMax) {
      ended = true;
      stream.fail(new DiscoveryError("LIMITED", "too many refused requests in a row"));
      return;
    }
    if (waiting < limits.inFlightPerPeerMax) stream.resume();
    if (halfClosed && waiting === 0) stream.end();
  };
  stream.onMessage((message) => {
    waiting += 1;
    if (waiting >= limits.inFlightPerPeerMax) stream.pause();
    void serve(message);
  });
  stream.onEnd(() => {
    halfClosed = true;
    if (waiting === 0) stream.end();
  });
}

async function answerEvaluate(
  { zones, admission }: DiscoveryServiceOptions,
  call: {
    readonly request: EvaluateRequest;
    readonly client: AdmittedClient;
    readonly signal: AbortSignal;
  },
): Promise<Uint8Array> {
  const { request, client, signal } = call;
  admission.admitRequest(client);
  const zone = zoneOf(zones, request.zone);
  const blinded = splitBatch(request.blinded);
  const count = blinded.length;
  const reservedMs = elementMs * count;
  admission.reserveCpu(client, reservedMs);
  try {
    admission.admitContacts(client, count);
  } catch (error) {
    admission.settleCpu(client, { reservedMs, spentMs: 0 });
    throw error;
  }
  try {
    const work = await zone.evaluate({ kid: request.kid, blinded }, { signal });
    admission.settleCpu(client, { reservedMs, spentMs: work.cpuMs });
    return encodeEvaluateResponse(work);
  } catch (error) {
    // Wrong elements stay paid: they cost work, and nothing honest sends them.
    const isWrong = isDiscoveryError(error, "INVALID_ELEMENT");
    if (!isWrong) admission.refundContacts(client, count);
    // A client that left may have left after the work was done.
    const spentMs = isWrong ? refusedElementMs * count : signal.aborted ? reservedMs : 0;
    admission.settleCpu(client, { reservedMs, spentMs });
    throw error;
  }
}

function splitBatch(blinded: Uint8Array): readonly Uint8Array[] {
  const count = blinded.length / elementBytes;
  if (count > limits.evaluateElementsMax) {
    const text = `at most ${limits.evaluateElementsMax} elements a batch`;
    throw new DiscoveryError("TOO_LARGE", text);
  }
  if (count < 1) throw new DiscoveryError("INVALID_DATA", "expected at least one element");
  return splitElements(blinded);
}
