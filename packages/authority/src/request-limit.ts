// Requests of one address, bounded (protocol.md section 7): a directory is asked by everybody, anonymously.

import { DiscoveryError } from "@whither/protocol";
import { addressPrefix, type ServerInterceptor } from "@whither/rpc";
import { createKeyedBuckets, type Clock, type KeyedBuckets } from "@whither/runtime";

/** Addresses remembered at once; about 200 bytes each. */
const addressesMax = 65_536;
/** What a Transfer takes: it moves a whole directory. */
const transferCost = 5;

export interface RateLimit {
  readonly interceptor: ServerInterceptor;
  /** Puts another limit in force; every address begins with a full allowance. */
  set(limit: RequestLimit): void;
}

export interface RequestLimit {
  readonly requestsPerSecond: number;
  /** At least 5. */
  readonly requestsBurst: number;
}

export function createRateLimit(limit: RequestLimit, clock: Clock): RateLimit {
  const bucketsOf = ({ requestsPerSecond, requestsBurst }: RequestLimit): KeyedBuckets =>
    createKeyedBuckets({
      ratePerSecond: requestsPerSecond,
      burst: requestsBurst,
      keysMax: addressesMax,
      clock,
    });
  let buckets = bucketsOf(limit);
  return {
    interceptor: (context, next) => {
      const amount = context.methodKind === "server_streaming" ? transferCost : 1;
      const { ok, retryAfterSeconds } = buckets.tryTake(addressPrefix(context.address), amount);
      if (ok) return next(context);
      const text = "too many requests from this address";
      return Promise.reject(new DiscoveryError("LIMITED", text, { retryAfterSeconds }));
    },
    set: (next) => {
      buckets = bucketsOf(next);
    },
  };
}
