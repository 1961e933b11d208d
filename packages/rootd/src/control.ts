// The control service of whither-rootd: what every daemon has, over the one directory that it serves.

import type { DirectoryService } from "@whither/authority";
import {
  commonControl,
  createControlService,
  type ControlledDaemon,
  type ExpiryFact,
  type ZoneFact,
} from "@whither/control";
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
  readonly listener: Pick<Listener, "certificateNotAfter" | "close">;
}

export function createRootdControl(parts: RootdControlParts): ServiceRegistration {
  const { service, listener } = parts;
  const name = "whither-rootd";
  const handlers = commonControl({
    ...parts,
    name,
    version: packageVersion(import.meta.url),
    zones: () => [directoryFact(service)],
    expiries: () => expiries(parts),
    drain: () => listener.close(),
  });
  return createControlService({ name, handlers });
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
