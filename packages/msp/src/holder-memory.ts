// What a holder remembers between registrations: per zone, the last statement's seq and items. As JSON, one
// object. Losing it costs nothing but naming again what stands: a statement drops what it does not name.

import { DiscoveryError, parseMspId, parseZoneName, type ZoneName } from "@whither/protocol";
import { fromBase64Url, toBase64Url } from "@whither/crypto/node";
import type { HolderItem, HolderSlot } from "@whither/ceremony";

/** A holder's public slots, by zone. */
export type HolderMemory = ReadonlyMap<ZoneName, HolderSlot>;

/** JSON text, two spaces of indentation, newline at the end. */
export function formatHolderMemory(memory: HolderMemory): string {
  const zones = [...memory].map(([zone, slot]) => {
    const items = slot.items.map(formatItem);
    return [zone, { ...slot, items }] as const;
  });
  return `${JSON.stringify({ version: 1, zones: Object.fromEntries(zones) }, undefined, 2)}\n`;
}

function formatItem(item: HolderItem): Readonly<Record<string, unknown>> {
  return {
    msp: item.mspId,
    preference: item.preference,
    tags: item.tags,
    not_after: item.notAfter,
    mapping_sha256: toBase64Url(item.mappingSha256),
    csi_commit: toBase64Url(item.csiCommit),
  };
}

/** Throws CONFIG for anything that formatHolderMemory would not write. */
export function parseHolderMemory(text: string): HolderMemory {
  try {
    const root = objectOf(JSON.parse(text));
    if (root["version"] !== 1) throw new TypeError("version");
    const zones = Object.entries(objectOf(root["zones"]));
    return new Map(zones.map(([zone, slot]) => [parseZoneName(zone), parseSlot(objectOf(slot))]));
  } catch (cause) {
    throw new DiscoveryError("CONFIG", "holder file: expected what whither has written", { cause });
  }
}

function parseSlot(slot: Fields): HolderSlot {
  const items = listOf(slot["items"]).map((item) => parseItem(objectOf(item)));
  if (new Set(items.map((item) => item.preference)).size !== items.length) {
    throw new TypeError("preference");
  }
  return {
    seq: integerOf(slot["seq"]),
    items,
    exclusive: slot["exclusive"] === true,
    sameAppOnly: slot["sameAppOnly"] === true,
    portedTo: slot["portedTo"] === undefined ? "" : textOf(slot["portedTo"]),
  };
}

function parseItem(item: Fields): HolderItem {
  return {
    mspId: parseMspId(textOf(item["msp"])),
    preference: integerOf(item["preference"]),
    tags: listOf(item["tags"]).map(textOf),
    notAfter: integerOf(item["not_after"]),
    mappingSha256: hashOf(item["mapping_sha256"]),
    csiCommit: hashOf(item["csi_commit"]),
  };
}

type Fields = Readonly<Record<string, unknown>>;

function objectOf(value: unknown): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new TypeError("object");
  }
  return value as Fields; // every object can be read by name
}

function listOf(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new TypeError("list");
  return value;
}

function textOf(value: unknown): string {
  if (typeof value !== "string") throw new TypeError("text");
  return value;
}

function integerOf(value: unknown): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
    throw new TypeError("integer");
  }
  return value;
}

function hashOf(value: unknown): Uint8Array {
  const bytes = fromBase64Url(textOf(value));
  if (bytes.length !== 32) throw new TypeError("hash");
  return bytes;
}
