// Mappings as the answer shows them: from a slot just verified, from one that does not verify for a person who wants
// to see it, or from compact bits.

import { decodeCredential, decodeMapping, decodeSlotBody, decodeStatement } from "@whither/wire";
import type { Registry, VerifiedMapping } from "@whither/zone";
import type { AnswerMapping, AttestedAnswerMapping, VerifiedAnswerMapping } from "./answer.js";

export function answerMappingOf(mapping: VerifiedMapping): VerifiedAnswerMapping {
  const { mspId, preference, tags, level, establishedAt, notAfter, mimiDirectoryUrl } = mapping;
  return {
    msp: mspId,
    preference,
    tags,
    level,
    establishedAt,
    notAfter,
    directoryUrl: mimiDirectoryUrl,
  };
}

/** The mappings of a plaintext in the holder's order. Nothing is verified: the caller marks the answer. */
export function decodeMappings(
  plaintext: Uint8Array,
  registry: Registry,
): readonly VerifiedAnswerMapping[] {
  const body = decodeSlotBody(plaintext);
  const { items } = decodeStatement(body.statement.payload);
  const all = body.mappings.flatMap((slotMapping, place) => {
    const mapping = decodeMapping(slotMapping.mapping.payload);
    const item = items[place];
    if (item === undefined) return [];
    const credential = decodeCredential(slotMapping.credential.payload);
    return [
      {
        msp: mapping.mspId,
        preference: item.preference,
        tags: item.tags,
        level: credential.level,
        establishedAt: Math.max(mapping.establishedAt, credential.firstProvedAt),
        notAfter: mapping.notAfter,
        directoryUrl: registry.msp(mapping.mspId)?.mimiDirectoryUrl ?? "",
      },
    ];
  });
  return all.sort(byPreference);
}

export function byPreference(a: VerifiedAnswerMapping, b: VerifiedAnswerMapping): number {
  return a.preference - b.preference;
}

/** A mapping's objects, as the heap has them, beside its tags and names. */
const mappingObjectBytes = 170;
const textBytes = 24;

/** What a kept mapping takes. The directory's address is the registry's. */
export function mappingBytes(mapping: AnswerMapping): number {
  const tags = "tags" in mapping ? mapping.tags : [];
  const texts = tags.reduce((sum, tag) => sum + textBytes + 2 * tag.length, mapping.msp.length);
  return mappingObjectBytes + texts;
}

/** The MSPs at these positions; one that this registry does not know is left out. */
export function attestedMappings(
  bits: readonly number[],
  registry: Registry,
): readonly AttestedAnswerMapping[] {
  return bits.flatMap((bit) => {
    const msp = registry.mspAtBit(bit);
    return msp === undefined ? [] : [{ msp: msp.id, directoryUrl: msp.mimiDirectoryUrl }];
  });
}
