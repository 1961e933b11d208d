// A federation of one discovery provider for benchmarks: the real whither-dpd in a process of its own on
// loopback, TLS 1.3 with client certificates, its zone filled by the generator, its limits active but out of
// reach. The root directory is a signed file, so that no root server is in the figures.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { encodePrivateKeyPem, encodeVoprfKey } from "@whither/crypto/node";
import { parsePrefix, type Authority, type Csi, type Node } from "@whither/protocol";
import { createResolver, type Resolver } from "@whither/resolver";
import { openChannel, spkiSha256OfPem, type Channel, type TlsIdentity } from "@whither/rpc";
import { systemClock, systemRandom, type VoprfEngine } from "@whither/runtime";
import { openLevelStore } from "@whither/store";
import {
  fillerBodyBytes,
  fixedBytes,
  generateFillers,
  makeRealSlots,
  makeRegistrationParties,
  makeRootFixture,
  openTestZone,
  type RealSlot,
  type RegistrationParties,
  type RootFixture,
} from "@whither/testkit";
import { encodeManifest, encodeSignedObject } from "@whither/wire";
import {
  bucketIndex,
  compareParties,
  depthFor,
  encodeArtefact,
  formatAnchors,
  signDirectory,
} from "@whither/zone";
import { createTestCa } from "../../packages/rpc/test/certificates.js";

export const host = "127.0.0.1";
const root = new URL("../../", import.meta.url);
const day = 86_400;
const startTimeoutMs = 60_000;

export interface Federation extends AsyncDisposable {
  /** Of its files: anchors.json, root.directory, client.crt and client.key among them. */
  readonly directory: string;
  readonly parties: RegistrationParties;
  readonly real: readonly RealSlot[];
  readonly slots: number;
  readonly depth: number;
  /** Of the daemon that runs now. */
  readonly pid: number;
  readonly certificates: Certificates;
  /** A connection in the client's own name. The caller closes it. */
  readonly openChannel: () => Channel & Disposable;
  /** Ends the daemon and starts it again on its store. Gives the seconds from exec to serving. */
  readonly restart: () => Promise<number>;
  readonly openResolver: (options?: {
    readonly cacheBytes?: number;
    readonly voprf?: VoprfEngine;
  }) => Promise<Resolver>;
}

export interface Certificates {
  readonly caPem: string;
  readonly server: TlsIdentity;
  readonly client: TlsIdentity;
}

export interface FederationOptions {
  /** Slots of the zone, the real ones included. */
  readonly slots: number;
  /** Registered identifiers. */
  readonly csis: readonly Csi[];
  /** Whether the other slots of their buckets have bodies, as verbose lookups need. */
  readonly bodies: boolean;
}

export async function makeCertificates(): Promise<Certificates> {
  const ca = await createTestCa("bench CA");
  return {
    caPem: ca.caPem,
    server: await ca.issue([{ type: "ip", value: host }]),
    client: await ca.issue([{ type: "dns", value: "msp.example" }]),
  };
}

export async function openFederation(options: FederationOptions): Promise<Federation> {
  const directory = mkdtempSync(join(tmpdir(), "whither-bench-"));
  const nowSeconds = systemClock.nowSeconds();
  const certificates = await makeCertificates();
  const [port, publicPort] = [await freePort(), await freePort()];
  const spki = spkiSha256OfPem(certificates.server.certPem);
  const pins = { spkiSha256: [spki], jurisdiction: "", operator: "" };
  const endpoint = { host, port, publicPort, ...pins };
  const parties = makeRegistrationParties({ nowSeconds, dp: { endpoints: [endpoint] } });
  const anchors = makeRootFixture({ nowSeconds, tlsCaPem: [certificates.caPem] });
  const real = await makeRealSlots({ parties, csis: options.csis });
  writeFiles({ directory, parties, anchors, certificates, port, publicPort });
  await fillZone({ directory, parties, real, ...options });
  let dpd = await startDpd(directory);
  const end = async (): Promise<void> => {
    dpd.kill("SIGTERM");
    if (dpd.exitCode === null) await once(dpd, "exit");
  };
  return {
    directory,
    parties,
    real,
    slots: options.slots,
    depth: depthFor(options.slots),
    get pid() {
      return pidOf(dpd);
    },
    certificates,
    openChannel: () =>
      openChannel({
        host,
        port,
        pins: [spki],
        caPem: certificates.caPem,
        identity: certificates.client,
      }),
    restart: async () => {
      await end();
      const startMs = performance.now();
      dpd = await startDpd(directory);
      return (performance.now() - startMs) / 1e3;
    },
    openResolver: (own = {}) =>
      createResolver({
        anchors: anchors.anchors,
        directory: join(directory, "root.directory"),
        identity: { cert: certificates.client.certPem, key: certificates.client.keyPem },
        ...own,
      }),
    async [Symbol.asyncDispose]() {
      await end();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function pidOf({ pid }: ChildProcess): number {
  if (pid === undefined) throw new TypeError("a started process has a pid");
  return pid;
}

function writeFiles(of: {
  readonly directory: string;
  readonly parties: RegistrationParties;
  readonly anchors: RootFixture;
  readonly certificates: Certificates;
  readonly port: number;
  readonly publicPort: number;
}): void {
  const { directory, parties, anchors, certificates, port, publicPort } = of;
  const { zone, dp } = parties;
  const write = (name: string, content: string | Uint8Array): void => {
    writeFileSync(join(directory, name), content, { mode: 0o600 });
  };
  const manifest = { payload: encodeManifest(parties.manifest), signatures: [] };
  write("zone.manifest", encodeSignedObject(manifest));
  write("zone.pem", encodePrivateKeyPem(fixedBytes("key zone")));
  write("zone.voprf", encodeVoprfKey(parties.voprfKeys.secretKey));
  write("anchors.json", formatAnchors(anchors.anchors));
  write("root.directory", signRoot(parties, anchors));
  write("ca.pem", certificates.caPem);
  write("dp.crt", certificates.server.certPem);
  write("dp.key", certificates.server.keyPem);
  write("client.crt", certificates.client.certPem);
  write("client.key", certificates.client.keyPem);
  write(
    "dpd.yaml",
    `dp: ${dp.id}
state_directory: state
log_level: info
listen: { clients: "${host}:${port}", public: "${host}:${publicPort}" }
tls: { certificate_file: dp.crt, key_file: dp.key, client_ca_file: ca.pem }
directory: { anchors_file: anchors.json, file: root.directory }
zones:
  - { name: ${zone}, manifest_file: zone.manifest, zone_key_file: zone.pem, voprf_key_file: zone.voprf, store_cache: 64MiB }
voprf_threads: 1
limits:
  requests_per_second: 1000000000
  requests_burst: 1000000000
  cpu_ms_per_second: 1000000000
  cpu_burst_ms: 1000000000
  client_contacts_per_day: 1000000000
  client_contacts_burst: 1000000000
  msp_contacts_per_day: 1000000000
  msp_contacts_burst: 1000000000
  public_bytes_per_minute: 1000GiB
`,
  );
}

/** One delegation for all telephone numbers. */
function signRoot(parties: RegistrationParties, root: RootFixture): Uint8Array {
  const { nowSeconds, zone, dp, prover, msps, manifestSha256 } = parties;
  const authority: Authority = {
    zone,
    dpId: dp.id,
    kind: "mappings",
    relayOnly: false,
    manifestSha256: [manifestSha256],
    endpoints: dp.endpoints,
  };
  const node = (prefix: string, rest: Partial<Node>) => ({
    prefix: parsePrefix(prefix),
    disposition: "unassigned" as const,
    firstChild: "",
    nextSibling: "",
    authorities: [],
    ttlSeconds: day,
    ...rest,
  });
  const compiled = {
    nodes: [
      node(".", { firstChild: "tel" }),
      node("tel:", { disposition: "delegated", authorities: [authority] }),
    ],
    parties: [dp, ...msps, prover].toSorted(compareParties),
    lifetimeSeconds: 7 * day,
    refreshSeconds: 900,
    retrySeconds: 300,
    expireSeconds: 7 * day,
    federationDefault: "local" as const,
  };
  const { rootKeys, zsk: signer } = root;
  return encodeArtefact(signDirectory({ compiled, rootKeys, signer, nowSeconds }));
}

async function fillZone(
  of: FederationOptions & {
    readonly directory: string;
    readonly parties: RegistrationParties;
    readonly real: readonly RealSlot[];
  },
): Promise<void> {
  const { directory, parties, real, slots, bodies } = of;
  const path = join(directory, "state", "zones", parties.zone, "store");
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const b = depthFor(slots);
  const asked = new Set(real.map(({ slot }) => bucketIndex(slot.idx, b)));
  const fillers = generateFillers({
    count: slots - real.length,
    seed: `federation ${slots}`,
    ...(bodies ? { bodyBytes: fillerBodyBytes } : {}),
    hasBody: (idx) => asked.has(bucketIndex(idx, b)),
  });
  function* all() {
    for (const { slot } of real) yield slot;
    yield* fillers;
  }
  await using store = await openLevelStore({ path, writeBufferBytes: 64 * 1024 * 1024 });
  await using zone = await openTestZone({
    parties,
    clock: systemClock,
    random: systemRandom,
    store,
  });
  await zone.loadEntries(all());
}

async function startDpd(directory: string): Promise<ChildProcess> {
  const main = new URL("packages/dpd/dist/main.js", root);
  const dpd = spawn(process.execPath, [main.pathname, "--config", join(directory, "dpd.yaml")], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const log: string[] = [];
  const tooLate = setTimeout(() => dpd.kill(), startTimeoutMs);
  for await (const line of createInterface({ input: dpd.stderr })) {
    log.push(line);
    if (line.includes('"listening"')) {
      clearTimeout(tooLate);
      dpd.stderr.resume();
      return dpd;
    }
  }
  throw new Error(`whither-dpd did not start:\n${log.join("\n")}`);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, host);
  await once(server, "listening");
  const address = server.address();
  server.close();
  if (address === null || typeof address === "string") throw new TypeError("expected a port");
  return address.port;
}
