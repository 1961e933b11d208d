// Order of registry records in the digest: by kind (dp, msp, prover, relay), then id octets.

import { compareLabels, type Party } from "@whither/protocol";

const kinds: Readonly<Record<Party["kind"], number>> = { dp: 1, msp: 2, prover: 3, relay: 4 };

type Named = Pick<Party, "kind" | "id">;

export function compareParties(a: Named, b: Named): number {
  return a.kind === b.kind ? compareLabels(a.id, b.id) : kinds[a.kind] - kinds[b.kind];
}
