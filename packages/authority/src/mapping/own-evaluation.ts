// Identifiers in clear, evaluated under a key of the zone: a registration's, or every one in the vault when the
// key is replaced. Off this thread, and with the proof checked as a client would.

import { DiscoveryError } from "@whither/protocol";
import type { VoprfEngine } from "@whither/runtime";
import type { SignalOption } from "./mapping-zone.js";
import type { TreeKey } from "./zone-keys.js";

/** VOPRF outputs, 64 bytes each, secret, in the order of the inputs, 1..512. */
export async function evaluateOwn(
  voprf: VoprfEngine,
  { publicKey, secretKey }: TreeKey,
  inputs: readonly Uint8Array[],
  options: SignalOption = {},
): Promise<readonly Uint8Array[]> {
  const { blinds, blinded } = await voprf.blind(inputs, options);
  const work = await voprf.evaluate({ secretKey, publicKey, blinded }, options);
  const { evaluated, proof } = work;
  const outputs = await voprf.finalize(
    { publicKey, inputs, blinds, blinded, evaluated, proof },
    options,
  );
  if (outputs.length !== inputs.length) {
    throw new DiscoveryError("INTERNAL", "the engine gave no output");
  }
  return outputs;
}
