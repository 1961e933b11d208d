// The CAs that servers of a federation must lead to, as TLS takes them.

import type { Anchors } from "@whither/zone";

/** One PEM bundle of the anchors' certificates. */
export function caBundle({ tlsCaPem }: Pick<Anchors, "tlsCaPem">): string {
  return tlsCaPem.map((pem) => (pem.endsWith("\n") ? pem : `${pem}\n`)).join("");
}
