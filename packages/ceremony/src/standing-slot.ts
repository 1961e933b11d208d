// What a DP's own public slot holds, read back from its plaintext. It was verified before it was sealed, so
// nothing is verified again; a plaintext that does not parse is a fault of the store.

import {
  DiscoveryError,
  type Mapping,
  type SlotBody,
  type SlotMapping,
  type Statement,
} from "@whither/protocol";
import { decodeKeyLink, decodeSlotBody, decodeStatement } from "@whither/wire";
import { payloadSha256, readMapping } from "@whither/zone";
import type { ReadKeyLink } from "./slot-links.js";

export interface StandingMapping {
  readonly slotMapping: SlotMapping;
  readonly mapping: Mapping;
  readonly sha256: Uint8Array;
}

export interface StandingSlot {
  readonly body: SlotBody;
  readonly statement: Statement;
  readonly statementSha256: Uint8Array;
  /** In the statement's order; none after a removal. */
  readonly mappings: readonly StandingMapping[];
  readonly links: readonly ReadKeyLink[];
}

/** Throws STORE_CORRUPT. */
export function readStandingSlot(plaintext: Uint8Array): StandingSlot {
  try {
    const body = decodeSlotBody(plaintext);
    const mappings = body.mappings.map((slotMapping) => {
      const { mapping, sha256 } = readMapping(slotMapping.mapping);
      return { slotMapping, mapping, sha256 };
    });
    const links = body.links.map((slotLink) => ({
      slotLink,
      link: decodeKeyLink(slotLink.link.payload),
    }));
    return {
      body,
      statement: decodeStatement(body.statement.payload),
      statementSha256: payloadSha256(body.statement),
      mappings,
      links,
    };
  } catch (cause) {
    throw new DiscoveryError("STORE_CORRUPT", "a slot's body does not parse", { cause });
  }
}
