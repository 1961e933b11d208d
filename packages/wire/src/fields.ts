// Field rules shared by the strict codecs: bounds first, then meaning. Every failure is INVALID_DATA and
// names the record and field, never the value.

import { DiscoveryError, type KeyPeriod } from "@whither/protocol";

export interface FieldContext {
  /** "node", "mapping" … as it stands in the table of signed types. */
  readonly record: string;
}

export function invalid(context: FieldContext, field: string, expected: string): DiscoveryError {
  return new DiscoveryError(
    "INVALID_DATA",
    `${context.record} ${field}: expected ${expected}`.slice(0, 64),
  );
}

/** Octets of one of the given lengths. Copied, so that a small field does not keep a large message alive. */
export function octets(
  context: FieldContext,
  field: string,
  value: Uint8Array,
  ...lengths: readonly number[]
): Uint8Array {
  if (!lengths.includes(value.length))
    throw invalid(context, field, `${lengths.join(" or ")} octets`);
  return value.slice();
}

/** A u64 as a number: refuses what is not exact. */
export function integer(
  context: FieldContext,
  field: string,
  value: bigint | number,
  range: { readonly min?: number; readonly max?: number } = {},
): number {
  const number = Number(value);
  const min = range.min ?? 0;
  const max = range.max ?? Number.MAX_SAFE_INTEGER;
  if (!Number.isSafeInteger(number) || number < min || number > max) {
    throw invalid(context, field, `${min}..${max}`);
  }
  return number;
}

export function text(
  context: FieldContext,
  field: string,
  value: string,
  maxChars: number,
): string {
  if (value.length > maxChars) throw invalid(context, field, `at most ${maxChars} characters`);
  return value;
}

export function list<In, Out>(
  context: FieldContext,
  options: { readonly field: string; readonly min: number; readonly max: number },
  values: readonly In[],
  each: (value: In) => Out,
): readonly Out[] {
  if (values.length < options.min || values.length > options.max) {
    throw invalid(context, options.field, `${options.min}..${options.max} elements`);
  }
  return values.map(each);
}

/** not_before < not_after. */
export function period(
  context: FieldContext,
  value: { readonly notBefore: bigint; readonly notAfter: bigint },
): { readonly notBefore: number; readonly notAfter: number } {
  const notBefore = integer(context, "not_before", value.notBefore);
  const notAfter = integer(context, "not_after", value.notAfter);
  if (notAfter <= notBefore) throw invalid(context, "not_after", "after not_before");
  return { notBefore, notAfter };
}

export function keyPeriod(
  context: FieldContext,
  field: string,
  value: { readonly publicKey: Uint8Array; readonly notBefore: bigint; readonly notAfter: bigint },
): KeyPeriod {
  return { publicKey: octets(context, field, value.publicKey, 32), ...period(context, value) };
}

/** Closed sets: the generated enum's number to our word and back. 0 and unknown numbers are refused. */
export function closedSet<Word extends string, Wire extends number>(
  numbers: Readonly<Record<Word, Wire>>,
): {
  readonly decode: (context: FieldContext, field: string, value: number) => Word;
  readonly encode: (word: Word) => Wire;
} {
  // Object.entries loses the key type of a closed record.
  const words = new Map<number, Word>(
    (Object.entries(numbers) as [Word, Wire][]).map(([word, n]) => [n, word]),
  );
  return {
    decode: (context, field, value) => {
      const word = words.get(value);
      if (word === undefined) throw invalid(context, field, "a known value");
      return word;
    },
    encode: (word) => numbers[word],
  };
}
