// The control service of whither-dnsd: what every daemon has, and what its resolver remembers. Identifiers are
// shown as keyed hashes; replies that were made of a flushed entry go with it.

import {
  commonControl,
  createControlService,
  type ControlHandlers,
  type ControlledDaemon,
  type ExpiryFact,
} from "@whither/control";
import { DiscoveryError, parsePrefix } from "@whither/protocol";
import type { CacheFlush, CacheRow, InfraRow, Resolver } from "@whither/resolver";
import type { ServiceRegistration } from "@whither/rpc";
import { packageVersion } from "@whither/runtime";
import type { FlushCacheRequest } from "@whither/wire";
import type { DnsdConfig } from "./config.js";
import type { Front } from "./front.js";

export interface DnsdControlParts extends Omit<
  ControlledDaemon,
  "config" | "expiries" | "name" | "version" | "zones"
> {
  /** In force. */
  readonly config: () => DnsdConfig;
  readonly resolver: Pick<Resolver, "cache" | "identityNotAfter" | "infra">;
  readonly front: Pick<Front, "flush">;
}

export function createDnsdControl(parts: DnsdControlParts): ServiceRegistration {
  const { config, resolver } = parts;
  const name = "whither-dnsd";
  const common = commonControl({
    ...parts,
    name,
    version: packageVersion(import.meta.url),
    zones: () => [],
    expiries: () => dnsdExpiries(config(), resolver),
  });
  return createControlService({ name, handlers: { ...common, ...resolverHandlers(parts) } });
}

/** The client certificate, without which nobody answers. */
export function dnsdExpiries(
  { identity }: Pick<DnsdConfig, "identity">,
  resolver: Pick<Resolver, "identityNotAfter">,
): readonly ExpiryFact[] {
  const notAfter = resolver.identityNotAfter();
  if (notAfter === undefined) return [];
  return [{ what: "tls certificate", subject: identity.certificateFile, notAfter }];
}

function resolverHandlers({ resolver, front }: DnsdControlParts): ControlHandlers {
  return {
    async *dumpCache({ limit }) {
      let rows = 0;
      for await (const row of resolver.cache.dump()) {
        yield cacheRow(row);
        rows += 1;
        if (rows === limit) return;
      }
    },
    flushCache: ({ what }) => {
      const removed = resolver.cache.flush(flushOf(what));
      front.flush();
      return { removed: BigInt(removed) };
    },
    async *dumpInfra() {
      await Promise.resolve();
      for (const row of resolver.infra()) yield* infraRows(row);
    },
  };
}

function cacheRow(row: CacheRow) {
  switch (row.kind) {
    case "answer":
      return {
        kind: row.status === "found" ? "slot" : "absence",
        subject: row.contact,
        ttlS: BigInt(row.ttlSeconds),
        bytes: BigInt(row.bytes),
        hits: BigInt(row.hits),
        detail: `${row.form} ${row.status} in ${row.zones.join(", ")}`,
      };
    case "failure":
      return {
        kind: "failure",
        subject: row.contact,
        ttlS: BigInt(row.waitSeconds),
        detail: [row.form, row.code, row.upstream].filter((word) => word !== "").join(" "),
      };
    case "zone":
      return {
        kind: "head",
        subject: row.zone,
        detail: `kid ${row.kid}, ${row.serial === undefined ? "no head" : `serial ${row.serial}`}`,
      };
  }
}

/** Throws INVALID_DATA. */
function flushOf(what: FlushCacheRequest["what"]): CacheFlush {
  switch (what.case) {
    case "all":
    case "negative":
    case "failures":
      if (what.value) return { kind: what.case };
      break;
    case "subtree":
      return { kind: "subtree", prefix: parsePrefix(what.value) };
    case undefined:
  }
  throw new DiscoveryError("INVALID_DATA", "flush: expected what to remove");
}

/** The server, and each zone that it serves badly. */
function infraRows(row: InfraRow) {
  const { server, srttMs = 0, rttVarMs: rttvarMs = 0, timeouts, nextProbeMs: retryMs } = row;
  const common = { server, srttMs, rttvarMs, timeouts, retryMs, down: row.state === "down" };
  const failure = row.lastFailure === undefined ? "" : `, last ${row.lastFailure}`;
  return [
    { ...common, detail: `${row.state}${failure}` },
    ...row.lame.map(({ zone, code, forMs }) => ({
      ...common,
      zone,
      detail: `${code} for ${Math.round(forMs / 1_000)} s more`,
    })),
  ];
}
