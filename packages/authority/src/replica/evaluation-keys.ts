// The VOPRF keys of a full replica: which of them evaluates for a kid, and which stand in no manifest and so for nothing.

import { equalBytes, portableVoprf } from "@whither/crypto/node";
import { DiscoveryError, type Manifest, type VoprfKey } from "@whither/protocol";
import type { Logger, VoprfEngine } from "@whither/runtime";

export interface ReplicaSecret {
  /** 32-byte scalar. Whoever has it can test every identifier against the zone. */
  readonly secretKey: Uint8Array;
  /** Where it came from, for its operator. */
  readonly from: string;
}

/** Engine and keys: two while one replaces the other. */
export interface ReplicaEvaluation {
  readonly voprf: VoprfEngine;
  readonly secretKeys: readonly ReplicaSecret[];
}

interface KeyPair extends ReplicaSecret {
  readonly publicKey: Uint8Array;
}

export class EvaluationKeys {
  readonly #pairs: readonly KeyPair[];
  readonly #zone: string;
  readonly #logger: Logger;
  /** Those that were named last. */
  #unlisted: readonly KeyPair[] = [];

  constructor(
    secrets: readonly ReplicaSecret[],
    of: { readonly zone: string; readonly logger: Logger },
  ) {
    this.#pairs = secrets.map((secret) => ({
      ...secret,
      publicKey: portableVoprf.publicKeyOf(secret.secretKey),
    }));
    this.#zone = of.zone;
    this.#logger = of.logger;
  }

  /** The pair of a kid under a manifest. Throws UNKNOWN_KID. */
  of(
    kid: Uint8Array,
    { voprfKeys }: Manifest,
  ): { readonly secretKey: Uint8Array; readonly publicKey: Uint8Array } {
    const key = voprfKeys.find((one) => equalBytes(one.kid, kid));
    const pair = key === undefined ? undefined : this.#pairs.find((one) => isOf(one, key));
    if (pair === undefined) throw new DiscoveryError("UNKNOWN_KID", "no voprf key of that kid");
    return pair;
  }

  /**
   * Tells the operator, once for each, of keys that the zone's manifest does not list: of a rotation that is to come, or
   * forgotten, or of another zone.
   */
  tellUnlisted({ voprfKeys }: Manifest): void {
    const unlisted = this.#pairs.filter((pair) => !voprfKeys.some((key) => isOf(pair, key)));
    for (const pair of unlisted) {
      if (this.#unlisted.includes(pair)) continue;
      this.#logger.warn("voprf key not listed", { zone: this.#zone, from: pair.from });
    }
    this.#unlisted = unlisted;
  }
}

function isOf(pair: KeyPair, key: VoprfKey): boolean {
  return equalBytes(pair.publicKey, key.publicKey);
}
