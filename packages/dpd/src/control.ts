// The control service of whither-dpd: what every daemon has, and what is its own — zones and limits.

import {
  backupZone,
  type Admission,
  type AdmissionLimits,
  type DiscoveryProvider,
  type ReplicaZone,
} from "@whither/authority";
import {
  commonControl,
  createControlService,
  reloadedZone,
  type ControlHandlers,
  type ControlledDaemon,
  type ExpiryFact,
  type ZoneFact,
} from "@whither/control";
import { toHex } from "@whither/crypto/node";
import { DiscoveryError, parseZoneName, type Head } from "@whither/protocol";
import type { ServiceRegistration } from "@whither/rpc";
import { packageVersion } from "@whither/runtime";
import { Switch } from "@whither/wire";
import type { DpdConfig } from "./config.js";
import type { DirectorySet, PartCondition } from "./directory-set.js";
import type { Expiry } from "./expiries.js";
import type { Listeners } from "./listeners.js";
import { registrationHandlers } from "./registration-control.js";
import { successionFact } from "./succession-fact.js";
import type { ZoneSet } from "./zone-set.js";

export interface DpdControlParts extends Omit<
  ControlledDaemon,
  "config" | "drain" | "expiries" | "name" | "version" | "zones"
> {
  /** In force. */
  readonly config: () => DpdConfig;
  readonly zones: ZoneSet;
  readonly directories: Pick<DirectorySet, "conditions" | "reload">;
  readonly expiries: () => readonly Expiry[];
  readonly replicas: readonly ReplicaZone[];
  readonly provider: Pick<DiscoveryProvider, "notify">;
  readonly admission: Admission;
  readonly listeners: Pick<Listeners, "close">;
}

export function createDpdControl(parts: DpdControlParts): ServiceRegistration {
  const { zones, directories, replicas, listeners } = parts;
  const name = "whither-dpd";
  const common = commonControl({
    ...parts,
    name,
    version: packageVersion(import.meta.url),
    zones: () => [
      ...zoneFacts(zones),
      ...replicas.map(replicaFact),
      ...[...directories.conditions()].map(partFact),
    ],
    expiries: () => expiryFacts(parts),
    drain: () => listeners.close(),
  });
  const own: ControlHandlers = {
    reloadZone: async ({ zone, switchNow }) => {
      const part = await directories.reload(zone);
      return { zone: reloadedZone(part ?? (await zones.reload(zone, { switchNow }))) };
    },
    ...replicationHandlers(parts),
    backup: ({ zone }) => backup(parts, zone),
    ...registrationHandlers(parts),
    ...limitHandlers(parts),
  };
  return createControlService({ name, handlers: { ...common, ...own } });
}

function replicationHandlers({ zones, replicas, provider }: DpdControlParts): ControlHandlers {
  const headOf = (name: string): Head | undefined => {
    const replica = replicas.find(({ zone }) => zone === name);
    if (replica !== undefined) return replica.status().head;
    return zones
      .serving()
      .find(({ zone }) => zone.zone === name)
      ?.zone.head();
  };
  const serialOf = (name: string): bigint => BigInt(headOf(name)?.serial ?? 0);
  return {
    transfer: async ({ zone }, { signal }) => {
      const replica = replicas.find((one) => one.zone === zone);
      if (replica === undefined) {
        throw new DiscoveryError("NOT_AUTHORITATIVE", "no zone of that name follows a primary");
      }
      const fromSerial = serialOf(zone);
      await replica.refresh({ signal });
      return { fromSerial, serial: serialOf(zone) };
    },
    notify: ({ zone }) => {
      const told = provider.notify(zone);
      return { told, serial: serialOf(zone) };
    },
  };
}

async function* backup(
  { zones, clock, logger }: DpdControlParts,
  name: string,
): AsyncGenerator<{ readonly part: Uint8Array }, void, undefined> {
  const { stores } = zones.served(name);
  const zone = parseZoneName(name);
  logger.info("backup begun", { zone });
  for await (const part of backupZone(stores, { zone, clock })) yield { part };
  logger.info("backup sent", { zone });
}

function zoneFacts(zones: ZoneSet): readonly ZoneFact[] {
  return [...zones.conditions()].map(([zone, condition]): ZoneFact => {
    const kind = "mappings";
    if (condition.kind === "failed") return { zone, kind, serving: false, error: condition.error };
    const { provided, problem, stores } = condition;
    const { epoch, serial, mapSize, b, time, notAfter } = provided.zone.head();
    return {
      zone,
      kind,
      serving: true,
      epoch,
      serial,
      size: mapSize,
      depth: b,
      signedAt: time,
      notAfter,
      manifestSha256: toHex(provided.zone.manifestSha256),
      problem,
      succession: successionFact(provided.zone.succession),
      withoutVault: stores.vault === undefined,
    };
  });
}

function partFact([zone, condition]: readonly [string, PartCondition]): ZoneFact {
  const kind = "directory";
  if (condition.kind === "failed") return { zone, kind, serving: false, error: condition.error };
  const { head, trust } = condition.service.directory;
  return {
    zone,
    kind,
    serving: true,
    epoch: head.epoch,
    serial: head.serial,
    size: head.nodeCount,
    depth: 0,
    signedAt: head.notBefore,
    notAfter: head.notAfter,
    manifestSha256: toHex(trust.manifestSha256),
  };
}

function replicaFact(replica: ReplicaZone): ZoneFact {
  const { zone } = replica;
  const { state, head } = replica.status();
  const kind = "replica";
  if (state !== "serving" || head === undefined) {
    const error =
      head === undefined
        ? new DiscoveryError("UNREACHABLE", "nothing has been received yet")
        : new DiscoveryError("STALE", "what is held has ended");
    return { zone, kind, serving: false, error };
  }
  const { epoch, serial, mapSize: size, b: depth, time: signedAt, notAfter } = head;
  const manifestSha256 = toHex(head.manifestSha256);
  return {
    zone,
    kind,
    serving: true,
    epoch,
    serial,
    size,
    depth,
    signedAt,
    notAfter,
    manifestSha256,
  };
}

/** Keys, certificate and directory as `expiries` has them, and the heads. */
function expiryFacts({ config, expiries, zones }: DpdControlParts): readonly ExpiryFact[] {
  const known = expiries().map(({ what, zone, notAfter }): ExpiryFact => {
    const own = what === "tls certificate" ? config().tls.certificateFile : ".";
    return { what, subject: zone === "" ? own : zone, notAfter };
  });
  const heads = zones.serving().map(({ zone }): ExpiryFact => ({
    what: "head",
    subject: zone.zone,
    notAfter: zone.head().notAfter,
  }));
  return [...known, ...heads];
}

function limitHandlers({ config, admission }: DpdControlParts): ControlHandlers {
  // The configuration's, until the switch is set; a reload sets the configuration's again.
  let inForce: AdmissionLimits | undefined;
  let configured = config().limits;
  const limits = (): AdmissionLimits => {
    if (config().limits !== configured) inForce = undefined;
    configured = config().limits;
    return inForce ?? configured;
  };
  return {
    showLimits: () => ({
      dryRun: limits().dryRun,
      limits: limitRows(limits(), admission.refusals()),
    }),
    dryRunLimits: (request) => {
      const before = limits();
      if (request.set !== Switch.UNSPECIFIED) {
        inForce = { ...before, dryRun: request.set === Switch.ON };
        admission.setLimits(inForce);
      }
      return { dryRun: limits().dryRun };
    },
  };
}

function limitRows(l: AdmissionLimits, refusals: ReturnType<Admission["refusals"]>) {
  const daySeconds = 86_400;
  const row = (
    name: keyof typeof refusals,
    scope: "address" | "client" | "msp",
    bound: { readonly unit: string; readonly ratePerS: number; readonly burst: number },
  ) => ({ name, scope, ...bound, refused: BigInt(refusals[name]) });
  const bytesPerS = l.publicBytesPerMinute / 60;
  return [
    row("requests", "client", { unit: "", ratePerS: l.requestsPerSecond, burst: l.requestsBurst }),
    row("cpu", "client", { unit: "ms", ratePerS: l.cpuMsPerSecond, burst: l.cpuBurstMs }),
    row("contacts", "client", {
      unit: "",
      ratePerS: l.clientContactsPerDay / daySeconds,
      burst: l.clientContactsBurst,
    }),
    row("contacts", "msp", {
      unit: "",
      ratePerS: l.mspContactsPerDay / daySeconds,
      burst: l.mspContactsBurst,
    }),
    row("bytes", "address", { unit: "B", ratePerS: bytesPerS, burst: l.publicBytesPerMinute }),
  ];
}
