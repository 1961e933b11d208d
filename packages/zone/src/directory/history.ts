// What changed between the directories that were served one after another: names only, so that many are
// kept for little. From it a server answers Transfer with what changed since (as RFC 1995 section 5, with
// the steps condensed into one).

import { DiscoveryError, parsePrefix, type Party } from "@whither/protocol";
import type { PartyName } from "@whither/wire";
import { z } from "zod";
import { touchedBetween, type Touched } from "./difference.js";
import type { Directory } from "./directory.js";
import type { NodeTrust } from "./trust.js";

/** Past directories remembered: four months of daily signing, or a day of withdrawals and returns. */
const stepsMax = 128;
/** Names remembered over all of them, each of some 40 bytes. */
const namesMax = 100_000;

interface Step {
  readonly epoch: number;
  readonly serial: number;
  /** What the directory after this one changed. */
  readonly touched: Touched;
}

/** Of a directory in the order of those that were served. */
export interface DirectoryPlace {
  readonly epoch: number;
  readonly serial: number;
}

/** Never mutated: the history that goes with a directory is made, and kept, before that is published. */
export class DirectoryHistory {
  readonly #steps: readonly Step[];
  readonly #head: DirectoryPlace | undefined;

  constructor(steps: readonly Step[] = [], head?: DirectoryPlace) {
    this.#steps = steps;
    this.#head = head;
  }

  /** This history and that `newer` followed `older`; without all before when `older` is not its last one. */
  followedBy(older: Directory<NodeTrust>, newer: Directory<NodeTrust>): DirectoryHistory {
    const { epoch, serial } = older.head;
    const isNext = this.#head?.epoch === epoch && this.#head.serial === serial;
    const step = { epoch, serial, touched: touchedBetween(older, newer) };
    const head = { epoch: newer.head.epoch, serial: newer.head.serial };
    return new DirectoryHistory(bounded([...(isNext ? this.#steps : []), step]), head);
  }

  /** Everything that has changed since; undefined when that directory is not remembered. */
  touchedSince({ epoch, serial }: DirectoryPlace): Touched | undefined {
    const at = this.#steps.findIndex((step) => step.epoch === epoch && step.serial === serial);
    if (at < 0) return undefined;
    const steps = this.#steps.slice(at);
    const parties = new Map<string, PartyName>();
    for (const name of steps.flatMap(({ touched }) => touched.parties)) {
      parties.set(formatName(name), name);
    }
    return {
      prefixes: [...new Set(steps.flatMap(({ touched }) => touched.prefixes))],
      parties: [...parties.values()],
    };
  }

  /** For a file beside the directory that is served. */
  format(): string {
    const steps = this.#steps.map(({ epoch, serial, touched }) => ({
      epoch,
      serial,
      prefixes: touched.prefixes,
      parties: touched.parties.map(formatName),
    }));
    return `${JSON.stringify({ version: 1, head: this.#head, steps })}\n`;
  }
}

/** The history that leads to this directory. Throws STORE_CORRUPT for another one's, or anything else. */
export function parseDirectoryHistory(
  text: string,
  current: Directory<NodeTrust>,
): DirectoryHistory {
  const { head, steps } = readHistory(text);
  const { epoch, serial } = current.head;
  if (head.epoch !== epoch || head.serial !== serial) {
    throw new DiscoveryError("STORE_CORRUPT", "history: of another directory");
  }
  return new DirectoryHistory(bounded(steps), head);
}

/** Place of the directory that a history leads to. Throws STORE_CORRUPT. */
export function directoryHistoryHead(text: string): DirectoryPlace {
  return readHistory(text).head;
}

function bounded(steps: readonly Step[]): readonly Step[] {
  let names = 0;
  const kept: Step[] = [];
  for (const step of steps.slice(-stepsMax).toReversed()) {
    names += step.touched.prefixes.length + step.touched.parties.length;
    if (names > namesMax) break;
    kept.push(step);
  }
  return kept.toReversed();
}

const counter = z.int().min(0);
const placeSchema = z.strictObject({ epoch: counter, serial: counter });
const schema = z.strictObject({
  version: z.literal(1),
  head: placeSchema,
  steps: z
    .array(
      placeSchema.extend({
        prefixes: z.array(z.string().transform(parsePrefix)),
        parties: z.array(z.string().transform(parseName)),
      }),
    )
    .max(stepsMax),
});

function readHistory(text: string): {
  readonly head: DirectoryPlace;
  readonly steps: readonly Step[];
} {
  try {
    const { head, steps } = schema.parse(JSON.parse(text));
    return {
      head,
      steps: steps.map(({ epoch, serial, ...touched }) => ({ epoch, serial, touched })),
    };
  } catch (cause) {
    throw new DiscoveryError("STORE_CORRUPT", "history: not one of ours", { cause });
  }
}

function formatName({ kind, id }: PartyName): string {
  return `${kind} ${id}`;
}

function parseName(text: string): PartyName {
  const [kind, id = "", ...more] = text.split(" ");
  if (!isKind(kind) || more.length > 0) throw new DiscoveryError("INVALID_DATA", "not a party");
  return { kind, id };
}

function isKind(text: string | undefined): text is Party["kind"] {
  return text === "dp" || text === "msp" || text === "prover" || text === "relay";
}
