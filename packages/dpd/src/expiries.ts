// What a discovery provider shows or signs with that ends at a known time: keys of the manifest, the certificate
// of its listeners, the directory it follows. For `status` and metrics, so that nobody learns of an end by it.

import { X509Certificate } from "node:crypto";
import type { MappingZone } from "@whither/authority";
import type { DirectoryStatus } from "@whither/directory";
import type { DirectorySet } from "./directory-set.js";

/** Bounded, for use as a label. */
export const expiringThings = [
  "zone key",
  "voprf key",
  "hpke key",
  "tls certificate",
  "directory",
] as const;

export interface Expiry {
  readonly what: (typeof expiringThings)[number];
  /** Empty where it is of no zone. */
  readonly zone: string;
  /** Unix seconds. */
  readonly notAfter: number;
}

export interface ExpirySources {
  readonly zones: readonly Pick<MappingZone, "manifest" | "zone">[];
  /** PEM, leaf first. */
  readonly certPem: string;
  /** Undefined before a directory has been verified. */
  readonly directory: DirectoryStatus | undefined;
  /** Parts that are served here. */
  readonly directories: ReturnType<DirectorySet["conditions"]>;
}

/** Of keys that succeed one another the one that lasts longest counts; of VOPRF and HPKE keys the current one. */
export function expiries({
  zones,
  certPem,
  directory,
  directories,
}: ExpirySources): readonly Expiry[] {
  const found: Expiry[] = zones.flatMap(({ zone, manifest }) => {
    const [current] = manifest.voprfKeys;
    const [hpke] = manifest.hpkeKeys;
    const zoneKeyEnd = Math.max(...manifest.zoneKeys.map(({ notAfter }) => notAfter));
    return [
      { what: "zone key", zone, notAfter: zoneKeyEnd } as const,
      ...(current === undefined
        ? []
        : [{ what: "voprf key", zone, notAfter: current.notAfter } as const]),
      ...(hpke === undefined ? [] : [{ what: "hpke key", zone, notAfter: hpke.notAfter } as const]),
    ];
  });
  // eslint-disable-next-line no-restricted-globals -- reads a text, asks no clock; Node 20 has no validToDate
  const certificateEndMs = Date.parse(new X509Certificate(certPem).validTo);
  found.push({ what: "tls certificate", zone: "", notAfter: Math.floor(certificateEndMs / 1000) });
  if (directory !== undefined) {
    found.push({ what: "directory", zone: "", notAfter: directory.head.notAfter });
  }
  for (const [zone, condition] of directories) {
    if (condition.kind !== "serving") continue;
    const { head } = condition.service.directory;
    found.push({ what: "directory", zone, notAfter: head.notAfter });
  }
  return found;
}
