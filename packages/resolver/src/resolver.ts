// The public face of a resolver: options checked, a cached answer given at once, everything else handed to
// resolution.ts. How a resolver is put together is create-resolver.ts.

import { DiscoveryError, type Csi, type MspId } from "@whither/protocol";
import { certificateNotAfter, furtherErrors } from "@whither/rpc";
import { answerError, type Answer, type AnswerForm, type BatchItem } from "./answer.js";
import type { Attempt } from "./authorities.js";
import type { Evidence } from "./evidence.js";
import { readNextIdentity, type ClientIdentity } from "./client-identity.js";
import { asError, failureStatus, requireDiscoveryError } from "./failure.js";
import { lookupAll } from "./lookup-all.js";
import { checkLookupOptions, type LookupOptions } from "./options.js";
import type { Peers } from "./peers.js";
import { Trace } from "./query.js";
import { resolve, type ResolvingParts } from "./resolution.js";
import type { ResolverCache } from "./resolver-cache.js";
import type { InfraRow, ServerChoice } from "./server-choice.js";

export interface Resolver extends AsyncDisposable {
  /**
   * By which MSPs the holder of an identifier can be reached, proven; verbose unless told (Req 15). Throws
   * DiscoveryError where nothing could be proven (`failureStatus` tells bogus, refused, unreachable),
   * NOT_AVAILABLE for options of later versions, CANCELLED and DEADLINE with the signal; TypeError for
   * options out of range.
   */
  lookup<F extends AnswerForm = "verbose">(
    csi: Csi,
    options?: LookupOptions<F>,
  ): Promise<Answer<F>>;
  /**
   * A whole address book as one batch, compact unless told: elements share Evaluates, items come in the
   * order of `csis` as soon as those before them are there. A failed contact is an item with status
   * `bogus`, `refused` or `unreachable`; where a DP limits, the batch waits. Leaving the loop stops the rest.
   */
  lookupAll<F extends AnswerForm = "compact">(
    csis: Iterable<Csi> | AsyncIterable<Csi>,
    options?: LookupOptions<F>,
  ): AsyncIterableIterator<BatchItem<F>>;
  /** The user's own choice for a contact, kept until that MSP disappears; undefined forgets it. */
  choose(csi: Csi, msp: MspId | undefined, options?: { readonly account?: string }): void;
  /** What zones signed or served that they must not have, oldest first. */
  evidence(): readonly Evidence[];
  /** What is known of the servers asked so far: round trips, silence, limits, probes to come. */
  infra(): readonly InfraRow[];
  /** What the caches hold, for operators. */
  readonly cache: ResolverCache;
  /**
   * Another client certificate and key while lookups run: what is asked from now on shows it, what has been asked
   * is answered on the connections before. Throws CONFIG for one that cannot be read, is not its key's or is outside
   * its time; the one in use then stays.
   */
  replaceIdentity(identity: ClientIdentity): Promise<void>;
  /** End of the client certificate in use, Unix seconds; undefined without one. */
  identityNotAfter(): number | undefined;
  /** Ends connections and background work and writes the state files. Throws STORE, STORE_LOCKED. */
  close(): Promise<void>;
}

export interface ResolverParts extends ResolvingParts {
  readonly choice: ServerChoice;
  readonly peers: Peers;
  readonly introspection: ResolverCache;
  readonly close: () => Promise<void>;
}

/** Puts the public face on assembled parts. */
export function createResolverOf(parts: ResolverParts): Resolver {
  const { cache, failures, choices, evidence, choice, introspection, peers, clock } = parts;
  const prefetch = (form: AnswerForm, csi: Csi): void => parts.renewals.prefetch(form, csi);
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => (closing ??= parts.close());
  const closed = (): DiscoveryError => new DiscoveryError("CANCELLED", "the resolver is closed");
  return {
    lookup: <F extends AnswerForm = "verbose">(csi: Csi, given?: LookupOptions<F>) => {
      const options: LookupOptions<F> = given ?? noOptions;
      const form = options.form ?? ("verbose" as F); // the default of F
      try {
        if (given !== undefined) checkLookupOptions(given);
      } catch (error) {
        return Promise.reject(asError(error));
      }
      if (closing !== undefined) return Promise.reject(closed());
      const cached = cache.hit(form, csi, prefetch);
      if (cached !== undefined && isPlain(options)) return cached.settled;
      const trace = new Trace(options.onHop);
      return resolve(parts, { csi, form, options, patient: false, trace });
    },
    lookupAll: <F extends AnswerForm = "compact">(
      csis: Iterable<Csi> | AsyncIterable<Csi>,
      options: LookupOptions<F> = noOptions,
    ) => {
      checkLookupOptions(options);
      if (closing !== undefined) throw closed();
      const form = options.form ?? ("compact" as F); // the default of F
      return lookupAll<F>(csis, options.signal, async (csi, signal) => {
        const trace = new Trace(options.onHop);
        const attempt = { csi, form, options: { ...options, signal }, patient: true, trace };
        return { csi, answer: await resolveItem(parts, attempt) };
      });
    },
    choose: (csi, msp, { account = "" } = {}) => {
      const key = choices.key(csi, account);
      if (msp === undefined) choices.forget(key);
      else choices.set(key, { holder: "", until: 0, ...choices.get(key), msp });
      cache.forget(csi);
      failures.forget(csi);
    },
    evidence: () => evidence.records,
    infra: () => choice.rows(),
    cache: introspection,
    replaceIdentity: async (given) => {
      const identity = await readNextIdentity(given, clock.nowSeconds());
      peers.replaceIdentity(identity);
      // What a server refused to the one before, or kept from it, says nothing about this one.
      introspection.flush({ kind: "failures" });
    },
    identityNotAfter: () =>
      peers.identity === undefined ? undefined : certificateNotAfter(peers.identity.certPem),
    close,
    [Symbol.asyncDispose]: close,
  };
}

const noOptions = {};

/** Whether the cached answer is just what these options ask for. */
function isPlain(options: LookupOptions): boolean {
  return (
    options.msps === undefined &&
    options.ownMsp === undefined &&
    options.account === undefined &&
    options.onHop === undefined &&
    options.refresh !== true &&
    options.checkingDisabled !== true &&
    options.signal?.aborted !== true
  );
}

async function resolveItem<F extends AnswerForm>(
  parts: ResolverParts,
  attempt: Attempt<F>,
): Promise<BatchItem<F>["answer"]> {
  const { csi, form, options, trace } = attempt;
  const prefetch = (): void => parts.renewals.prefetch(form, csi);
  const cached = isPlain(options) ? parts.cache.hit(form, csi, prefetch) : undefined;
  if (cached !== undefined) return cached.answer;
  try {
    return await resolve(parts, attempt);
  } catch (thrown) {
    const error = requireDiscoveryError(thrown);
    if (options.signal?.aborted === true) throw error;
    const { hops, stats } = trace;
    const errors = [error, ...furtherErrors(error)].map((each) => answerError(each, ""));
    return { status: failureStatus(error), error, errors, hops, stats };
  }
}
