// `+trace`: one line a hop, with what the server that was asked has learnt by it.

import type { HopRecord } from "@whither/resolver";
import { printable } from "./printable.js";

/** `tel:+49  serial 7  learnt …  from mirror  verified  0 ms  told nothing` */
export function hopLine(hop: HopRecord): string {
  const { prefix, serial, learnt, from, verdict, rttMs, told } = hop;
  return [
    prefix,
    `serial ${serial ?? "-"}`,
    `learnt: ${printable(learnt)}`,
    `from: ${printable(from)}`,
    verdict,
    `${rttMs < 10 ? rttMs.toFixed(1) : Math.round(rttMs)} ms`,
    `told: ${printable(told)}`,
  ].join("  ");
}
