import { readFileSync } from "node:fs";
import { expect } from "chai";
import { formatConfigError, parseYaml } from "@whither/runtime";
import { dnsdSchema, type DnsdConfig } from "./config.js";

const path = "/etc/whither/dnsd.yaml";
const minimal = `directory: { anchors_file: anchors.json, server: "127.0.0.1:7363" }
identity: { certificate_file: w.crt, key_file: w.key }
`;
const parse = (text: string): DnsdConfig => parseYaml({ text, path, schema: dnsdSchema });
const mistakes = (text: string): string => {
  try {
    parse(text);
  } catch (error) {
    return formatConfigError(error);
  }
  throw new Error("expected a mistake");
};

describe("dnsd configuration", () => {
  it("fills every default: loopback only", () => {
    const config = parse(minimal);
    expect(config.listen).to.deep.equal({ host: "127.0.0.1", port: 5300 });
    expect(config).to.include({ suffix: "e164.arpa", lookupTimeoutMs: 4_000 });
    expect(config.allow).to.deep.equal([]);
    expect(config.services.default).to.deep.equal([
      { service: "E2U+sip", uri: "sip:{number}@{msp}" },
    ]);
    expect(config.directory.source).to.equal("127.0.0.1:7363");
  });

  it("takes the documented example, whose limits are the defaults", () => {
    const example = new URL("../../../configs/dnsd.yaml", import.meta.url);
    const config = parse(readFileSync(example, "utf8"));
    expect(config.limits).to.deep.equal(parse(minimal).limits);
    expect(config.cacheBytes).to.equal(parse(minimal).cacheBytes);
    expect([...config.services.byMsp.keys()]).to.deep.equal(["wire.example"]);
  });

  it("takes a directory that the DNS names, with its name servers", () => {
    const text = minimal.replace(
      'server: "127.0.0.1:7363"',
      'dns: example.org, name_servers: ["::1"]',
    );
    expect(parse(text).directory).to.deep.include({
      source: "dns:example.org",
      nameServers: [{ host: "::1", port: 53 }],
    });
    const both = minimal.replace("server:", "dns: example.org, server:");
    expect(mistakes(both)).to.match(/:1: directory: .*one of server/);
  });

  const table: [what: string, more: string, says: RegExp][] = [
    ["an unknown key", "sufix: e164.arpa", /:3: sufix: got an unknown key/],
    ["a service that is none", service("sip", "sip:{number}@x"), /an ENUM service/],
    ["a URI that ends the regexp", service("E2U+sip", "sip:a!b@x"), /a URI/],
    ["a back reference", service("E2U+sip", "sip:\\\\1@x"), /a URI/],
    ["an unknown placeholder", service("E2U+sip", "sip:{name}@x"), /a URI/],
    ["text that is no URI", service("E2U+sip", "{number}"), /a URI/],
    ["a network without length", "allow: [192.0.2.1]", /a network such as/],
    ["a network too long", "allow: [192.0.2.0/33]", /a network such as/],
    ["a suffix in capitals", "suffix: E164.arpa", /a domain in lower case/],
    ["a cache without unit", "cache: 5", /with its unit/],
  ];
  for (const [what, more, says] of table) {
    it(`refuses ${what}, naming file and line`, () => {
      const text = mistakes(`${minimal}${more}\n`);
      expect(text).to.match(says);
      expect(text).to.match(/^\/etc\/whither\/dnsd\.yaml:3/);
    });
  }
});

function service(name: string, uri: string): string {
  return `services: { default: [{ service: "${name}", uri: "${uri}" }] }`;
}
