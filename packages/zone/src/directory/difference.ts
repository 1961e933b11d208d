// What changed between two directories, and the application of it: a mirror lays the difference over what
// it holds and believes the result by the head's digest alone (as RFC 1995 does for zones).

import {
  comparePrefixes,
  DiscoveryError,
  type Party,
  type Prefix,
  type SignedObject,
} from "@whither/protocol";
import { equalBytes } from "@whither/crypto/node";
import type { PartyName } from "@whither/wire";
import type { Directory, SignedNode, SignedRecord } from "./directory.js";
import { compareParties } from "./record-order.js";
import { isSameObject, type DirectoryTrust, type NodeTrust } from "./trust.js";
import { DirectoryVerifier, verifyNode, verifyRecord, type PartsCheck } from "./verify.js";

/** Names of what was added, removed or signed anew. */
export interface Touched {
  readonly prefixes: readonly Prefix[];
  readonly parties: readonly PartyName[];
}

/** What leads from an older directory to the present one; lists in digest order. */
export interface DirectoryDifference {
  readonly removedPrefixes: readonly Prefix[];
  readonly removedRecords: readonly PartyName[];
  readonly nodes: readonly SignedObject[];
  readonly records: readonly SignedObject[];
}

/** What differs between two directories, a new signature over the same payload included. */
export function touchedBetween(older: Directory<NodeTrust>, newer: Directory<NodeTrust>): Touched {
  const differs = (a: SignedObject | undefined, b: SignedObject | undefined): boolean =>
    a === undefined || b === undefined || !isSameObject(a, b);
  const oldRecords = recordsByName(older);
  const newRecords = recordsByName(newer);
  const prefixes = new Set([...older.nodes(), ...newer.nodes()].map(({ node }) => node.prefix));
  const names = new Map(
    [...older.records(), ...newer.records()].map(({ record }) => {
      const { kind, id } = record.party;
      return [nameKey({ kind, id }), { kind, id }] as const;
    }),
  );
  return {
    prefixes: [...prefixes].filter((prefix) =>
      differs(older.node(prefix)?.object, newer.node(prefix)?.object),
    ),
    parties: [...names]
      .filter(([key]) => differs(oldRecords.get(key)?.object, newRecords.get(key)?.object))
      .map(([, name]) => name),
  };
}

/**
 * The difference that brings a holder up to date for whom at most these names have changed. Names that
 * were never there for it are listed as removed, and do no harm.
 */
export function differenceOf(touched: Touched, current: Directory<NodeTrust>): DirectoryDifference {
  const records = recordsByName(current);
  const prefixes = touched.prefixes.toSorted(comparePrefixes);
  const parties = touched.parties.toSorted(compareParties);
  return {
    removedPrefixes: prefixes.filter((prefix) => current.node(prefix) === undefined),
    removedRecords: parties.filter((name) => !records.has(nameKey(name))),
    nodes: prefixes.flatMap((prefix) => current.node(prefix)?.object ?? []),
    records: parties.flatMap((name) => records.get(nameKey(name))?.object ?? []),
  };
}

/** Takes a difference in parts, verified record by record, and makes the new directory of it. */
export class DifferenceVerifier<T extends NodeTrust = DirectoryTrust> {
  readonly #held: Directory<T>;
  readonly #check: PartsCheck<T>;
  readonly #nodes: SignedNode[] = [];
  readonly #records: SignedRecord[] = [];
  readonly #goneNodes = new Set<Prefix>();
  readonly #goneRecords = new Set<string>();

  constructor(check: PartsCheck<T> & { readonly held: Directory<T> }) {
    this.#held = check.held;
    this.#check = check;
  }

  /**
   * Yields after each record. Throws as verifyNode and verifyRecord, and BOGUS for more than a directory
   * can hold or what is out of order.
   */
  *add(part: Partial<DirectoryDifference>): Generator<undefined, void> {
    const { nodes = [], records = [], removedPrefixes = [], removedRecords = [] } = part;
    const { nodeCount, recordCount } = this.#check.trust.head;
    for (const prefix of removedPrefixes) this.#goneNodes.add(prefix);
    for (const name of removedRecords) this.#goneRecords.add(nameKey(name));
    for (const object of nodes) {
      const node = verifyNode({ ...this.#check, object });
      const last = this.#nodes.at(-1)?.node;
      if (last !== undefined && comparePrefixes(last.prefix, node.prefix) >= 0) throw outOfOrder();
      this.#nodes.push({ node, object });
      yield;
    }
    for (const object of records) {
      const record = verifyRecord({ ...this.#check, object });
      const last = this.#records.at(-1)?.record.party;
      if (last !== undefined && compareParties(last, record.party) >= 0) throw outOfOrder();
      this.#records.push({ record, object });
      yield;
    }
    // What is gone may have come and gone in between: as many names as a directory has, twice over.
    const isTooMany =
      this.#nodes.length > nodeCount ||
      this.#records.length > recordCount ||
      this.#goneNodes.size + this.#goneRecords.size > removedMax;
    if (isTooMany) throw new DiscoveryError("BOGUS", "transfer: more changes than records");
  }

  /**
   * The directory with the changes in it. Throws BOGUS when it is not the one of the head, EXPIRED when
   * something that was kept is past its time.
   */
  *finish(): Generator<undefined, Directory<T>> {
    const whole = new DirectoryVerifier(this.#check);
    // A key that may sign no more vouches for nothing: then what was kept is verified like the rest.
    const isVouched = this.#held.trust.keys.every((key) =>
      this.#check.trust.keys.some((other) => equalBytes(key, other)),
    );
    const nodes = merged({
      held: this.#held.nodes().filter(({ node }) => !this.#goneNodes.has(node.prefix)),
      changed: this.#nodes,
      compare: (a, b) => comparePrefixes(a.node.prefix, b.node.prefix),
    });
    const records = merged({
      held: this.#held
        .records()
        .filter(({ record }) => !this.#goneRecords.has(nameKey(record.party))),
      changed: this.#records,
      compare: (a, b) => compareParties(a.record.party, b.record.party),
    });
    for (const { one, isNew } of nodes) {
      if (isNew || isVouched) yield* whole.addKnown({ nodes: [one], records: [] });
      else yield* whole.add({ nodes: [one.object], records: [] });
    }
    for (const { one, isNew } of records) {
      if (isNew || isVouched) yield* whole.addKnown({ nodes: [], records: [one] });
      else yield* whole.add({ nodes: [], records: [one.object] });
    }
    return whole.finish();
  }
}

/** Names that one difference may remove: several directories' worth would have come whole. */
const removedMax = 100_000;

function outOfOrder(): DiscoveryError {
  return new DiscoveryError("BOGUS", "transfer: changes out of order");
}

function nameKey({ kind, id }: Pick<Party, "kind" | "id">): string {
  return `${kind} ${id}`;
}

function recordsByName(directory: Directory<NodeTrust>): ReadonlyMap<string, SignedRecord> {
  return new Map(directory.records().map((one) => [nameKey(one.record.party), one]));
}

/** Two ascending lists as one; of equals the changed one. */
function* merged<T>(lists: {
  readonly held: readonly T[];
  readonly changed: readonly T[];
  readonly compare: (a: T, b: T) => number;
}): Generator<{ readonly one: T; readonly isNew: boolean }, void> {
  const { held, changed, compare } = lists;
  let at = 0;
  for (const one of held) {
    let isReplaced = false;
    for (let next = changed[at]; next !== undefined; next = changed[at]) {
      const order = compare(next, one);
      if (order > 0) break;
      isReplaced ||= order === 0;
      yield { one: next, isNew: true };
      at += 1;
    }
    if (!isReplaced) yield { one, isNew: false };
  }
  for (const one of changed.slice(at)) yield { one, isNew: true };
}
