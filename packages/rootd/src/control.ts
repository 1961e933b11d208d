// The control service of whither-rootd: what every daemon has, over the one directory that it serves.

import type { DirectoryService } from "@whither/authority";
import type { AuthorityHealth, DelegationHealth } from "@whither/directory";
import {
  commonControl,
  createControlService,
  type ControlledDaemon,
  type ZoneFact,
} from "@whither/control";
import { DiscoveryError, type ErrorCode } from "@whither/protocol";
import type { ServiceRegistration } from "@whither/rpc";
import { packageVersion } from "@whither/runtime";
import type { RootdConfig } from "./config.js";
import type { Listener } from "./listener.js";
import type { Withdrawals } from "./withdrawals.js";

export interface RootdControlParts extends Omit<
  ControlledDaemon,
  "config" | "drain" | "name" | "version" | "zones"
> {
  /** In force. */
  readonly config: () => RootdConfig;
  readonly service: Pick<DirectoryService, "directory">;
  readonly health: Pick<DelegationHealth, "list">;
  readonly listener: Pick<Listener, "close">;
  /** Undefined: nothing is withdrawn. */
  readonly withdrawals: Pick<Withdrawals, "why"> | undefined;
}

export function createRootdControl(parts: RootdControlParts): ServiceRegistration {
  const { service, listener } = parts;
  const name = "whither-rootd";
  const handlers = commonControl({
    ...parts,
    name,
    version: packageVersion(import.meta.url),
    zones: () => [directoryFact(service)],
    drain: () => listener.close(),
  });
  return createControlService({
    name,
    handlers: { ...handlers, zoneHealth: ({ zone }) => healthRows(parts, zone) },
  });
}

/** Of a zone, or of all with "". Throws NOT_AUTHORITATIVE. */
async function* healthRows(
  { health, withdrawals }: Pick<RootdControlParts, "health" | "withdrawals">,
  zone: string,
) {
  await Promise.resolve();
  const rows = health.list().filter((row) => zone === "" || row.zone === zone);
  if (zone !== "" && rows.length === 0) {
    throw new DiscoveryError("NOT_AUTHORITATIVE", "the directory names no zone like that");
  }
  yield* rows.map((row) => healthRow(row, withdrawals?.why(row.zone)));
}

function healthRow(row: AuthorityHealth, why: ErrorCode | undefined) {
  const { zone, endpoint: server, state, prefix, prefixes, sinceSeconds, withdrawnAt } = row;
  const age = row.headAgeSeconds;
  return {
    ...{ zone, server, state, prefix, prefixes },
    since: BigInt(sinceSeconds),
    lastError: row.lastError ?? "",
    ...(age === undefined ? {} : { headAgeS: age }),
    ...(withdrawnAt === undefined
      ? {}
      : { withdrawnAt: BigInt(withdrawnAt), withdrawnWhy: why ?? "" }),
  };
}

function directoryFact({ directory }: RootdControlParts["service"]): ZoneFact {
  const { epoch, serial, nodeCount, notBefore, notAfter } = directory.head;
  return {
    zone: ".",
    kind: "directory",
    serving: true,
    epoch,
    serial,
    size: nodeCount,
    depth: 0,
    signedAt: notBefore,
    notAfter,
    manifestSha256: "",
  };
}
