// What became of registrations, and the wait until their zones have published them.

import { isDiscoveryError, type DiscoveryError, type ZoneName } from "@whither/protocol";
import type { ZoneRegistration } from "@whither/msp";
import type { Clock } from "@whither/runtime";
import type { JsonLine } from "../json-lines.js";
import type {
  RegisteredMapping,
  RegistrationRequest,
  RegistrationSession,
} from "./registration-session.js";
import { inOrder } from "./in-order.js";

export interface RegistrationOutcome {
  readonly line: number;
  readonly request: RegistrationRequest;
  readonly mappings: readonly RegisteredMapping[];
  /** Why it stopped before all MSPs were done; or why the wait for the publication failed. */
  readonly error: DiscoveryError | undefined;
  /** Serial of the head that first held the last statement, by zone; only after a wait. */
  readonly published: ReadonlyMap<ZoneName, number>;
}

/** A refusal is an outcome; what is not expected to fail is thrown. */
export async function registerOne(
  session: RegistrationSession,
  { line, value: request }: JsonLine<RegistrationRequest>,
  { signal }: { readonly signal: AbortSignal },
): Promise<RegistrationOutcome> {
  const mappings: RegisteredMapping[] = [];
  const onMapping = (mapping: RegisteredMapping): void => void mappings.push(mapping);
  const published = new Map<ZoneName, number>();
  try {
    await session.register(request, { signal, onMapping });
    return { line, request, mappings, error: undefined, published };
  } catch (error) {
    if (!isDiscoveryError(error)) throw error;
    return { line, request, mappings, error, published };
  }
}

const concurrentWaits = 4;
const limitedPauseMs = 1_000;

/**
 * Waits until every registration is published. The last one of each zone is waited for first: the others
 * are published with or before it, so that each costs one question and not one a second.
 */
export async function* waitForAll(
  outcomes: readonly RegistrationOutcome[],
  context: { readonly signal: AbortSignal; readonly clock: Clock },
): AsyncGenerator<RegistrationOutcome, void> {
  const last = new Map<ZoneName, ZoneRegistration>();
  for (const outcome of outcomes) for (const one of lastOfEach(outcome)) last.set(one.zone, one);
  await Promise.allSettled([...last.values()].map((one) => published(one, context)));
  const work = (outcome: RegistrationOutcome) => waitForOne(outcome, context);
  yield* inOrder(outcomes, { concurrency: concurrentWaits, work });
}

async function waitForOne(
  outcome: RegistrationOutcome,
  context: { readonly signal: AbortSignal; readonly clock: Clock },
): Promise<RegistrationOutcome> {
  const serials = new Map<ZoneName, number>();
  try {
    for (const one of lastOfEach(outcome)) serials.set(one.zone, await published(one, context));
    return { ...outcome, published: serials };
  } catch (error) {
    if (!isDiscoveryError(error)) throw error;
    return { ...outcome, published: serials, error: outcome.error ?? error };
  }
}

/** The last statement of each zone: it stands in the place of those before it. */
function lastOfEach({ mappings }: RegistrationOutcome): readonly ZoneRegistration[] {
  const byZone = new Map<ZoneName, ZoneRegistration>();
  for (const { registered } of mappings) for (const one of registered) byZone.set(one.zone, one);
  return [...byZone.values()];
}

/** The DP may be busy with this client's own questions: then wait as it says. */
async function published(
  registration: ZoneRegistration,
  context: { readonly signal: AbortSignal; readonly clock: Clock },
): Promise<number> {
  const { signal, clock } = context;
  for (;;) {
    try {
      return await registration.waitPublished({ signal });
    } catch (error) {
      if (!isDiscoveryError(error, "LIMITED")) throw error;
      await clock.sleep((error.retryAfterSeconds ?? 0) * 1000 + limitedPauseMs, { signal });
    }
  }
}
