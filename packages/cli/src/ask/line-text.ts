// One line an identifier: the output of several, and `+short`.

import { printable } from "./printable.js";
import { statusOf, type Report } from "./report.js";
import { verdictOf } from "./verdict.js";

/** `tel:+…  found  wire.example,chat.example  ; present at 1 of 1 DPs, …` */
export function formatLine(report: Report, { comments }: { readonly comments: boolean }): string {
  const name = report.csi ?? printable(report.input);
  const columns = [name, statusOf(report), mspsOf(report).join(",") || "-"];
  if (comments) columns.push(`; ${verdictOf(report.outcome).text}`);
  return `${columns.join("  ")}\n`;
}

/**
 * Only the answer. One identifier: an MSP a line, in the holder's order, nothing when there is none.
 * Several: `csi msp,msp`, `csi -` for none, `csi !bogus` for a failure, so that lines stay paired.
 */
export function formatShort(report: Report, { several }: { readonly several: boolean }): string {
  const msps = mspsOf(report);
  if (!several) return msps.map((msp) => `${msp}\n`).join("");
  const status = statusOf(report);
  const nothing = status === "none" || status === "found" ? "-" : `!${status}`;
  return `${report.csi ?? printable(report.input)} ${msps.join(",") || nothing}\n`;
}

function mspsOf({ outcome }: Report): readonly string[] {
  return outcome.kind === "answer" ? outcome.answer.mappings.map(({ msp }) => msp) : [];
}
