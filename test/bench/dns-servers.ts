// Name servers that others wrote, each with the same records as the cached ones of whither-dnsd, on a port of
// loopback: the measure of what a DNS server can do on this machine. Only those installed take part.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { ForeignDaemon, pathOf, type ForeignProgram } from "../support/foreign-programs.js";
import { host } from "./federation.js";

export interface DnsZone {
  readonly directory: string;
  readonly suffix: string;
  /** Presentation format. */
  readonly zoneFile: string;
}

export interface ServerRecipe {
  readonly title: string;
  readonly program: ForeignProgram;
  readonly config: (of: DnsZone & { readonly port: number }) => string;
  readonly args: (configFile: string) => readonly string[];
  readonly ready: RegExp;
  /** What our rate a server core should be, as a share of this server's (performance.md). */
  readonly target: number;
}

export const recipes: readonly ServerRecipe[] = [
  {
    title: "NSD",
    program: { name: "nsd", debianPackage: "nsd" },
    config: ({ directory, suffix, zoneFile, port }) => `server:
  ip-address: ${host}@${port}
  server-count: 1
  username: ""
  chroot: ""
  zonesdir: "${directory}"
  database: ""
  pidfile: "${directory}/nsd.pid"
  xfrdfile: "${directory}/nsd.xfrd"
  zonelistfile: "${directory}/nsd.zones"
  verbosity: 1
  rrl-ratelimit: 0
remote-control:
  control-enable: no
zone:
  name: "${suffix}"
  zonefile: "${zoneFile}"
`,
    args: (config) => ["-d", "-c", config],
    ready: /nsd started/,
    target: 0.5,
  },
  {
    title: "Knot",
    program: { name: "knotd", debianPackage: "knot" },
    config: ({ directory, suffix, zoneFile, port }) => `server:
  listen: ${host}@${port}
  rundir: "${directory}"
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
log:
  - target: stderr
    any: info
database:
  storage: "${directory}/knot"
zone:
  - domain: ${suffix}
    file: "${zoneFile}"
    journal-content: none
    zonefile-load: whole
    zonefile-sync: -1
`,
    args: (config) => ["-c", config],
    ready: /server started/,
    target: 0.5,
  },
  {
    title: "BIND",
    program: { name: "named", debianPackage: "bind9" },
    config: ({ directory, suffix, zoneFile, port }) => `options {
  directory "${directory}";
  listen-on port ${port} { ${host}; };
  listen-on-v6 { none; };
  pid-file none;
  session-keyfile none;
  recursion no;
  minimal-responses yes;
};
controls { };
zone "${suffix}" { type primary; file "${zoneFile}"; };
`,
    args: (config) => ["-g", "-n", "1", "-c", config],
    ready: /\brunning$/,
    target: 0.8,
  },
  {
    title: "Unbound",
    program: { name: "unbound", debianPackage: "unbound" },
    config: ({ directory, suffix, zoneFile, port }) => `server:
  interface: ${host}
  port: ${port}
  num-threads: 1
  directory: "${directory}"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  verbosity: 1
  module-config: "iterator"
auth-zone:
  name: "${suffix}"
  zonefile: "${zoneFile}"
  for-downstream: yes
  for-upstream: no
remote-control:
  control-enable: no
`,
    args: (config) => ["-d", "-c", config],
    ready: /start of service/,
    target: 1.8,
  },
];

export interface RunningServer extends AsyncDisposable {
  readonly pid: number;
}

/** Undefined where it is not installed. */
export async function startServer(
  { title, program, config, args, ready }: ServerRecipe,
  of: DnsZone & { readonly port: number },
): Promise<RunningServer | undefined> {
  if (pathOf(program) === undefined) return undefined;
  const path = join(of.directory, `${title}.conf`);
  writeFileSync(path, config(of));
  return await ForeignDaemon.start(program, args(path), ready);
}
