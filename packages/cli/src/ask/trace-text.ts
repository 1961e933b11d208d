// `+trace`: one line a hop, with what the server that was asked has learnt by it.

import type { HopRecord } from "@whither/resolver";
import { printable } from "./printable.js";

/** `tel:+49  serial 7  learnt …  from mirror  verified  0 ms  told nothing` */
export function hopLine(hop: HopRecord): string {
  const { prefix, serial, learnt, verdict, rttMs, told } = hop;
  return [
    prefix,
    `serial ${serial ?? "-"}`,
    `learnt: ${printable(learnt)}`,
    `from: ${printable(serverText(hop))}`,
    verdict,
    `${rttMs < 10 ? rttMs.toFixed(1) : Math.round(rttMs)} ms`,
    `told: ${printable(told)}`,
  ].join("  ");
}

/** `replica.example:7364 (replica of Else Ltd)`: by which path, and who runs it if not the DP. */
function serverText({ from, path, operator }: HopRecord): string {
  if (path === undefined) return from;
  return operator === undefined ? `${from} (${path})` : `${from} (${path}, run by ${operator})`;
}
