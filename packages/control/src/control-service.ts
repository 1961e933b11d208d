// Service `Control` of one daemon. Every method is there: those for which the daemon has no part say so,
// and which daemon has it, so that an operator who asked the wrong one knows where to go.

import { DiscoveryError } from "@whither/protocol";
import { implementService, type ServiceImpl, type ServiceRegistration } from "@whither/rpc";
import { Control } from "@whither/wire";

export type DaemonName = "whither-rootd" | "whither-dpd" | "whither-dnsd";

/** The methods that a daemon offers. */
export type ControlHandlers = Partial<ServiceImpl<typeof Control>>;

/** Which daemon has a method, and the thing it is about; methods of later versions have none. */
const owners: Readonly<Record<string, { readonly part: string; readonly at: string }>> = {
  reloadZone: { part: "mapping zones", at: "whither-dpd" },
  transfer: { part: "zone with a primary", at: "a secondary whither-dpd" },
  notify: { part: "secondaries", at: "a primary whither-dpd" },
  backup: { part: "mapping zones", at: "whither-dpd" },
  dumpCache: { part: "cache", at: "whither-dnsd" },
  flushCache: { part: "cache", at: "whither-dnsd" },
  dumpInfra: { part: "upstreams", at: "whither-dnsd" },
  listRegistrations: { part: "registrations", at: "whither-dpd" },
  showRegistration: { part: "registrations", at: "whither-dpd" },
  invalidateRegistration: { part: "registrations", at: "whither-dpd" },
  exportRegistration: { part: "registrations", at: "whither-dpd" },
  eraseRegistration: { part: "registrations", at: "whither-dpd" },
  zoneHealth: { part: "probes", at: "whither-rootd" },
  showLimits: { part: "limits", at: "whither-dpd" },
  dryRunLimits: { part: "dry run", at: "whither-dpd" },
};

/** Methods that no daemon has yet, and what they wait for. */
const laterMethods: Readonly<Record<string, string>> = {
  listConflicts: "contests come with a later version",
  showConflict: "contests come with a later version",
  decideConflict: "contests come with a later version",
};

export function createControlService(daemon: {
  readonly name: DaemonName;
  readonly handlers: ControlHandlers;
}): ServiceRegistration {
  const { name, handlers } = daemon;
  const given: Readonly<Record<string, unknown>> = handlers;
  const missing = Control.methods
    .map(({ localName }) => localName)
    .filter((method) => given[method] === undefined)
    .map((method) => [method, refusal(name, method)] as const);
  // Every method of the descriptor has an entry; a refusal fits each, since it only throws.
  const all = { ...Object.fromEntries(missing), ...handlers } as ServiceImpl<typeof Control>;
  return implementService(Control, all);
}

function refusal(name: DaemonName, method: string): () => never {
  const owner = owners[method];
  const text =
    owner === undefined || owner.at === name
      ? (laterMethods[method] ?? "not available in this version")
      : `${name} has no ${owner.part}: ask ${owner.at}`;
  return () => {
    throw new DiscoveryError("NOT_AVAILABLE", text);
  };
}
