// What can go wrong on a link of the simulated network, and what can be listened to.
import type { Random } from "@whither/runtime";
import type { CallMetadata, Peer } from "./context.js";

export interface LinkEnds {
  /** Name the client connected as; absent: any client. */
  readonly from?: string;
  /** `host:port` of the server; absent: any server. */
  readonly to?: string;
}

export interface LinkFaults {
  /**
   * One-way delay of every message, fixed or uniform between two bounds. Order is kept within a call, as on a
   * stream; calls overtake one another.
   */
  readonly delayMs?: number | { readonly min: number; readonly max: number };
  /**
   * Share of messages that vanish, 0..1; as on a byte stream nothing follows: the call waits for its deadline, or for
   * 80 s until its connection counts as lost.
   */
  readonly dropRate?: number;
  /** Share of unary calls that arrive twice, 0..1, as through a proxy that tries again. */
  readonly duplicateRate?: number;
  /**
   * `refused`: calls fail with NETWORK at once, open ones too. `silent`: nothing arrives until the link heals;
   * calls that it has kept waiting for 80 s fail with NETWORK.
   */
  readonly partition?: "refused" | "silent";
  /** Changes a message on its way. Gets a copy; what it returns arrives. */
  readonly tamper?: (message: Uint8Array, travel: Travel) => Uint8Array;
}

/** Where a message travels. */
export interface Travel {
  readonly from: string;
  readonly to: string;
  readonly method: string;
  readonly direction: "request" | "response";
}

/**
 * All that one end receives. Of a call's beginning: the metadata, and the certificate that the client would
 * show to a server that asks for one, as a curious one does.
 */
export type TapRecord =
  | (Travel & { readonly kind: "message"; readonly bytes: Uint8Array })
  | (Travel & { readonly kind: "open"; readonly peer: Peer; readonly metadata: CallMetadata });

export interface FaultTable {
  /** Replaces the faults of a link; undefined heals it. The most specific entry counts, alone. */
  set(ends: LinkEnds, faults: LinkFaults | undefined): void;
  of(from: string, to: string): LinkFaults;
}

/** `onChange` hears of every change which links it may concern. */
export function createFaultTable(onChange: (ends: LinkEnds) => void): FaultTable {
  const entries = new Map<string, LinkFaults>();
  const keyOf = ({ from = "", to = "" }: LinkEnds): string => `${from} ${to}`;
  const of = (from: string, to: string): LinkFaults =>
    entries.get(keyOf({ from, to })) ??
    entries.get(keyOf({ to })) ??
    entries.get(keyOf({ from })) ??
    entries.get(keyOf({})) ??
    noFaults;
  return {
    set(ends, faults) {
      if (faults === undefined) entries.delete(keyOf(ends));
      else entries.set(keyOf(ends), faults);
      onChange(ends);
    },
    // Asked for every message, and most of the time there are none.
    of: (from, to) => (entries.size === 0 ? noFaults : of(from, to)),
  };
}

const noFaults: LinkFaults = {};

export function delayOf({ delayMs = 0 }: LinkFaults, random: Random): number {
  if (typeof delayMs === "number") return delayMs;
  return delayMs.min + (delayMs.max - delayMs.min) * fraction(random);
}

export function isDropped({ dropRate = 0 }: LinkFaults, random: Random): boolean {
  return dropRate > 0 && fraction(random) < dropRate;
}

export function isDuplicated({ duplicateRate = 0 }: LinkFaults, random: Random): boolean {
  return duplicateRate > 0 && fraction(random) < duplicateRate;
}

function fraction(random: Random): number {
  return random.uint32() / 2 ** 32;
}
