// Messages of the control service as the JSON that scripts read: names as in control.proto, with their
// units, numbers as numbers, octets in hexadecimal.

/** Plain JSON values of a message, a list of them, or anything made of them. */
export function plainValue(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (Array.isArray(value)) return value.map(plainValue);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => key !== "$typeName" && key !== "$unknown")
      .map(([key, inner]) => [snakeCase(key), key === "labels" ? inner : plainValue(inner)]),
  );
}

function snakeCase(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
