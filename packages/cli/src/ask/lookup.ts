// Asks the resolver: one identifier with its failures told apart, or several as one batch in order.

import { isDiscoveryError, type Csi, type DiscoveryError } from "@whither/protocol";
import {
  failureStatus,
  type AnswerError,
  type AnswerForm,
  type FailedAnswer,
  type HopRecord,
  type LookupOptions,
} from "@whither/resolver";
import { furtherErrors } from "@whither/rpc";
import type { Clock } from "@whither/runtime";
import type { AskedResolver } from "../whither-run.js";
import type { Input } from "./inputs.js";
import type { Query } from "./query-arguments.js";
import type { Report } from "./report.js";

export interface LookupParts {
  readonly resolver: AskedResolver;
  readonly clock: Clock;
  readonly query: Query;
  readonly signal: AbortSignal;
  /** Hears each hop as it happens. */
  readonly onHop?: ((hop: HopRecord) => void) | undefined;
}

/** One identifier, verbose unless told, tried again where a failure may pass. */
export async function lookUpOne(
  input: Extract<Input, { kind: "csi" }>,
  parts: LookupParts,
): Promise<Report> {
  const { clock, query } = parts;
  const startMs = clock.monotonicMs();
  const outcome = await tryUntil(input.csi, parts, query.tries);
  return {
    input: input.input,
    place: input.place,
    csi: input.csi,
    outcome,
    rttMs: clock.monotonicMs() - startMs,
    atSeconds: clock.nowSeconds(),
  };
}

async function tryUntil(
  csi: Csi,
  parts: LookupParts,
  triesLeft: number,
): Promise<Report["outcome"]> {
  const { resolver, query, signal } = parts;
  const hops: HopRecord[] = [];
  const onHop = (hop: HopRecord): void => {
    hops.push(hop);
    parts.onHop?.(hop);
  };
  try {
    const options = { ...optionsOf(query, query.form ?? "verbose"), signal, onHop };
    return { kind: "answer", answer: await resolver.lookup(csi, options) };
  } catch (error) {
    if (!isDiscoveryError(error)) throw error;
    if (triesLeft > 1 && mayPass(error) && !signal.aborted) {
      return await tryUntil(csi, parts, triesLeft - 1);
    }
    return { kind: "failed", answer: failedAnswer(error, hops) };
  }
}

/** A limit has to be waited for, which one question does not. */
function mayPass(error: DiscoveryError): boolean {
  return error.retryable && error.code !== "LIMITED";
}

/** What lookupAll would have said of it. Bytes of a failed question are not known: its calls are. */
function failedAnswer(error: DiscoveryError, hops: readonly HopRecord[]): FailedAnswer {
  const errors = [error, ...furtherErrors(error)].map(describeError);
  const rpcs = hops.filter(({ from }) => from !== "cache" && from !== "mirror").length;
  const stats = { rpcs, bytesIn: 0, bytesOut: 0 };
  return { status: failureStatus(error), error, errors, hops, stats };
}

function describeError({ code, number, text, upstream = "" }: DiscoveryError): AnswerError {
  return { code, number, text, upstream };
}

/**
 * Several identifiers as one batch, compact unless told. Reports come in the order of the inputs, each as
 * soon as those before it are there; an input that is no identifier keeps its place.
 */
export async function* lookUpAll(
  inputs: AsyncIterable<Input>,
  parts: LookupParts,
): AsyncGenerator<Report, void> {
  const { resolver, clock, query, signal } = parts;
  // Everything read and not reported yet. The resolver reads ahead by a bounded window only.
  const pending: Input[] = [];
  async function* csis(): AsyncGenerator<Csi, void> {
    for await (const input of inputs) {
      pending.push(input);
      if (input.kind === "csi") yield input.csi;
    }
  }
  const invalidAhead = function* (): Generator<Report, void> {
    for (let next = pending[0]; next?.kind === "invalid"; next = pending[0]) {
      pending.shift();
      yield invalidReport(next, clock.nowSeconds());
    }
  };
  const options = { ...optionsOf(query, query.form ?? "compact"), signal };
  for await (const { answer } of resolver.lookupAll(csis(), options)) {
    yield* invalidAhead();
    const input = pending.shift();
    if (input?.kind !== "csi") throw new TypeError("an answer without its question");
    yield {
      input: input.input,
      place: input.place,
      csi: input.csi,
      outcome: "error" in answer ? { kind: "failed", answer } : { kind: "answer", answer },
      rttMs: undefined,
      atSeconds: clock.nowSeconds(),
    };
  }
  yield* invalidAhead();
}

function invalidReport(input: Extract<Input, { kind: "invalid" }>, atSeconds: number): Report {
  const { place, error } = input;
  const outcome = { kind: "invalid", error } as const;
  return { input: input.input, place, csi: undefined, outcome, rttMs: undefined, atSeconds };
}

function optionsOf(query: Query, form: AnswerForm): LookupOptions {
  return {
    form,
    timeoutMs: query.timeoutMs,
    checkingDisabled: query.checkingDisabled,
    ...(query.msps === undefined ? {} : { msps: query.msps }),
    ...(query.jurisdiction === undefined ? {} : { jurisdiction: query.jurisdiction }),
    ...(query.hops === undefined ? {} : { maxHops: query.hops }),
  };
}
