// Randomness that a seed repeats, so that a failing random test can be run again. Never for keys that
// matter: whoever knows the 32-bit seed knows everything.
import { randomBelow, type Random } from "@whither/runtime";

export interface SeededRandom extends Random {
  /** What to print when a test fails. */
  readonly seed: number;
  /** Uniform integer 0..below-1. */
  below(below: number): number;
  /** One of the items. */
  pick<T>(items: readonly [T, ...T[]]): T;
}

/** sfc32 (Doty-Humphrey, PractRand): passes PractRand far beyond what a test draws. */
export function createSeededRandom(seed: number): SeededRandom {
  if (!Number.isInteger(seed) || seed < 0 || seed > 0xffff_ffff) {
    throw new TypeError(`seeded random: expected a seed of 0..2^32-1, got ${seed}`);
  }
  let [a, b, c, counter] = [seed | 0, (seed ^ 0x9e3779b9) | 0, 0x5851f42d, 1];
  const uint32 = (): number => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + sum) | 0;
    return sum >>> 0;
  };
  // Seeds that differ in one bit must not begin alike.
  for (let round = 0; round < 16; round += 1) uint32();

  const bytes = (n: number): Uint8Array => Uint8Array.from({ length: n }, () => uint32() & 0xff);
  const below = (limit: number): number => randomBelow({ bytes, uint32 }, limit);
  return {
    seed,
    uint32,
    bytes,
    below,
    pick: (items) => items[below(items.length)] ?? items[0],
  };
}
