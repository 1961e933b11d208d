import { readFile } from "node:fs/promises";
import { expect } from "chai";
import { isDiscoveryError } from "@whither/protocol";
import { parseYaml } from "@whither/runtime";
import {
  clientSchema,
  directoryAddress,
  readClientConfig,
  type ClientConfig,
} from "./client-config.js";

const parse = (text: string): ClientConfig =>
  parseYaml({ text, path: "/etc/whither/config.yaml", schema: clientSchema });

describe("configuration of whither", () => {
  it("takes the documented file as it stands", async () => {
    const text = await readFile(new URL("../../../configs/whither.yaml", import.meta.url), "utf8");
    const config = parse(text);
    expect(config.anchors).to.equal("/etc/whither/anchors.json");
    expect(config.identity?.key).to.equal("/etc/whither/client-key.pem");
    expect(config.mirror).to.equal(true);
  });

  it("takes the documented file with every commented line switched on", async () => {
    const text = await readFile(new URL("../../../configs/whither.yaml", import.meta.url), "utf8");
    const all = parse(
      text.replace(
        /^# ((?:region|own_msp|msps|replicas|name_servers|domain_suggestions):| {2}- )/gm,
        "$1",
      ),
    );
    expect(all.replicas).to.deep.equal([
      {
        zone: "de@dp-a.example",
        host: "replica.example",
        port: 7364,
        pins: [new Uint8Array(32)],
        jurisdiction: "DE",
      },
    ]);
    expect(all.name_servers).to.deep.equal([
      { host: "192.0.2.53", port: 53 },
      { host: "2001:db8::53", port: 5353 },
    ]);
    expect(all.domain_suggestions).to.equal(true);
    expect([all.region, all.own_msp, all.msps[0]?.accounts]).to.deep.equal([
      "DE",
      "wire.example",
      "/etc/whither/wire-accounts.jsonl",
    ]);
  });

  const mistakes: readonly (readonly [yaml: string, text: string])[] = [
    [
      "anchors: a\ndirectory: dns:r.example\nname_servers: [ns.example]",
      'name_servers[0]: got "ns.example", expected an address of a name server',
    ],
    [
      "anchors: a\ndirectory: dns:r..example",
      "expected host:port of a directory, dns: and a domain",
    ],
    ["directory: r.example", "anchors: got nothing, expected a path"],
    ["anchors: a\ndirectory: r.example\nanchor: b", "anchor: got an unknown key"],
    [
      "anchors: a\ndirectory: r.example\nregion: Germany",
      'region: got "Germany", expected a country code',
    ],
    ["anchors: a\ndirectory: r.example\nidentity: { cert: c }", "identity.key: got nothing"],
    [
      'anchors: a\ndirectory: r.example\nreplicas: [{ zone: de@dp-a.example, server: "r:1", pins: [x] }]',
      "replicas[0].pins[0]: got",
    ],
    [
      "anchors: a\ndirectory: r.example\nmsps: [{ id: W.example, key_file: k, accounts: a }]",
      'msps[0].id: got "W.example", expected the id of an MSP',
    ],
  ];
  for (const [yaml, text] of mistakes) {
    it(`is refused where ${text}`, () => {
      let message = "";
      try {
        parse(yaml);
      } catch (error) {
        if (isDiscoveryError(error, "CONFIG") && error.cause instanceof Error) {
          message = error.cause.message;
        }
      }
      expect(message)
        .to.contain(text)
        .and.to.match(/^\/etc\/whither\/config\.yaml:\d+: /);
    });
  }

  const addresses: readonly (readonly [text: string, address: string | undefined])[] = [
    ["root.example", "root.example:7363"],
    ["root.example:9", "root.example:9"],
    ["192.0.2.1", "192.0.2.1:7363"],
    ["[2001:db8::1]", "[2001:db8::1]:7363"],
    ["[2001:db8::1]:9", "[2001:db8::1]:9"],
    ["file:root.signed", "/etc/root.signed"],
    ["file:///srv/root.signed", "/srv/root.signed"],
    ["root.signed", "/etc/root.signed"],
    ["./root", "/etc/root"],
    ["/srv/root", "/srv/root"],
    ["dns:example.org", "dns:example.org"],
    ["dns:Example.ORG.", "dns:example.org"],
    ["dns:", undefined],
    ["dns:a/b", undefined],
    ["", undefined],
  ];
  for (const [text, address] of addresses) {
    it(`directory ${JSON.stringify(text)} is ${address ?? "refused"}`, () => {
      expect(directoryAddress(text, "/etc")).to.equal(address);
    });
  }

  it("that nobody has written yet names the place where it would stand", async () => {
    let path = "";
    try {
      await readClientConfig({ named: undefined, env: { HOME: "/nowhere" } });
    } catch (error) {
      if (error instanceof Error && "path" in error) path = String(error.path);
    }
    expect(path).to.equal("/nowhere/.config/whither/config.yaml");
  });
});
