// How the caches of one resolver divide `cacheBytes`: the one place, so that the sum cannot exceed it
// (protocol.md section 8). What saves a round trip most often gets most.

export interface CacheShares {
  readonly answers: number;
  readonly buckets: number;
  /** Each costs the client's quota to get again. */
  readonly evaluations: number;
  readonly bodies: number;
  readonly views: number;
  readonly verdicts: number;
  readonly failures: number;
}

const percent: CacheShares = {
  answers: 48,
  buckets: 22,
  evaluations: 14,
  bodies: 8,
  views: 3,
  verdicts: 3,
  failures: 2,
};

/** Bytes for each cache, together at most `cacheBytes`. */
export function divideCache(cacheBytes: number): CacheShares {
  const share = (of: number): number => Math.floor((cacheBytes * of) / 100);
  return {
    answers: share(percent.answers),
    buckets: share(percent.buckets),
    evaluations: share(percent.evaluations),
    bodies: share(percent.bodies),
    views: share(percent.views),
    verdicts: share(percent.verdicts),
    failures: share(percent.failures),
  };
}

/** What one cache holds now. */
export interface CacheUse {
  readonly entries: number;
  readonly bytes: number;
  readonly bytesMax: number;
}
