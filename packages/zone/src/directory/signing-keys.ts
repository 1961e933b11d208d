// Keys with which an MSP or a prover signs, as `registry.yaml` names them: a key alone, valid as long as its party is, or
// with times of its own. What a key signed within its time stays good after it: so one retires while another signs.

import type { KeyPeriod } from "@whither/protocol";
import { z } from "zod";
import { publicKeyField, timeField } from "./source-fields.js";

/** Wanted times of a key; undefined: its party's. */
export interface SigningKey {
  readonly publicKey: Uint8Array;
  readonly from: number | undefined;
  readonly to: number | undefined;
}

interface Period {
  readonly from: number;
  readonly to: number;
}

const withTimes = z.strictObject({
  key: publicKeyField,
  from: timeField.optional(),
  to: timeField.optional(),
});

/** `ed25519:…`, or `{ key: ed25519:…, from: …, to: … }`. */
const signingKeyField: z.ZodType<SigningKey> = z.unknown().transform((value, context) => {
  const isText = typeof value !== "object" || value === null;
  const parsed = withTimes.safeParse(isText ? { key: value } : value);
  if (parsed.success) {
    const { key: publicKey, from, to } = parsed.data;
    return { publicKey, from, to };
  }
  for (const { path, message } of parsed.error.issues) {
    context.addIssue({ code: "custom", path: isText ? [] : path, message });
  }
  return z.NEVER;
});

export const signingKeysField = z.array(signingKeyField).min(1).max(4);

export function keyPeriods(keys: readonly SigningKey[], party: Period): readonly KeyPeriod[] {
  return keys.map(({ publicKey, from, to }) => ({
    publicKey,
    notBefore: from ?? party.from,
    notAfter: to ?? party.to,
  }));
}

/** Where a key's end does not come after its beginning, by its place in the list. */
export function emptyPeriods(keys: readonly SigningKey[], party: Period): readonly number[] {
  return keyPeriods(keys, party).flatMap(({ notBefore, notAfter }, at) =>
    notBefore < notAfter ? [] : [at],
  );
}
