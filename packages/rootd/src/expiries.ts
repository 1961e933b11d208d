// What rootd shows that ends at a known time, soonest first of each kind: its certificate, the directory, and what the
// directory holds that only the root's operator can renew. For `status`, log and metrics.

import type { ExpiryFact } from "@whither/control";
import { expiryMarginSeconds } from "@whither/control";
import type { KeyPeriod } from "@whither/protocol";
import type { Directory } from "@whither/zone";

/** Bounded, for use as a label. */
export const expiringThings = [
  "tls certificate",
  "directory",
  "online zsk",
  "root key set",
  "root zsk",
  "msp accreditation",
  "msp key",
  "prover key",
] as const satisfies readonly ExpiryFact["what"][];

/** Parties shown of a kind, the soonest: a directory may hold ten thousand. */
const partiesMax = 16;

export function rootdExpiries(of: {
  readonly certificate: { readonly file: string; readonly notAfter: number };
  readonly artefactFile: string;
  readonly directory: Directory;
  readonly onlineKey: { readonly file: string; readonly notAfter: number } | undefined;
  readonly nowSeconds: number;
}): readonly ExpiryFact[] {
  const { certificate, artefactFile, directory, onlineKey, nowSeconds } = of;
  const { head, trust } = directory;
  const { rootKeys } = trust;
  const { file: subject, notAfter } = certificate;
  return [
    { what: "tls certificate", subject, notAfter },
    { what: "directory", subject: artefactFile, notAfter: head.notAfter },
    ...(onlineKey === undefined
      ? []
      : [{ what: "online zsk", subject: onlineKey.file, notAfter: onlineKey.notAfter } as const]),
    { what: "root key set", subject: ".", notAfter: rootKeys.notAfter },
    { what: "root zsk", subject: ".", notAfter: latest(rootKeys.zsks) },
    ...ofParties(directory, nowSeconds),
  ];
}

/** Of each kind the soonest, and whoever is within the margin. Who has left has ended and is no news. */
function ofParties(directory: Directory, nowSeconds: number): readonly ExpiryFact[] {
  const all = directory.records().flatMap(({ record: { party } }): readonly ExpiryFact[] => {
    switch (party.kind) {
      case "msp": {
        const { id: subject, accreditedTo, keys } = party;
        const keyEnd = latest(keys);
        const accreditation = {
          what: "msp accreditation",
          subject,
          notAfter: accreditedTo,
        } as const;
        // A key that lasts as long as its party ends with it.
        if (keyEnd >= accreditedTo) return [accreditation];
        return [accreditation, { what: "msp key", subject, notAfter: keyEnd }];
      }
      case "prover":
        return [{ what: "prover key", subject: party.id, notAfter: latest(party.keys) }];
      case "dp":
      case "relay":
        return [];
    }
  });
  return (["msp accreditation", "msp key", "prover key"] as const).flatMap((what) => {
    const soonest = all
      .filter((fact) => fact.what === what && fact.notAfter > nowSeconds)
      .toSorted((a, b) => a.notAfter - b.notAfter);
    const soon = nowSeconds + expiryMarginSeconds[what];
    const isShown = ({ notAfter }: ExpiryFact, at: number): boolean => at === 0 || notAfter <= soon;
    return soonest.filter(isShown).slice(0, partiesMax);
  });
}

function latest(keys: readonly KeyPeriod[]): number {
  return Math.max(...keys.map(({ notAfter }) => notAfter));
}
