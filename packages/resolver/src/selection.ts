// What of a proven result the caller may use: the MSP filter, the holder's flags EXCLUSIVE and SAME_APP_ONLY,
// and the choice that stays (protocol.md sections 5 and 6, requirements 7 and 10). Pure.

import type { MspId } from "@whither/protocol";
import type { AnswerForm, AnswerMapping, AnswerWarning } from "./answer.js";
import type { Remembered } from "./choice-memory.js";
import type { Merged, Result } from "./merge.js";
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
  { merged, mappings }: Result<F>,
  options: SelectionOptions,
): Selection<F> {
  const usable = usableOf(merged, mappings, options);
  return {
    merged,
    count: usable.length,
    leftOut: mappings.length - usable.length,
    choice: merged.form === "compact" ? undefined : chosen(usable, options.remembered?.msp),
    warnings: [...merged.warnings, ...warningsOf({ merged, mappings }, usable.length, options)],
    mappings: () => usable,
  };
}

/** The same selection over what a cache keeps: mappings are decoded when they are read. */
export function keepSmall<F extends AnswerForm>(
  { merged, count, leftOut, choice, warnings }: Selection<F>,
  { msps, ownMsp }: Pick<SelectionOptions, "msps" | "ownMsp">,
): Selection<F> {
  const mappings = (): readonly AnswerMapping<F>[] =>
    usableOf(merged, merged.content.decode(), { msps, ownMsp });
  return { merged, count, leftOut, choice, warnings, mappings };
}

function usableOf<F extends AnswerForm>(
  { content: { sameAppOnly, exclusive, firstPreference } }: Merged<F>,
  mappings: readonly AnswerMapping<F>[],
  { msps, ownMsp }: Pick<SelectionOptions, "msps" | "ownMsp">,
): readonly AnswerMapping<F>[] {
  return mappings.filter(
    (mapping) =>
      // The flags are the holder's, and only a slot that was opened has them.
      !(exclusive && "preference" in mapping && mapping.preference !== firstPreference) &&
      !(sameAppOnly && mapping.msp !== ownMsp) &&
      (msps === undefined || msps.has(mapping.msp)),
  );
}

function chosen<F extends AnswerForm>(
  usable: readonly AnswerMapping<F>[],
  remembered: MspId | undefined,
): AnswerMapping<F> | undefined {
  return usable.find(({ msp }) => msp === remembered) ?? usable[0];
}

function warningsOf(
  { merged, mappings }: Result,
  count: number,
  { remembered, holders, nowSeconds }: SelectionOptions,
): readonly AnswerWarning[] {
  const { proof, complete, dps } = merged;
  const { verified } = merged.content;
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
