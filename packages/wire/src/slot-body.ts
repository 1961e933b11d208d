// Strict codec of what a public slot holds (protocol.md section 4): a holder's statement, the mappings it names
// and the links between its keys. The signed objects stay opaque; registration-records.ts reads them.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { limits, type SlotBody, type SlotKeyLink } from "@whither/protocol";
import { SlotBodySchema, type SlotKeyLink as WireSlotKeyLink } from "./gen/whither/v1/record_pb.js";
import { list, octets } from "./fields.js";
import { parseMessage, signedObjectFromWire, signedObjectToWire } from "./signed-object.js";

export function decodeSlotBody(bytes: Uint8Array): SlotBody {
  const context = { record: "slot body" };
  const m = parseMessage(() => fromBinary(SlotBodySchema, bytes));
  return {
    statement: signedObjectFromWire(m.statement),
    mappings: list(
      context,
      { field: "mappings", min: 0, max: limits.mappingsPerSlotMax },
      m.mappings,
      (entry) => ({
        mapping: signedObjectFromWire(entry.mapping),
        credential: signedObjectFromWire(entry.credential),
        opening: octets(context, "opening", entry.opening, 32),
        acceptance: signedObjectFromWire(entry.acceptance),
      }),
    ),
    links: keyLinksFromWire(m.links),
  };
}

/** `links`: none unless told. */
export function encodeSlotBody(
  value: Omit<SlotBody, "links"> & Partial<Pick<SlotBody, "links">>,
): Uint8Array {
  return toBinary(
    SlotBodySchema,
    create(SlotBodySchema, {
      statement: signedObjectToWire(value.statement),
      mappings: value.mappings.map((entry) => ({
        mapping: signedObjectToWire(entry.mapping),
        credential: signedObjectToWire(entry.credential),
        opening: entry.opening,
        acceptance: signedObjectToWire(entry.acceptance),
      })),
      links: keyLinksToWire(value.links ?? []),
    }),
  );
}

/** The links of a slot or of a request, at most limits.keyLinksPerSlotMax. */
export function keyLinksFromWire(values: readonly WireSlotKeyLink[]): readonly SlotKeyLink[] {
  const context = { record: "key-links" };
  const bounds = { field: "links", min: 0, max: limits.keyLinksPerSlotMax };
  return list(context, bounds, values, (entry) => ({
    link: signedObjectFromWire(entry.link),
    opening: octets(context, "opening", entry.opening, 32),
  }));
}

export function keyLinksToWire(values: readonly SlotKeyLink[]) {
  return values.map(({ link, opening }) => ({ link: signedObjectToWire(link), opening }));
}
