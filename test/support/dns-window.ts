// whither-dnsd before a small federation of real processes, for clients that nobody here wrote.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeFederation, RunningFederation, type FederationFiles } from "./federation.js";
import { registerPeople, type Person } from "./people.js";
import { Daemon } from "./processes.js";
import { rootZoneYaml } from "./root-zone.js";

const rootZone = rootZoneYaml({
  "tel:": "{ unassigned: true, name: E.164 }",
  "tel:+49": "{ zones: [de@dp-a.example], name: Germany }",
});

/** Registered with two providers; the one after it with nobody. */
export const reachable: Person = {
  csi: "tel:+4930901820001",
  msps: [{ id: "video.example" }, { id: "wire.example" }],
};
export const reachableName = "1.0.0.0.2.8.1.0.9.0.3.9.4.e164.arpa";
export const absentName = "2.0.0.0.2.8.1.0.9.0.3.9.4.e164.arpa";

export class DnsWindow implements AsyncDisposable {
  readonly port: number;
  /** Of the dnsd. */
  readonly config: string;
  readonly federation: RunningFederation;
  readonly dnsd: Daemon;
  readonly #files: FederationFiles;

  private constructor(
    federation: RunningFederation,
    { dnsd, port, config }: Pick<DnsWindow, "config" | "dnsd" | "port">,
  ) {
    this.federation = federation;
    this.#files = federation.files;
    this.dnsd = dnsd;
    this.port = port;
    this.config = config;
  }

  /** `uri` is the template of every provider. */
  static async start(of: { readonly listen: string; readonly uri: string }): Promise<DnsWindow> {
    const directory = await mkdtemp(join(tmpdir(), "whither-dns-"));
    const dp = { id: "dp-a.example", operator: "Operator A", jurisdiction: "DE" };
    const files = await makeFederation({
      directory,
      plan: {
        dps: [{ ...dp, zones: ["de@dp-a.example"] }],
        msps: [
          { id: "wire.example", operator: "Operator W", bit: 0 },
          { id: "video.example", operator: "Operator V", bit: 1 },
        ],
        rootZone,
      },
    });
    const federation = await RunningFederation.start(files);
    try {
      await registerPeople(files, [reachable]);
      const config = files.path("dnsd.yaml");
      await writeFile(config, dnsdYaml(files, of));
      const dnsd = await Daemon.start("whither-dnsd", ["--config", config]);
      const { port } = await dnsd.waitFor("listening");
      return new DnsWindow(federation, { dnsd, port: Number(port), config });
    } catch (error) {
      await federation[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dnsd[Symbol.asyncDispose]();
    await this.federation[Symbol.asyncDispose]();
    await rm(this.#files.directory, { recursive: true, force: true });
  }
}

/** Configuration of a dnsd that asks as the federation's first MSP. */
export function dnsdYaml(
  files: FederationFiles,
  { listen, uri }: { readonly listen: string; readonly uri: string },
): string {
  const asMsp = files.plan.msps[0]?.id ?? "";
  return `state_directory: dnsd.state
listen: ${listen}
directory: { anchors_file: anchors.json, server: 127.0.0.1:${files.rootFrontPort} }
identity: { certificate_file: pki/${asMsp}.pem, key_file: pki/${asMsp}-key.pem }
services:
  default: [{ service: E2U+sip, uri: "${uri}" }]
`;
}
