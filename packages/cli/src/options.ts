// Options that several whitherctl commands share.

import { Option } from "commander";
import { parseDurationMs } from "@whither/runtime";
import { UsageError } from "./usage.js";

export const jsonOption = (): Option =>
  new Option("--json", "print one JSON object instead of text");

/** Collects a repeated option into a list. */
export function collect(value: string, previous: readonly string[] | undefined): readonly string[] {
  return [...(previous ?? []), value];
}

/** "45d", "12h", "30m" in seconds. */
export function parseLifetime(text: string): number {
  const days = /^(\d{1,5})d$/.exec(text)?.[1];
  const seconds = days === undefined ? (parseDurationMs(text) ?? 0) / 1000 : Number(days) * 86_400;
  if (!Number.isSafeInteger(seconds) || seconds < 1) {
    throw new UsageError(
      `lifetime: expected a duration such as 45d or 12h, got ${JSON.stringify(text)}`,
    );
  }
  return seconds;
}

export function parseInteger(range: {
  readonly name: string;
  readonly min: number;
  readonly max: number;
}): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < range.min || value > range.max) {
      throw new UsageError(
        `${range.name}: expected ${range.min}..${range.max}, got ${JSON.stringify(text)}`,
      );
    }
    return value;
  };
}
