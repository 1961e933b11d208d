// Registrations as the operator of a DP sees them, on the control socket and nowhere else: places without names, one
// person's slot, what is held of her, and its end. An identifier goes in and no further: into no log, no error.

import { openedSlot, type HeldRegistration, type MappingZone } from "@whither/authority";
import type { ControlHandlers } from "@whither/control";
import { formatPublicKey, fromHex, toBase64Url, toHex } from "@whither/crypto/node";
import { DiscoveryError, limits, parseCsi, type SignedObject } from "@whither/protocol";
import type { Clock, Logger } from "@whither/runtime";
import { encodeSignedObject } from "@whither/wire";
import type { ZoneSet } from "./zone-set.js";

const pageRows = 1_000;
const idxHex = /^[0-9a-f]{32}$/;

export function registrationHandlers(parts: {
  readonly zones: Pick<ZoneSet, "served">;
  readonly clock: Clock;
  readonly logger: Logger;
}): ControlHandlers {
  const { zones, clock, logger } = parts;
  const servedZone = (name: string): MappingZone => zones.served(name).provided.zone;
  return {
    listRegistrations: ({ zone, limit, after }) => listed(servedZone(zone), { limit, after }),
    showRegistration: async ({ zone, csi }, { signal }) => {
      const held = await servedZone(zone).registrations.find(parseCsi(csi), { signal });
      return shown(zone, held);
    },
    exportRegistration: async ({ zone, csi: text }, { signal }) => {
      const csi = parseCsi(text);
      const held = await servedZone(zone).registrations.find(csi, { signal });
      logger.info("registration exported", { zone });
      return { json: JSON.stringify({ csi, ...exported(zone, held) }) };
    },
    invalidateRegistration: async ({ zone, csi, reason }, { signal }) => {
      const served = servedZone(zone);
      const removed = await served.registrations.invalidate(parseCsi(csi), reason, { signal });
      if (removed) logger.info("registration invalidated", { zone, reason });
      return { removed, by: BigInt(clock.nowSeconds() + served.manifest.epochSeconds) };
    },
    eraseRegistration: async ({ zone, csi }, { signal }) => {
      const served = servedZone(zone);
      const removed = await served.registrations.erase(parseCsi(csi), { signal });
      if (removed) logger.info("registration erased", { zone });
      return { removed, by: BigInt(clock.nowSeconds()) };
    },
  };
}

async function* listed(
  { registrations }: Pick<MappingZone, "registrations">,
  { limit, after }: { readonly limit: number; readonly after: string },
) {
  if (limit > limits.listedSlotsMax) {
    throw new DiscoveryError("TOO_LARGE", `limit: expected 1..${limits.listedSlotsMax}`);
  }
  if (after !== "" && !idxHex.test(after)) {
    throw new DiscoveryError("INVALID_DATA", "after: expected a place of 32 hex digits");
  }
  const range = { limit: limit === 0 ? pageRows : limit };
  const from = after === "" ? {} : { after: fromHex(after) };
  for await (const { idx, state, since } of registrations.list({ ...range, ...from })) {
    yield { idx: toHex(idx), state, since: BigInt(since) };
  }
}

function shown(zone: string, held: HeldRegistration) {
  const { slot, state, since, removal } = held;
  const opened = openedSlot(slot);
  return {
    zone,
    idx: toHex(slot.idx),
    state,
    since: BigInt(since),
    holder: opened === undefined ? "" : formatPublicKey(opened.statement.holderPublicKey),
    seq: BigInt(opened?.statement.seq ?? 0),
    mappings: (opened?.mappings ?? []).map(({ mapping, credential, item }) => ({
      msp: mapping.mspId,
      preference: item.preference,
      tags: [...item.tags],
      level: credential.level,
      establishedAt: BigInt(mapping.establishedAt),
      notAfter: BigInt(mapping.notAfter),
      prover: credential.proverId,
    })),
    removedAt: BigInt(removal?.at ?? 0),
    removedReason: removal?.reason ?? "",
  };
}

/** Numbers as numbers, times in Unix seconds; signed objects whole, as the person or her app can verify them. */
function exported(zone: string, held: HeldRegistration): object {
  const { slot, state, since, receipt, isInVault, removal } = held;
  const opened = openedSlot(slot);
  return {
    zone,
    state,
    since_serial: since,
    places: [slot, ...slot.others].map(({ kid, idx }) => ({ kid: toHex(kid), idx: toHex(idx) })),
    identifier_in_vault: isInVault ?? false,
    receipt:
      receipt === undefined
        ? null
        : { accepted_at: receipt.acceptedAt, serial: receipt.serial ?? null },
    removed_by_operator: removal ?? null,
    holder: opened === undefined ? null : formatPublicKey(opened.statement.holderPublicKey),
    statement: opened === undefined ? null : objectText(opened.body.statement),
    mappings: (opened?.mappings ?? []).map(({ slotMapping, mapping, credential, item }) => ({
      msp: mapping.mspId,
      preference: item.preference,
      tags: item.tags,
      established_at: mapping.establishedAt,
      not_after: mapping.notAfter,
      prover: credential.proverId,
      method: credential.method,
      level: credential.level,
      opening: toBase64Url(slotMapping.opening),
      mapping: objectText(slotMapping.mapping),
      credential: objectText(slotMapping.credential),
      acceptance: objectText(slotMapping.acceptance),
    })),
    key_links: (opened?.body.links ?? []).map(({ link, opening }) => ({
      link: objectText(link),
      opening: toBase64Url(opening),
    })),
  };
}

function objectText(object: SignedObject): string {
  return toBase64Url(encodeSignedObject(object));
}
