// What several requirements look at: a published slot as a stranger reads it, and the calls a registration
// consists of. The checks themselves stay in each requirement's file.

import {
  isDiscoveryError,
  parseCsi,
  type Csi,
  type ErrorCode,
  type MspId,
} from "@whither/protocol";
import type { TapRecord } from "@whither/rpc";
import type { Federation, RegistrationParties } from "@whither/testkit";
import { nodeVerifier, verifySlot, type VerifiedSlot } from "@whither/zone";

export const alice = parseCsi("tel:+4930123456");
export const bob = parseCsi("tel:+4930123457");

/** The plaintext of a published slot. */
export async function plaintextOf(
  federation: Federation,
  of: { readonly zone: string; readonly csi: Csi },
): Promise<Uint8Array> {
  const { plaintext } = await federation.zone(of.zone).mapping.lookupForRegistration(of.csi);
  if (plaintext === undefined) throw new Error("no slot");
  return plaintext;
}

/** Offline: nothing but the slot, the manifest and the registry. */
export function readSlot(
  federation: Federation,
  of: { readonly zone: string; readonly csi: Csi; readonly plaintext: Uint8Array },
): VerifiedSlot {
  const { zone, manifest } = federation.zone(of.zone);
  const dp = federation.dp(of.zone.slice(of.zone.indexOf("@") + 1)).record;
  return verifySlot({
    csi: of.csi,
    zone,
    manifest,
    dp,
    registry: federation.directory.registry,
    plaintext: of.plaintext,
    nowSeconds: federation.clock.nowSeconds(),
    verifier: nodeVerifier,
  });
}

/** What a reader makes of a slot of the fixtures: its MSPs, or the code that refuses it. */
export function verdictOn(
  parties: RegistrationParties,
  plaintext: Uint8Array,
): readonly MspId[] | ErrorCode {
  const { csi, zone, manifest, dp, registry, nowSeconds } = parties;
  const check = { csi, zone, manifest, dp, registry, nowSeconds, verifier: nodeVerifier };
  try {
    return verifySlot({ ...check, plaintext }).mappings.map(({ mspId }) => mspId);
  } catch (error) {
    if (isDiscoveryError(error)) return error.code;
    throw error;
  }
}

/** Messages to servers while `run` runs. */
export async function heardDuring(
  federation: Federation,
  run: () => Promise<unknown>,
): Promise<readonly TapRecord[]> {
  const heard: TapRecord[] = [];
  const stop = federation.tap((record) => {
    if (record.direction === "request") heard.push(record);
  });
  try {
    await run();
  } finally {
    stop();
  }
  return heard;
}
