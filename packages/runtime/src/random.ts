// Randomness as a capability. The system source is the operating system's; tests hand in a seeded one
// (testkit), which must never reach a key.
import { randomFillSync } from "node:crypto";

export interface Random {
  /** `n` fresh bytes, 0..65536. */
  bytes(n: number): Uint8Array;
  /** Uniform integer 0..2^32-1. */
  uint32(): number;
}

const bytesMax = 65_536;

// A call for four bytes costs as much as one for a page. Only numbers are drawn ahead, never bytes of a
// key, and each is wiped when it is given.
const numbers = new Uint32Array(1024);
let numbersLeft = 0;

function nextUint32(): number {
  if (numbersLeft === 0) {
    randomFillSync(numbers);
    numbersLeft = numbers.length;
  }
  numbersLeft -= 1;
  const number = numbers[numbersLeft] ?? 0;
  numbers[numbersLeft] = 0;
  return number;
}

/** node:crypto's generator, seeded by the operating system: fit for keys, nonces and blinds. */
export const systemRandom: Random = {
  bytes: (n) => {
    if (!Number.isInteger(n) || n < 0 || n > bytesMax) {
      throw new TypeError(`random bytes: expected 0..${bytesMax}, got ${n}`);
    }
    return randomFillSync(new Uint8Array(n));
  },
  uint32: nextUint32,
};

/** Uniform integer 0..below-1, without the bias of a plain remainder. `below` is 1..2^32. */
export function randomBelow(random: Random, below: number): number {
  if (!Number.isInteger(below) || below < 1 || below > 2 ** 32) {
    throw new TypeError(`random integer: expected a bound of 1..2^32, got ${below}`);
  }
  const limit = 2 ** 32 - (2 ** 32 % below);
  for (;;) {
    const value = random.uint32();
    if (value < limit) return value % below;
  }
}
