// Unix seconds as people and other programs read them (RFC 3339, UTC).

/** `2026-11-23T06:30:00Z`; times beyond the calendar's range as plain seconds. */
export function formatUtc(seconds: number): string {
  if (seconds > 253_402_300_799) return `${seconds} s`; // the end of the year 9999
  // eslint-disable-next-line no-restricted-globals -- conversion of a given instant, not a reading
  return new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
}

/** The day alone. */
export function formatDay(seconds: number): string {
  return formatUtc(seconds).slice(0, 10);
}
