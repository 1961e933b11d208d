// Where the DPs are that a part of the directory names: the root's registry alone says. A part could otherwise
// send queries of others to any host, or bring in a provider that nobody admitted (ADR on parts).

import { DiscoveryError, type Authority } from "@whither/protocol";
import type { Registry } from "../registry.js";

/**
 * A part's authorities at their registered endpoints, whatever endpoints the part itself gives. Throws BOGUS
 * for a DP that is not in the registry: to leave it out would make an absence of what it holds.
 */
export function atRegisteredEndpoints(
  authorities: readonly Authority[],
  registry: Registry,
): readonly Authority[] {
  return authorities.map((authority) => {
    const dp = registry.dp(authority.dpId);
    if (dp !== undefined) return { ...authority, endpoints: dp.endpoints };
    throw new DiscoveryError("BOGUS", "node: names a DP that is not registered", {
      upstream: authority.zone,
    });
  });
}
