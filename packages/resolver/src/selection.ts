// What of a proven result the caller may use: the MSP filter, the holder's flags EXCLUSIVE and SAME_APP_ONLY,
// and the choice that stays (protocol.md sections 5 and 6, requirements 7 and 10). Pure.

import type { MspId } from "@whither/protocol";
import type { AnswerForm, AnswerMapping, AnswerWarning } from "./answer.js";
import type { Remembered } from "./choice-memory.js";
import type { Content } from "./holders.js";
import type { Merged } from "./merge.js";
import type { Selection } from "./proven-answer.js";

export interface SelectionOptions {
  readonly msps: ReadonlySet<string> | undefined;
  readonly ownMsp: string | undefined;
  readonly remembered: Remembered | undefined;
  /** Keyed hashes of the keys of this result's holder; none: no key is known. */
  readonly holders: readonly string[];
  readonly nowSeconds: number;
}

export function select<F extends AnswerForm>(
  merged: Merged<F>,
  options: SelectionOptions,
): Selection<F> {
  const usable = usableOf(merged.content, options);
  return {
    merged,
    leftOut: merged.content.mappings.length - usable.length,
    choice: merged.form === "compact" ? undefined : chosen(usable, options.remembered?.msp),
    warnings: [...merged.warnings, ...warningsOf(merged, usable.length, options)],
    mappings: usable,
  };
}

function usableOf<F extends AnswerForm>(
  { mappings, sameAppOnly, exclusive, firstPreference }: Content<F>,
  { msps, ownMsp }: Pick<SelectionOptions, "msps" | "ownMsp">,
): readonly AnswerMapping<F>[] {
  const all: readonly AnswerMapping<F>[] = mappings;
  const usable = all.filter(
    (mapping) =>
      // The flags are the holder's, and only a slot that was opened has them.
      !(exclusive && "preference" in mapping && mapping.preference !== firstPreference) &&
      !(sameAppOnly && mapping.msp !== ownMsp) &&
      (msps === undefined || msps.has(mapping.msp)),
  );
  return usable.length === all.length ? all : usable; // one array instead of two in every cached answer
}

function chosen<F extends AnswerForm>(
  usable: readonly AnswerMapping<F>[],
  remembered: MspId | undefined,
): AnswerMapping<F> | undefined {
  return usable.find(({ msp }) => msp === remembered) ?? usable[0];
}

function warningsOf(
  merged: Merged,
  count: number,
  { remembered, holders, nowSeconds }: SelectionOptions,
): readonly AnswerWarning[] {
  const { proof, complete, dps, content } = merged;
  const { verified, mappings } = content;
  const warnings: AnswerWarning[] = [];
  const upstream = proof.zone;
  if (!verified) warnings.push({ code: "UNVALIDATED", text: "signatures do not verify", upstream });
  if (remembered === undefined) return warnings;
  const knewHolder = remembered.holder !== "";
  const isOther = holders.length > 0 && knewHolder && !holders.includes(remembered.holder);
  if (isOther && count > 0) {
    warnings.push({
      code: "HOLDER_KEY_CHANGED",
      text: "another holder key than at the last lookup",
      upstream,
    });
  }
  // A statement that removes is a signed reason; plain absence before its time is none, nor is what a key
  // signed that anybody could have made.
  const isGone = dps.every((dp) => dp.outcome === "absent") || (isOther && mappings.length === 0);
  const isProven = complete.answered === complete.asked;
  if (isGone && isProven && remembered.until > nowSeconds) {
    warnings.push({ code: "VANISHED", text: "gone before its time, unsigned", upstream });
  }
  return warnings;
}
