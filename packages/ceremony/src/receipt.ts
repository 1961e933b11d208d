// What a DP's decision comes to: the slot's new plaintext and the receipt it signs, acceptance and promise
// (protocol.md section 6). The zone key signs nothing that checkRegistration has not parsed and verified.

import {
  DiscoveryError,
  limits,
  roles,
  type Manifest,
  type SignedObject,
  type SlotKeyLink,
  type SlotMapping,
} from "@whither/protocol";
import { encodeAcceptance, encodePromise, encodeSlotBody } from "@whither/wire";
import { equalBytes, type Signer } from "@whither/crypto/node";
import { payloadSha256, signObject } from "@whither/zone";
import type { CheckedRegistration, RegistrationDecision } from "./dp.js";

/** Bytes to store and the DP's receipt. */
export interface SettledRegistration {
  /** Encoded SlotBody; of a removal: the receipt that stays with the DP. */
  readonly plaintext: Uint8Array;
  /** type acceptance, of the mapping in the request. */
  readonly acceptance?: SignedObject;
  /** type promise. */
  readonly promise: SignedObject;
}

/**
 * Signs what was decided. `signer` holds a zone key of the manifest; it signs nothing that
 * checkRegistration has not parsed and verified. Throws SLOT_FULL when the body fits no size class.
 */
export function settleRegistration(input: {
  readonly decision: RegistrationDecision;
  readonly checked: CheckedRegistration;
  readonly manifest: Manifest;
  readonly signer: Signer;
  readonly nowSeconds: number;
}): SettledRegistration {
  const { decision, manifest, signer, nowSeconds } = input;
  const { zone } = manifest;
  const place = { role: roles.dp, zone, signer } as const;
  const promise = signObject({
    ...place,
    type: "promise",
    payload: encodePromise({
      zone,
      statementSha256: input.checked.statement.sha256,
      acceptedAt: nowSeconds,
      by: nowSeconds + limits.promiseSeconds,
    }),
  });
  if (decision.kind === "unchanged") {
    const { body, acceptance } = decision;
    const receipt = acceptance === undefined ? { promise } : { promise, acceptance };
    return { plaintext: encodeSlotBody(body), ...receipt };
  }
  if (decision.kind === "remove") {
    return { plaintext: encodeRemoval(decision.statement, decision.links), promise };
  }
  const { fresh, acceptance: earlier } = decision;
  if (fresh === undefined) {
    const receipt = earlier === undefined ? { promise } : { promise, acceptance: earlier };
    return { plaintext: placeBody(decision, []), ...receipt };
  }
  const payload = encodeAcceptance({ zone, mappingSha256: fresh.sha256, acceptedAt: nowSeconds });
  const acceptance = signObject({ ...place, type: "acceptance", payload });
  const { mapping, credential, opening } = fresh;
  const added = [{ mapping, credential, opening, acceptance }];
  return { plaintext: placeBody(decision, added), acceptance, promise };
}

/** What stands after a removal: its statement, and whose keys are one, as an encoded SlotBody. */
export function encodeRemoval(
  statement: SignedObject,
  links: readonly SlotKeyLink[] = [],
): Uint8Array {
  return encodeSlotBody({ statement, mappings: [], links });
}

/** Bytes before the sealed SlotBody: its length (protocol.md section 4). */
const bodyLengthBytes = 4;

function placeBody(
  decision: Extract<RegistrationDecision, { readonly kind: "place" }>,
  added: readonly SlotMapping[],
): Uint8Array {
  const entries = [...decision.kept, ...added].map((entry) => ({
    entry,
    place: decision.order.findIndex((sha256) => equalBytes(sha256, payloadSha256(entry.mapping))),
  }));
  const mappings = entries.toSorted((a, b) => a.place - b.place).map(({ entry }) => entry);
  const plaintext = encodeSlotBody({
    statement: decision.statement,
    mappings,
    links: decision.links,
  });
  if (plaintext.length + bodyLengthBytes > Math.max(...limits.bodyClassBytes)) {
    throw new DiscoveryError("SLOT_FULL", "the slot's size class is full");
  }
  return plaintext;
}
