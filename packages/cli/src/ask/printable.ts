// Text from others on a terminal: control characters and marks of direction are shown, never obeyed.

// eslint-disable-next-line no-control-regex -- exactly these are meant
const unprintable = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/gu;

/** The text with each such character as `\u{…}`. */
export function printable(text: string): string {
  return text.replace(unprintable, (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`);
}

/** `1 mapping`, `2 mappings`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
