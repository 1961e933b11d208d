// What the outside is told of the zones: each by its name in grpc.health.v1, and the daemon as a whole,
// which serves as long as one of them does.

import type { ReloadedZoneFact } from "@whither/control";
import type { DirectorySet } from "./directory-set.js";
import type { Listeners } from "./listeners.js";
import type { ZoneSet } from "./zone-set.js";

export function showHealth(parts: {
  readonly zones: Pick<ZoneSet, "conditions">;
  readonly directories: Pick<DirectorySet, "conditions">;
  readonly replicas: readonly unknown[];
  readonly listeners: Pick<Listeners, "setStatus">;
}): void {
  const { zones, directories, replicas, listeners } = parts;
  const conditions = [...zones.conditions(), ...directories.conditions()];
  for (const [name, { kind }] of conditions) {
    listeners.setStatus(name, kind === "serving" ? "SERVING" : "NOT_SERVING");
  }
  const any = replicas.length > 0 || conditions.some(([, { kind }]) => kind === "serving");
  listeners.setStatus("", any ? "SERVING" : "NOT_SERVING");
}

/** A start that has nothing to serve: throws why its first zone failed. */
export function requireOne(
  outcomes: readonly ReloadedZoneFact[],
  replicas: readonly unknown[],
): void {
  if (replicas.length > 0 || outcomes.some(({ outcome }) => outcome !== "failed")) return;
  throw outcomes[0]?.error ?? new TypeError("a configuration without zones");
}
