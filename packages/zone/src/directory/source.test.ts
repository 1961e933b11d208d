import { expect } from "chai";
import fc from "fast-check";
import { isDiscoveryError } from "@whither/protocol";
import { registryFixtureText, rootSourceText } from "@whither/testkit";
import { parseRegistrySource } from "./registry-source.js";
import { parseRootSource } from "./root-source.js";
import { parseUtcTime } from "./source-fields.js";
import { SourceError } from "./yaml-source.js";

/** Lines of the mistakes that a source has. */
function mistakes(parse: () => unknown): readonly string[] {
  try {
    parse();
  } catch (error) {
    if (isDiscoveryError(error, "CONFIG") && error.cause instanceof SourceError) {
      expect(Buffer.byteLength(error.text)).to.be.at.most(64);
      return error.cause.message.split("\n");
    }
    throw error;
  }
  return [];
}

const root = (text: string): readonly string[] =>
  mistakes(() => parseRootSource({ text, file: "root.zone.yaml" }));
const registry = (text: string): readonly string[] =>
  mistakes(() => parseRegistrySource({ text, file: "registry.yaml" }));

describe("root.zone.yaml", () => {
  it("reads entries, ranges and defaults", () => {
    const text = rootSourceText([
      `"tel:+770090..+770094": { zones: [rest@dp-c.example], name: a range, ttl_s: 60 }`,
      `"mailto:example.org": { zones: [mail@dp-a.example], expected_csis: 5000, relay_only: true }`,
      `"tel:": { parent: true }`,
    ]);
    const source = parseRootSource({ text, file: "f" });
    expect(source).to.include({ lifetimeSeconds: 604_800, federationDefault: "local" });
    expect(source.entries.map(({ key, line }) => [key, line])).to.deep.equal([
      ["tel:+770090..+770094", 9],
      ["mailto:example.org", 10],
      ["tel:", 11],
    ]);
    expect(source.entries[0]?.prefixes).to.deep.equal(
      [0, 1, 2, 3, 4].map((digit) => `tel:+77009${digit}`),
    );
    expect(source.entries[0]).to.include({ ttlSeconds: 60, relayOnly: false });
    expect(source.entries[1]).to.include({ expectedCsis: 5000, relayOnly: true, ttlSeconds: 3600 });
    expect(source.entries[2]?.content).to.deep.equal({ kind: "parent" });
  });

  const wrong: readonly (readonly [title: string, lines: readonly string[], expected: RegExp])[] = [
    [
      "an unknown key",
      [`"tel:+49": { zone: x }`],
      /:9: prefixes\.tel:\+49\.zone: expected a known key/,
    ],
    ["two kinds", [`"tel:+49": { unassigned: true, parent: true }`], /:9: .*exactly one of zones/],
    ["no kind", [`"tel:": { unassigned: true }`, `"tel:+49": {}`], /:10: .*exactly one of zones/],
    [
      "a prefix that is none",
      [`"tel:049": { unassigned: true }`],
      /:9: .*canonical prefix.*"tel:049"/,
    ],
    ["upper case", [`"mailto:Example.org": { parent: true }`], /:9: .*canonical prefix/],
    ["the root", [`".": { unassigned: true }`], /:9: .*below the root/],
    ["a range of two lengths", [`"tel:+77..+7700": { parent: true }`], /:9: .*ends of one length/],
    ["a descending range", [`"tel:+78..+77": { parent: true }`], /:9: .*ascending/],
    [
      "a zone without DP",
      [`"tel:+49": { zones: [de] }`],
      /:9: prefixes\.tel:\+49\.zones\[0\]: .*name@dp_id/,
    ],
    ["delegation upward", [`"tel:+49": { directory: ["."] }`], /:9: .*name@dp_id/],
    ["nine zones", [`"tel:+49": { zones: [${"a@b, ".repeat(9)}] }`], /:9: .*at most 8 elements/],
    ["a TTL over a day", [`"tel:+49": { parent: true, ttl_s: 86401 }`], /:9: .*at most 86400/],
    [
      "a duplicate key",
      [`"tel:+4": { parent: true }`, `"tel:+4": { parent: true }`],
      /:10: .*second time/,
    ],
    ["an anchor", [`"tel:+4": &x { parent: true }`], /:9: .*anchor/],
    ["a tag", [`"tel:+4": !!map { parent: true }`], /:9: .*tag/],
    ["broken YAML", [`"tel:+4": { parent: true`], /root\.zone\.yaml:\d+: /],
  ];
  for (const [title, lines, expected] of wrong) {
    it(`names file, line and key of ${title}`, () => {
      expect(root(rootSourceText(lines)).join("\n")).to.match(expected);
    });
  }

  it("names every mistake at once", () => {
    expect(
      root(rootSourceText([`"x:": { parent: true }`, `"y:": { parent: true }`])),
    ).to.have.length(2);
  });

  it("refuses a lifetime over seven days and another zone", () => {
    expect(root(rootSourceText([], 604_801))[0]).to.match(/:3: lifetime_s: .*at most 604800/);
    expect(root(rootSourceText().replace('zone: "."', "zone: x"))[0]).to.match(/:1: zone: /);
  });
});

/** The registry whose first zone has these replicas; `PIN` becomes a pin. */
function withReplicas(text: string, replicas: string): string {
  const pin = /"sha256:[^"]*"/.exec(text)?.[0] ?? "";
  return text.replace(
    /(manifest_sha256: \[[^\]]*\])/,
    `$1, replicas: [${replicas.replaceAll("PIN", pin)}]`,
  );
}

describe("registry.yaml", () => {
  it("reads DPs with zones, MSPs, provers and relays", () => {
    const text = `${registryFixtureText}relays: []\n`;
    const source = parseRegistrySource({ text, file: "registry.yaml" });
    expect(source.dps.map(({ record }) => record.id)).to.deep.equal(
      ["a", "b", "c"].map((letter) => `dp-${letter}.example`),
    );
    expect(source.dps[0]?.record.endpoints[0]).to.include({ port: 7400, publicPort: 7500 });
    expect(source.dps[0]?.zones[0]?.manifests.kind).to.equal("hashes");
    expect(source.msps[1]).to.include({ bit: 1, accreditedFrom: Date.UTC(2026, 0, 1) / 1000 });
    expect(source.provers[0]).to.include({ maxLevel: 2 });
    expect(source.lineOf("dp", "dp-a.example")).to.equal(2);
  });

  it("reads the replicas of a zone, full and of buckets only, each with who runs it", () => {
    const [full, own, foreign] = [
      "{ host: r1.example, port: 1, public_port: 2, spki: [PIN], operator: R, jurisdiction: DE }",
      "{ host: r2.example, public_port: 2, spki: [PIN], operator: Operator A }",
      "{ host: r3.example, public_port: 2, spki: [PIN], operator: R }",
    ];
    const text = withReplicas(registryFixtureText, [full, own, foreign].join(", "));
    const [dp] = parseRegistrySource({ text, file: "registry.yaml" }).dps;
    const [first, second] = dp?.zones ?? [];
    expect(
      first?.replicas.map(({ host, port, publicPort, operator, jurisdiction }) =>
        [host, port, publicPort, operator, jurisdiction].join(" "),
      ),
    ).to.deep.equal(["r1.example 1 2 R DE", "r2.example 0 2  ", "r3.example 0 2 R "]);
    expect(second?.replicas).to.deep.equal([]);
  });

  const wrong: readonly (readonly [string, (text: string) => string, RegExp])[] = [
    [
      "a replica without public port",
      (t) => withReplicas(t, "{ host: r.example, port: 1, spki: [PIN] }"),
      /zones\[0\]\.replicas\[0\]\.public_port/,
    ],
    [
      "more servers than a delegation holds",
      (t) =>
        withReplicas(
          t,
          Array.from(
            { length: 13 },
            () => "{ host: r.example, public_port: 2, spki: [PIN] }",
          ).join(),
        ),
      /zones\[0\]\.replicas: expected at most 12 beside the DP's endpoints, got 13/,
    ],
    ["a bit used twice", (t) => t.replace("bit: 1", "bit: 0"), /msps\[1\]\.bit: .*0 a second time/],
    [
      "an id twice",
      (t) => t.replace("video.example", "wire.example"),
      /msps\[1\]\.id: .*second time/,
    ],
    [
      "a zone of another DP",
      (t) => t.replace("de@dp-a.example", "de@dp-x.example"),
      /zones\[0\]\.name: expected a zone of dp-a/,
    ],
    [
      "a short key",
      (t) => t.replace(/ed25519:[^"]*/, "ed25519:AAAA"),
      /msps\[0\]\.keys\[0\]: expected a public key/,
    ],
    [
      "a small-order key",
      (t) => t.replace(/ed25519:[^"]*/, `ed25519:${"A".repeat(43)}`),
      /msps\[0\]\.keys\[0\]: expected a public key/,
    ],
    [
      "a key with an unknown time",
      (t) => t.replace(/("ed25519:[^"]*")/, "{ key: $1, until: 2027-01-01 }"),
      /msps\[0\]\.keys\[0\]: .*until/,
    ],
    [
      "a key that ends before it begins",
      (t) => t.replace(/("ed25519:[^"]*")/, "{ key: $1, to: 2025-01-01 }"),
      /msps\[0\]\.keys\[0\]: expected a to after its from/,
    ],
    [
      "a key of two parties",
      (t) => t.replace(/(ed25519:[^"]*)(.*\n.*)ed25519:[^"]*/, "$1$2$1"),
      /msps\[1\]\.keys\[0\]: .*second time/,
    ],
    ["a bad pin", (t) => t.replace(/sha256:[^"]*/, "sha256:AA"), /spki\[0\]: expected a pin/],
    [
      "no port",
      (t) => t.replace("port: 7400, public_port: 7500, ", ""),
      /endpoints\[0\]: expected a port/,
    ],
    ["port 65536", (t) => t.replace("port: 7400", "port: 65536"), /port: expected at most 65535/],
    [
      "14 endpoints",
      (t) =>
        t.replace(
          /endpoints: \[(.*)\]/,
          (_all, one: string) => `endpoints: [${Array.from({ length: 14 }, () => one).join(", ")}]`,
        ),
      /endpoints: expected at most 13/,
    ],
    [
      "a day that is none",
      (t) => t.replace("2029-01-01", "2029-02-29"),
      /accredited_to: expected a time/,
    ],
    [
      "an end before its start",
      (t) => t.replace("2029-01-01", "2025-01-01"),
      /accredited_to: expected a time after/,
    ],
    [
      "a zone without manifest",
      (t) => t.replace(/, manifest_sha256: \[[^\]]*\]/, ""),
      /zones\[0\]: expected manifest or/,
    ],
    ["level 4", (t) => t.replace("max_level: 2", "max_level: 4"), /max_level: expected at most 3/],
    [
      "an unknown key",
      (t) => t.replace("max_qps: 1000", "max_qps: 1000\n    qps: 1"),
      /dps\[0\]\.qps: expected a known key/,
    ],
  ];
  for (const [title, change, expected] of wrong) {
    it(`refuses ${title}`, () => {
      const text = change(registryFixtureText);
      expect(text).to.not.equal(registryFixtureText);
      const [first] = registry(text);
      expect(first).to.match(/^registry\.yaml:\d+: /);
      expect(first).to.match(expected);
    });
  }
});

describe("times in sources", () => {
  it("agree with the calendar", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 253_402_300_799 }), (seconds) => {
        const text = new Date(seconds * 1000).toISOString().replace(".000", "");
        expect(parseUtcTime(text)).to.equal(seconds);
      }),
    );
  });
  for (const text of [
    "2026-13-01",
    "2026-02-29",
    "2026-01-01T24:00:00Z",
    "2026-1-1",
    "1969-12-31",
    "2026-01-01T00:00:00",
  ]) {
    it(`refuse ${text}`, () => {
      expect(() => parseUtcTime(text)).to.throw(/INVALID_DATA/);
    });
  }
});
