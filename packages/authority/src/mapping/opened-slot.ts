// A slot of a zone of one's own as its operator reads it: what the registrar verified before it was sealed, decoded and
// not verified again.

import type { Credential, Mapping, SlotBody, SlotMapping, Statement } from "@whither/protocol";
import { decodeCredential, decodeSlotBody, decodeStatement } from "@whither/wire";
import { readMapping } from "@whither/zone";
import type { SlotLookup } from "./mapping-zone.js";

export interface OpenedSlot {
  readonly body: SlotBody;
  readonly statement: Statement;
  /** In the statement's order, each with what the statement says of it. */
  readonly mappings: readonly {
    readonly slotMapping: SlotMapping;
    readonly mapping: Mapping;
    readonly credential: Credential;
    readonly item: Statement["items"][number];
  }[];
}

/** Undefined: no slot. */
export function openedSlot({ plaintext }: SlotLookup): OpenedSlot | undefined {
  if (plaintext === undefined) return undefined;
  const body = decodeSlotBody(plaintext);
  const statement = decodeStatement(body.statement.payload);
  return {
    body,
    statement,
    mappings: statement.items.flatMap((item, place) => {
      const slotMapping = body.mappings[place];
      if (slotMapping === undefined) return [];
      const { mapping } = readMapping(slotMapping.mapping);
      const credential = decodeCredential(slotMapping.credential.payload);
      return [{ slotMapping, mapping, credential, item }];
    }),
  };
}
