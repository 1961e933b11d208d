// The control service of whither-rootd: what every daemon has, over the one directory that it serves.

import type { DirectoryService } from "@whither/authority";
import type { AuthorityHealth, DelegationHealth } from "@whither/directory";
import {
  commonControl,
  createControlService,
  type ControlledDaemon,
  type ExpiryFact,
  type ZoneFact,
} from "@whither/control";
import { DiscoveryError } from "@whither/protocol";
import type { ServiceRegistration } from "@whither/rpc";
import { packageVersion } from "@whither/runtime";
import type { RootdConfig } from "./config.js";
import type { Listener } from "./listener.js";

export interface RootdControlParts extends Omit<
  ControlledDaemon,
  "config" | "drain" | "expiries" | "name" | "version" | "zones"
> {
  /** In force. */
  readonly config: () => RootdConfig;
  readonly service: Pick<DirectoryService, "directory">;
  readonly health: Pick<DelegationHealth, "list">;
  readonly listener: Pick<Listener, "certificateNotAfter" | "close">;
}

export function createRootdControl(parts: RootdControlParts): ServiceRegistration {
  const { service, health, listener } = parts;
  const name = "whither-rootd";
  const handlers = commonControl({
    ...parts,
    name,
    version: packageVersion(import.meta.url),
    zones: () => [directoryFact(service)],
    expiries: () => expiries(parts),
    drain: () => listener.close(),
  });
  return createControlService({
    name,
    handlers: { ...handlers, zoneHealth: ({ zone }) => healthRows(health, zone) },
  });
}

/** Of a zone, or of all with "". Throws NOT_AUTHORITATIVE. */
async function* healthRows(health: Pick<DelegationHealth, "list">, zone: string) {
  await Promise.resolve();
  const rows = health.list().filter((row) => zone === "" || row.zone === zone);
  if (zone !== "" && rows.length === 0) {
    throw new DiscoveryError("NOT_AUTHORITATIVE", "the directory names no zone like that");
  }
  yield* rows.map(healthRow);
}

function healthRow(row: AuthorityHealth) {
  const { zone, endpoint: server, state, prefix, prefixes, sinceSeconds } = row;
  const age = row.headAgeSeconds;
  return {
    ...{ zone, server, state, prefix, prefixes },
    since: BigInt(sinceSeconds),
    lastError: row.lastError ?? "",
    ...(age === undefined ? {} : { headAgeS: age }),
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

function expiries({ config, service, listener }: RootdControlParts): readonly ExpiryFact[] {
  const { tls, artefactFile } = config();
  return [
    {
      what: "tls certificate",
      subject: tls.certificateFile,
      notAfter: listener.certificateNotAfter(),
    },
    { what: "directory", subject: artefactFile, notAfter: service.directory.head.notAfter },
  ];
}
