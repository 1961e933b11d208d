import { readFileSync } from "node:fs";
import { expect } from "chai";
import { defaultAdmissionLimits } from "@whither/authority";
import { formatConfigError, parseYaml } from "@whither/runtime";
import { dpdSchema, type DpdConfig } from "./config.js";

const path = "/etc/whither/dpd.yaml";
const minimal = `dp: dp-a.example
state_directory: state
listen: {}
tls: { certificate_file: a.crt, key_file: a.key, client_ca_file: ca.pem }
directory: { anchors_file: anchors.json, file: root.signed }
zones:
  - { name: de@dp-a.example, manifest_file: de.manifest, zone_key_file: z.pem, voprf_key_file: v }
`;
const parse = (text: string): DpdConfig => parseYaml({ text, path, schema: dpdSchema });
const mistakes = (text: string): string => {
  try {
    parse(text);
  } catch (error) {
    return formatConfigError(error);
  }
  throw new Error("expected a mistake");
};

describe("dpd configuration", () => {
  it("may hold nothing but replicas, each zone once and with its probe", () => {
    const only = (entries: string): string =>
      minimal.replace(/zones:[^]*/, `replicas: [${entries}]\n`);
    const entry = "{ name: de@dp-x.example, probe: 'tel:+4930123456' }";
    expect(parse(only(entry)).replicas[0]).to.include({
      name: "de@dp-x.example",
      voprfKeyFile: undefined,
      primaries: undefined,
    });
    const full = entry.replace(" }", ", voprf_key_file: v, next_voprf_key_file: v2 }");
    expect(parse(only(full)).replicas[0]).to.include({
      voprfKeyFile: "/etc/whither/v",
      nextVoprfKeyFile: "/etc/whither/v2",
    });
    expect(mistakes(only(full.replace("voprf_key_file: v, ", "")))).to.include("beside it");
    expect(mistakes(only(`${entry}, ${entry}`))).to.include("each zone once");
    expect(mistakes(only("{ name: de@dp-x.example }"))).to.include("probe");
    expect(mistakes(only(""))).to.include("at least one zone or replica");
  });

  it("names secondaries by their pins, and the primary that names this process", () => {
    const pin = `sha256:${"A".repeat(43)}`;
    const zone = minimal.replace(
      "voprf_key_file: v }",
      `voprf_key_file: v, replication: { peers: [{ spki: ['${pin}'] }, { spki: ['${pin}'], vault: true }] } }`,
    );
    const spkiSha256 = [new Uint8Array(32)];
    expect(parse(minimal).zones[0]?.replication.peers).to.deep.equal([]);
    expect(parse(zone).zones[0]?.replication.peers).to.deep.equal([
      { spkiSha256, vault: false },
      { spkiSha256, vault: true },
    ]);
    expect(mistakes(zone.replace(pin, "sha256:short"))).to.include("a pin");
    const entry = `{ name: de@dp-a.example, probe: 'tel:+4930123456', replication: [{ server: "dp-a.example:7354", spki: ['${pin}'] }] }`;
    const replica = minimal.replace(/zones:[^]*/, `replicas: [${entry}]\n`);
    expect(parse(replica).replicas[0]?.replication).to.deep.equal([
      { host: "dp-a.example", port: 7354, spkiSha256, way: "replication" },
    ]);
    expect(mistakes(replica.replace(`, spki: ['${pin}']`, ""))).to.include("spki");
    expect(parse(replica.replace(/ }\]\n$/, ", vault: true }]\n")).replicas[0]?.vault).to.equal(
      true,
    );
    const alone = `{ name: de@dp-a.example, probe: 'tel:+4930123456', vault: true }`;
    expect(mistakes(minimal.replace(/zones:[^]*/, `replicas: [${alone}]\n`))).to.include(
      "beside it",
    );
  });

  it("takes a next VOPRF key beside a vault only", () => {
    const zone = (more: string): string => minimal.replace("voprf_key_file: v }", `${more} }`);
    const next = "voprf_key_file: v, next_voprf_key_file: v2";
    expect(parse(zone(`${next}, vault_key_file: k`)).zones[0]).to.include({
      nextVoprfKeyFile: "/etc/whither/v2",
    });
    expect(mistakes(zone(next))).to.include("vault_key_file beside it");
  });

  it("may hold nothing but parts of the directory, each zone once and its own", () => {
    const only = (entries: string): string =>
      minimal.replace(/zones:[^]*/, `directories: [${entries}]\n`);
    const entry = "{ name: sub@dp-a.example, apex: 'tel:+49', manifest_file: m, artefact_file: a }";
    expect(parse(only(entry)).directories).to.deep.equal([
      {
        name: "sub@dp-a.example",
        apex: "tel:+49",
        manifestFile: "/etc/whither/m",
        artefactFile: "/etc/whither/a",
      },
    ]);
    expect(mistakes(only(`${entry}, ${entry}`))).to.include("each zone once");
    expect(mistakes(only(entry.replace("dp-a", "dp-x")))).to.include("a zone of dp-a.example");
    expect(mistakes(only(entry.replace("tel:+49", "+49")))).to.include("a canonical prefix");
    expect(mistakes(`${minimal}directories: [${entry.replace("sub@", "de@")}]\n`)).to.include(
      "each zone once",
    );
  });

  it("takes a next zone key", () => {
    const more = minimal.replace(
      "voprf_key_file: v }",
      "voprf_key_file: v, next_zone_key_file: n }",
    );
    expect(parse(more).zones[0]).to.include({ nextZoneKeyFile: "/etc/whither/n" });
    expect(parse(minimal).zones[0]).to.include({ nextZoneKeyFile: undefined });
  });

  it("fills every default and starts relative paths from the file's directory", () => {
    const config = parse(minimal);
    expect(config.listen).to.deep.equal({
      clients: { host: "127.0.0.1", port: 7354 },
      public: { host: "127.0.0.1", port: 7364 },
    });
    expect(config.limits).to.deep.equal(defaultAdmissionLimits);
    expect(config.stateDirectory).to.equal("/etc/whither/state");
    expect(config.directory.source).to.deep.equal({
      kind: "file",
      path: "/etc/whither/root.signed",
    });
    expect(config).to.include({ logLevel: "info", metrics: undefined, voprfThreads: 1 });
    expect(config.zones[0]).to.include({ epoch: 1, storeCacheBytes: 8 * 1024 ** 2 });
  });

  it("takes the documented example, whose limits are the defaults", () => {
    const example = new URL("../../../configs/dpd.yaml", import.meta.url);
    const config = parse(readFileSync(example, "utf8"));
    expect(config.limits).to.deep.equal(defaultAdmissionLimits);
    expect(config.zones).to.have.length(1);
  });

  const table: [what: string, from: string, to: string, says: RegExp][] = [
    ["an unknown key", "dp:", "dpp:", /:1: dpp: got an unknown key/],
    ["a foreign zone", "de@dp-a", "de@dp-b", /:7: zones\[0\]\.name: .*a zone of dp-a\.example/],
    ["a bad zone name", "de@dp-a.example", "de", /zones\[0\]\.name: .*name@dp_id/],
    ["a port too many", "listen: {}", "listen: { public: '127.0.0.1:70000' }", /listen\.public/],
    ["no directory source", ", file: root.signed", "", /directory: .*either server/],
    [
      "two directory sources",
      ", file: root.signed",
      ", file: root.signed, server: '127.0.0.1:1'",
      /directory: .*either server/,
    ],
    [
      "a limit out of range",
      "listen: {}",
      "listen: {}\nlimits: { requests_burst: 0 }",
      /1\.\.1000000000/,
    ],
    [
      "a limit without unit",
      "listen: {}",
      "listen: {}\nlimits: { public_bytes_per_minute: 5 }",
      /MiB/,
    ],
    ["a probe that is not canonical", "{ name:", "{ probe: 'tel:49', name:", /probe: .*tel:\+49/],
    ["an epoch of 0", "{ name:", "{ epoch: 0, name:", /epoch: .*1\.\.4294967296/],
    [
      "a secret in place of its path",
      "zone_key_file: z.pem",
      "zone_key_file: '-----BEGIN PRIVATE KEY-----'",
      /zone_key_file: got what looks like a secret/,
    ],
  ];
  for (const [what, from, to, says] of table) {
    it(`refuses ${what}, naming file, line and key`, () => {
      expect(minimal).to.include(from);
      const text = mistakes(minimal.replace(from, to));
      expect(text).to.match(says);
      expect(text).to.match(/^\/etc\/whither\/dpd\.yaml:\d+: /);
    });
  }

  it("refuses one zone twice", () => {
    const line = minimal.split("\n").at(-2);
    expect(mistakes(`${minimal}${line ?? ""}\n`)).to.match(/zones\[1\]\.name: .*each zone once/);
  });
});
