// Registrations as text and JSON: what each DP has promised, and what failed.

import { toHex } from "@whither/crypto";
import type { ZoneRegistration } from "@whither/msp";
import type { ReportStatus } from "../ask/report.js";
import { failureClass } from "../exit-status.js";
import { formatFailure } from "../failure-text.js";
import { formatUtc } from "../utc.js";
import type { RegistrationOutcome } from "./registration-outcome.js";
import type { RegisteredMapping } from "./registration-session.js";

/** `found` when all is done, `incomplete` when some zones did not take it, else the failure's class. */
export function outcomeStatus({ error, mappings }: RegistrationOutcome): ReportStatus {
  if (error !== undefined) return failureClass(error);
  return mappings.some(({ failed }) => failed.length > 0) ? "incomplete" : "found";
}

/** Text for stdout and stderr. In a batch only what failed, with its line. */
export function formatOutcome(
  outcome: RegistrationOutcome,
  { file }: { readonly file: string | undefined },
): { readonly out: string; readonly err: string } {
  const { error, line, mappings } = outcome;
  const place = file === undefined ? "" : `${file}:${line}: `;
  const failures = mappings.flatMap(({ failed }) => failed.map((one) => one.error));
  const all = error === undefined ? failures : [...failures, error];
  const err = all.map((one) => formatFailure(one).replace("error: ", `error: ${place}`)).join("");
  if (file !== undefined) return { out: "", err };
  return { out: mappings.map((mapping) => mappingLines(mapping, outcome)).join(""), err };
}

function mappingLines(
  { msp, registered }: RegisteredMapping,
  outcome: RegistrationOutcome,
): string {
  return registered
    .map(({ zone, promise }) => {
      const serial = outcome.published.get(zone);
      const published =
        serial === undefined
          ? `promised by ${formatUtc(promise.by)}`
          : `published in serial ${serial}`;
      return `${msp}: ${zone}: accepted ${formatUtc(promise.acceptedAt)}, ${published}\n`;
    })
    .join("");
}

/** One JSON object; `line` only in a batch. */
export function describeOutcome(
  outcome: RegistrationOutcome,
  { isBulk }: { readonly isBulk: boolean },
): Readonly<Record<string, unknown>> {
  const { line, request, mappings, error } = outcome;
  const status = outcomeStatus(outcome);
  return {
    ...(isBulk ? { line } : {}),
    csi: request.credential.csi,
    status: status === "found" ? "registered" : status,
    msps: mappings.map(({ msp, registered, failed }) => ({
      msp,
      zones: registered.map((one) => describeZone(one, outcome)),
      failed: failed.map(({ zone, error: { code, number, text } }) => ({
        zone,
        code,
        number,
        text,
      })),
    })),
    error:
      error === undefined
        ? null
        : {
            code: error.code,
            number: error.number,
            text: error.text,
            upstream: error.upstream ?? "",
          },
  };
}

function describeZone(
  registration: ZoneRegistration,
  { published }: RegistrationOutcome,
): Readonly<Record<string, unknown>> {
  const { zone, dpId, promise, statementSha256 } = registration;
  return {
    zone,
    dp: dpId,
    statement_sha256: toHex(statementSha256),
    accepted_at: promise.acceptedAt,
    promised_by: promise.by,
    published_serial: published.get(zone) ?? null,
  };
}
