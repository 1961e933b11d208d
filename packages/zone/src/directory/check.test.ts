import { expect } from "chai";
import { suiteV1, type Manifest, type ZoneName } from "@whither/protocol";
import { decodeRootKeys } from "@whither/wire";
import {
  directoryFixtureSeconds as now,
  makeDirectoryObjects,
  makeRootFixture,
  prefixesFixture,
  registryFixtureText,
  rootSourceText,
} from "@whither/testkit";
import { formatPublicKey } from "@whither/crypto/node";
import { nodeVerifier } from "../signed.js";
import { checkDirectory } from "./check.js";
import { compileDirectory } from "./compile.js";
import type { Finding, ZoneCheck } from "./finding.js";
import { parseRegistrySource } from "./registry-source.js";
import { parseRootSource } from "./root-source.js";
import { verifyDirectory } from "./verify.js";

const day = 86_400;
const root = makeRootFixture();

interface Given {
  readonly prefixes?: readonly string[];
  readonly registry?: string;
  readonly manifest?: Partial<Manifest>;
  readonly rest?: Partial<ZoneCheck>;
}

function check(given: Given): readonly Finding[] {
  const source = parseRootSource({
    text: rootSourceText(given.prefixes ?? prefixesFixture),
    file: "root.zone.yaml",
  });
  const registry = parseRegistrySource({
    text: given.registry ?? registryFixtureText,
    file: "registry.yaml",
  });
  const names = registry.dps.flatMap(({ record, zones }) =>
    zones.map(({ name }) => [name, record.operator] as const),
  );
  return checkDirectory({
    root: source,
    registry,
    compiled: compileDirectory({ root: source, registry, manifests: new Map() }),
    manifests: new Map(
      names.map(([name, operator]) => [name, manifestOf(name, operator, given.manifest)]),
    ),
    nowSeconds: now,
    ...given.rest,
  });
}

function manifestOf(zone: ZoneName, operator: string, change: Partial<Manifest> = {}): Manifest {
  const period = { notBefore: now, notAfter: now + 365 * day };
  return {
    zone,
    operator,
    suite: suiteV1,
    version: 1,
    zoneKeys: [{ publicKey: new Uint8Array(32), ...period }],
    voprfKeys: [
      { kid: new Uint8Array(4), publicKey: new Uint8Array(32), notAfter: period.notAfter },
    ],
    hpkeKeys: [],
    entryLength: 68,
    epochSeconds: 30,
    mappingTtlSeconds: 3600,
    absenceTtlSeconds: 60,
    policy: {
      federationDefault: "local",
      preferredDps: [],
      quotas: [],
      discoveryMaxSeconds: 60,
      removalMaxSeconds: 60,
      retentionSeconds: 0,
      replicaJurisdictions: [],
      preferenceHandling: "",
      publicQueries: false,
    },
    notBefore: now,
    ...change,
  };
}

const present = (findings: readonly Finding[]): readonly string[] =>
  findings.map(
    ({ severity, rule, file, line, subject, text }) =>
      `${file}:${line}: ${severity} ${rule} ${subject}: ${text}`,
  );
/** Findings of the rules, the fixture's unused zones aside. */
const found = (given: Given): readonly string[] =>
  present(check(given)).filter((line) => !line.includes("no prefix is delegated"));

describe("zone check", () => {
  it("has nothing to say about the fixture but its unused zones", () => {
    expect(found({})).to.deep.equal([]);
    expect(present(check({}))).to.include(
      "registry.yaml:8: warning orphan gb@dp-a.example: no prefix is delegated to this zone",
    );
  });

  const domain = `"mailto:example.org": { zones: [mail@dp-a.example]`;
  const cases: readonly (readonly [title: string, given: Given, expected: readonly RegExp[]])[] = [
    [
      "a domain with 999 people",
      { prefixes: [`${domain}, expected_csis: 999 }`] },
      [/:9: error small-zone mailto:example\.org: mail@dp-a\.example covers 0 numbers and 999/],
    ],
    ["a domain with 1,000 people", { prefixes: [`${domain}, expected_csis: 1000 }`] }, []],
    ["a small domain behind a relay", { prefixes: [`${domain}, relay_only: true }`] }, []],
    [
      "a small domain in the shared zone",
      { prefixes: [`"mailto:": { zones: [mail@dp-a.example] }`, `${domain} }`] },
      [],
    ],
    [
      "1,000 numbers",
      { prefixes: [`"tel:+12025550": { zones: [rest@dp-a.example] }`] },
      [/:9: error small-zone tel:\+12025550: .* covers 1000 numbers/],
    ],
    ["10,000 numbers", { prefixes: [`"tel:+1202555": { zones: [rest@dp-a.example] }`] }, []],
    [
      "a small range that shares a zone",
      {
        prefixes: [
          `"tel:+12025550": { zones: [rest@dp-a.example] }`,
          `"tel:+44": { zones: [rest@dp-a.example] }`,
        ],
      },
      [],
    ],
    [
      "a public suffix",
      { prefixes: [`"mailto:co.uk": { zones: [mail@dp-a.example], expected_csis: 9000 }`] },
      [/:9: error public-suffix mailto:co\.uk: co\.uk is a public suffix/],
    ],
    [
      "a top-level domain",
      { prefixes: [`"acct:com": { zones: [mail@dp-a.example], expected_csis: 9000 }`] },
      [/error public-suffix/],
    ],
    [
      "a public suffix that nobody serves",
      { prefixes: [`"mailto:co.uk": { unassigned: true }`] },
      [],
    ],
    [
      "a name below a registrable domain",
      { prefixes: [`"mailto:a.example.org": { zones: [mail@dp-a.example], expected_csis: 9000 }`] },
      [/:9: error undisclosed mailto:a\.example\.org: lies below example\.org/],
    ],
    [
      "the same behind a relay",
      { prefixes: [`"mailto:a.example.org": { zones: [mail@dp-a.example], relay_only: true }`] },
      [],
    ],
    [
      "ranges one inside the other",
      {
        prefixes: [
          `"tel:+7700..+7719": { zones: [rest@dp-a.example] }`,
          `"tel:+77050..+77069": { zones: [de@dp-a.example] }`,
        ],
      },
      [
        /:10: error overlap tel:\+77050\.\.\+77069: overlaps the range tel:\+7700\.\.\+7719 of line 9/,
      ],
    ],
    [
      "a range inside a whole prefix",
      {
        prefixes: [
          `"tel:+7": { zones: [rest@dp-a.example] }`,
          `"tel:+77050..+77069": { zones: [de@dp-a.example] }`,
        ],
      },
      [],
    ],
    [
      "an entry that says nothing",
      { prefixes: [`"tel:+4": { parent: true }`] },
      [/:9: warning orphan tel:\+4: nothing stands below it/],
    ],
    [
      "a directory that serves two prefixes",
      {
        prefixes: [
          `"tel:+4": { directory: [sub@dp-a.example] }`,
          `"tel:+5": { directory: [sub@dp-a.example] }`,
        ],
      },
      [
        /:10: error cycle tel:\+5: sub@dp-a\.example is the directory of tel:\+4 too/,
        // Its manifest has a VOPRF key.
        /:9: error manifest tel:\+4: the manifest of sub@dp-a\.example is one for mappings/,
        /:10: error manifest tel:\+5/,
      ],
    ],
    [
      "mappings in a zone that is a directory",
      { prefixes: [`"tel:+49": { zones: [de@dp-a.example] }`], manifest: { voprfKeys: [] } },
      [/:9: error manifest tel:\+49: the manifest of de@dp-a\.example is one for directory/],
    ],
    [
      "a DP without zones",
      {
        registry: registryFixtureText.replace(
          "msps:",
          `  - { id: dp-x.example, operator: X, max_qps: 1, endpoints: [{ host: h, port: 1, spki: ["sha256:eJUeSCZ1XoBlqXvHwdYlvWR6nQ07wqDClIGwkhrUg2I"] }] }\nmsps:`,
        ),
      },
      [/registry\.yaml:\d+: warning orphan dp-x\.example: the DP serves no zone/],
    ],
    [
      "accreditations and prover keys that end soon",
      { registry: registryFixtureText.replaceAll("2029-01-01", "2027-01-20") },
      [
        /registry\.yaml:\d+: warning expiry wire\.example: the accreditation ends in 4 d/,
        /video\.example/,
        /warning expiry prover\.example: the prover's key ends in 4 d/,
      ],
    ],
    [
      "an MSP that has left",
      { registry: registryFixtureText.replace("2029-01-01", "2026-06-01") },
      [],
    ],
    [
      "manifest keys that have ended",
      {
        prefixes: [],
        manifest: {
          voprfKeys: [{ kid: new Uint8Array(4), publicKey: new Uint8Array(32), notAfter: now - 1 }],
        },
      },
      Array.from({ length: 15 }, () => /error expiry .*: the VOPRF key has ended/),
    ],
    [
      "root keys that end soon",
      { rest: { rootKeys: { ...decodeRootKeys(root.rootKeys.payload), notAfter: now + 5 * day } } },
      [/root\.zone\.yaml:1: warning expiry \.: the root key set ends in 5 d/],
    ],
  ];
  for (const [title, given, expected] of cases) {
    it(`of ${title}: ${expected.length === 0 ? "nothing" : `${expected.length} findings`}`, () => {
      const lines = found(given);
      expect(lines, lines.join("\n")).to.have.length(expected.length);
      for (const [at, pattern] of expected.entries()) expect(lines[at]).to.match(pattern);
    });
  }

  it("compares each policy with the federation's default", () => {
    const policy = {
      ...manifestOf("de@dp-a.example" as ZoneName, "").policy,
      federationDefault: "all" as const,
    };
    const lines = found({ manifest: { policy } });
    expect(lines).to.have.length(15);
    expect(lines[0]).to.match(
      /error policy de@dp-a\.example: its default is all, the federation's local/,
    );
    expect(found({ rest: { manifests: new Map() } })[0]).to.match(
      /warning policy .* by its hash only/,
    );
    expect(found({ manifest: { operator: "somebody else" } })[0]).to.match(
      /error manifest .* another operator/,
    );
    expect(found({ manifest: { zone: "xx@dp-a.example" as ZoneName } })[0]).to.match(
      /error manifest .* is that of xx@/,
    );
  });

  it("keeps replicas where the manifest lets them stand", () => {
    const registry = registryFixtureText.replace(
      /endpoints: \[\{.*(spki: \[.*?\])[^]*?manifest_sha256: \[[^\]]*\]/,
      `$&, replicas: [${["FR", "DE"].map((code) => `{ host: ${code}.example, public_port: 7, $1, jurisdiction: ${code} }`).join()}]`,
    );
    const { policy } = manifestOf("de@dp-a.example" as ZoneName, "");
    const manifest = { policy: { ...policy, replicaJurisdictions: ["DE"] } };
    const lines = found({ registry, manifest });
    expect(lines).to.have.length(1);
    expect(lines[0]).to.match(
      /error replica de@dp-a\.example: the replica FR\.example stands in FR/,
    );
    expect(found({ registry })).to.deep.equal([]);
  });

  it("compares with the artefact in service", () => {
    const many = Array.from(
      { length: 30 },
      (_, at) => `"tel:+12${at + 10}": { zones: [rest@dp-a.example] }`,
    );
    const previous = verifyDirectory({
      objects: makeDirectoryObjects({ root, prefixes: many }),
      anchors: root.anchors,
      nowSeconds: now,
      verifier: nodeVerifier,
    });
    const lines = found({ prefixes: [], rest: { previous } });
    expect(lines.at(-1)).to.match(
      /root\.zone\.yaml:1: warning size \.: \d+ nodes removed, of \d+ in serial 1/,
    );
    expect(found({ prefixes: many, rest: { previous } })).to.deep.equal([]);
    const moved = registryFixtureText.replace("bit: 1,", "bit: 9,");
    expect(found({ prefixes: many, registry: moved, rest: { previous } })[0]).to.match(
      /registry\.yaml:\d+: error registry-bit video\.example: bit 1 became 9/,
    );
    const oldKey = /"(ed25519:[^"]*)"\], accredited_from: 2026-01-01/;
    const other = `"${formatPublicKey(root.ksks[0]!.publicKey)}"`;
    const dropped = registryFixtureText.replace(oldKey, `${other}], accredited_from: 2026-01-01`);
    expect(found({ prefixes: many, registry: dropped, rest: { previous } })).to.have.length(1);
    expect(found({ prefixes: many, registry: dropped, rest: { previous } })[0]).to.match(
      /registry\.yaml:\d+: warning key-dropped wire\.example: key [0-9a-f]{16} is gone, .* drop it 90 d later/,
    );
    const retired = registryFixtureText.replace(
      oldKey,
      `{ key: "$1", to: 2026-09-01 }, ${other}], accredited_from: 2026-01-01`,
    );
    expect(found({ prefixes: many, registry: retired, rest: { previous } })).to.deep.equal([]);
    const gone = registryFixtureText.replace(/ {2}- \{ id: video\.example.*\n/, "");
    expect(found({ prefixes: many, registry: gone, rest: { previous } })[0]).to.match(
      /error registry-bit video\.example: its record is gone/,
    );
  });
});
