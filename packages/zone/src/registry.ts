// Look-ups over the parties of the signed registry. Which records get here has been verified before.

import type {
  DpId,
  DpRecord,
  MspId,
  MspRecord,
  Party,
  ProverId,
  ProverRecord,
} from "@whither/protocol";

export interface Registry {
  /** Version that compact answers carry. */
  readonly version: number;
  dp(id: DpId): DpRecord | undefined;
  msp(id: MspId): MspRecord | undefined;
  prover(id: ProverId): ProverRecord | undefined;
  /** The MSP at a position of the compact bit string. */
  mspAtBit(bit: number): MspRecord | undefined;
  dps(): readonly DpRecord[];
  msps(): readonly MspRecord[];
}

/** Indexes verified parties. Of two records with one id the later in the list wins. */
export function createRegistry(parties: readonly Party[], version: number): Registry {
  const dps = new Map<string, DpRecord>();
  const msps = new Map<string, MspRecord>();
  const provers = new Map<string, ProverRecord>();
  for (const party of parties) {
    if (party.kind === "dp") dps.set(party.id, party);
    else if (party.kind === "msp") msps.set(party.id, party);
    else if (party.kind === "prover") provers.set(party.id, party);
  }
  const bits = new Map([...msps.values()].map((msp) => [msp.bit, msp]));
  return {
    version,
    dp: (id) => dps.get(id),
    msp: (id) => msps.get(id),
    prover: (id) => provers.get(id),
    mspAtBit: (bit) => bits.get(bit),
    dps: () => [...dps.values()],
    msps: () => [...msps.values()],
  };
}

/** Whether the MSP may sign mappings at this time. */
export function isAccredited(msp: MspRecord, nowSeconds: number): boolean {
  return nowSeconds >= msp.accreditedFrom && nowSeconds < msp.accreditedTo;
}
