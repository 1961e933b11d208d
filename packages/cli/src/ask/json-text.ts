// `+json` and `+yaml`: one object an identifier. Numbers are numbers, with the unit in the name; keys are
// always there, null where there is nothing to say. Scripts rely on these names.

import type { AnswerMapping } from "@whither/resolver";
import { stringify } from "yaml";
import { errorsOf, hopsOf, statsOf } from "./full-text.js";
import { statusOf, type Report } from "./report.js";
import { verdictOf } from "./verdict.js";

/** One line, without newline. */
export function formatJson(report: Report): string {
  return JSON.stringify(describeReport(report));
}

/** `+yaml`: the same object as one document of a stream, with its `---`. */
export function formatYaml(report: Report): string {
  return stringify(describeReport(report), {
    directives: true,
    // Nothing is folded or left to be taken for another type: scripts read it.
    lineWidth: 0,
    version: "1.2",
    aliasDuplicateObjects: false,
  });
}

function describeReport(report: Report) {
  const answer = report.outcome.kind === "answer" ? report.outcome.answer : undefined;
  const { rpcs, bytesIn, bytesOut } = statsOf(report);
  return {
    csi: report.csi ?? null,
    input: report.input,
    status: statusOf(report),
    verdict: verdictOf(report.outcome).text,
    complete: answer?.complete ?? null,
    choice: answer?.choice?.msp ?? null,
    mappings: (answer?.mappings ?? []).map(describeMapping),
    dps: (answer?.dps ?? []).map(({ dp, zone, outcome, serial, kid }) => ({
      dp,
      zone,
      outcome,
      serial: serial ?? null,
      kid: kid ?? null,
    })),
    proof: answer?.proof ?? null,
    form: answer?.form ?? null,
    attested: answer?.attested ?? null,
    privacy: answer?.privacy ?? null,
    ttl_s: answer?.ttlSeconds ?? null,
    registry_version: answer?.registryVersion ?? null,
    left_out: answer?.leftOut ?? 0,
    ported_to: answer === undefined || answer.portedTo === "" ? null : answer.portedTo,
    ports: answer?.ports ?? [],
    warnings: answer?.warnings ?? [],
    errors: errorsOf(report),
    hops: hopsOf(report).map(({ prefix, from, told, learnt, serial, verdict, rttMs }) => ({
      prefix,
      from,
      told,
      learnt,
      serial: serial ?? null,
      verdict,
      rtt_ms: roundMs(rttMs),
    })),
    stats: { rpcs, bytes_in: bytesIn, bytes_out: bytesOut },
    rtt_ms: report.rttMs === undefined ? null : roundMs(report.rttMs),
    at: report.atSeconds,
  };
}

function describeMapping(mapping: AnswerMapping): Readonly<Record<string, unknown>> {
  const { msp, directoryUrl } = mapping;
  if (!("preference" in mapping)) {
    return {
      msp,
      preference: null,
      tags: [],
      level: null,
      established_at: null,
      not_after: null,
      directory_url: directoryUrl,
    };
  }
  return {
    msp,
    preference: mapping.preference,
    tags: mapping.tags,
    level: mapping.level,
    established_at: mapping.establishedAt,
    not_after: mapping.notAfter,
    directory_url: directoryUrl,
  };
}

function roundMs(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
