import { expect } from "chai";
import { parsePrefix, type Prefix } from "@whither/protocol";
import { sha256, toHex, utf8 } from "@whither/crypto/node";
import { registryFixtureText, rootSourceText } from "@whither/testkit";
import { compileDirectory, type CompiledDirectory } from "./compile.js";
import { parseRegistrySource } from "./registry-source.js";
import { parseRootSource } from "./root-source.js";
import { SourceError } from "./yaml-source.js";

function compile(
  prefixes: readonly string[],
  options: {
    readonly registry?: string;
    readonly manifests?: ReadonlyMap<string, Uint8Array>;
  } = {},
): CompiledDirectory {
  return compileDirectory({
    root: parseRootSource({ text: rootSourceText(prefixes), file: "root.zone.yaml" }),
    registry: parseRegistrySource({
      text: options.registry ?? registryFixtureText,
      file: "registry.yaml",
    }),
    manifests: options.manifests ?? new Map(),
  });
}

/** Zone as `prefix first_child next_sibling disposition zones`. */
function present({ nodes }: CompiledDirectory): readonly string[] {
  return nodes.map(({ prefix, firstChild, nextSibling, disposition, authorities }) =>
    [
      prefix,
      firstChild || "-",
      nextSibling || "-",
      disposition,
      ...authorities.map(({ zone }) => zone),
    ].join(" "),
  );
}

function mistakes(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof Error && error.cause instanceof SourceError) return error.cause.message;
    throw error;
  }
  return "";
}

describe("compiled directory", () => {
  it("has every intermediate prefix, siblings linked in label order", () => {
    const compiled = compile([
      `"mailto:b.example.org": { zones: [mail@dp-c.example], relay_only: true }`,
      `"tel:+49": { zones: [de@dp-a.example, rest@dp-c.example] }`,
      `"tel:+441": { zones: [gb@dp-b.example] }`,
      `"tel:": { unassigned: true }`,
      `"tel:+4": { parent: true }`,
      `"mailto:": { zones: [mail@dp-c.example] }`,
      `"mailto:com": { unassigned: true }`,
    ]);
    expect(present(compiled)).to.deep.equal([
      ". mailto - unassigned",
      "mailto: com tel delegated mail@dp-c.example",
      "mailto:com - org unassigned",
      "mailto:org example - parent",
      "mailto:example.org b - parent",
      "mailto:b.example.org - - delegated mail@dp-c.example",
      "tel: 4 - unassigned",
      "tel:+4 4 - parent",
      "tel:+44 1 9 parent",
      "tel:+441 - - delegated gb@dp-b.example",
      "tel:+49 - - delegated de@dp-a.example rest@dp-c.example",
    ]);
  });

  it("begins a scheme that is not named as unassigned, not as a parent of nothing", () => {
    expect(present(compile([`"acct:example.org": { zones: [mail@dp-a.example] }`]))[1]).to.equal(
      "acct: org - unassigned",
    );
  });

  it("compiles a range to its minimal set of prefixes", () => {
    const compiled = compile([`"tel:+7700895..+7700912": { zones: [rest@dp-c.example] }`]);
    const delegated = compiled.nodes.filter(({ disposition }) => disposition === "delegated");
    const expected = ["895", "896", "897", "898", "899", "90", "910", "911", "912"];
    expect(delegated.map(({ prefix }) => prefix)).to.have.members(
      expected.map((end) => `tel:+7700${end}`),
    );
  });

  it("copies DP, endpoints and manifest hash into the authority", () => {
    const [, , node] = compile([`"tel:+4": { zones: [de@dp-a.example], relay_only: true }`]).nodes;
    const [authority] = node?.authorities ?? [];
    expect(authority).to.include({ dpId: "dp-a.example", kind: "mappings", relayOnly: true });
    expect(authority?.manifestSha256.map(toHex)).to.deep.equal([
      toHex(sha256(utf8("de@dp-a.example"))),
    ]);
    expect(authority?.endpoints[0]?.port).to.equal(7400);
  });

  it("lists the replicas of a zone behind the DP's endpoints, for this zone alone", () => {
    const registry = registryFixtureText.replace(
      /endpoints: \[\{.*(spki: \[.*?\])[^]*?manifest_sha256: \[[^\]]*\]/,
      `$&, replicas: [{ host: r.example, public_port: 7, $1, operator: R }]`,
    );
    const { nodes } = compile(
      [`"tel:+4": { zones: [de@dp-a.example] }`, `"tel:+5": { zones: [gb@dp-a.example] }`],
      { registry },
    );
    const [de, gb] = ["tel:+4", "tel:+5"].map(
      (prefix) => nodes.find((node) => node.prefix === prefix)?.authorities[0]?.endpoints,
    );
    expect(de?.map(({ host, port, operator }) => `${host} ${port} ${operator}`)).to.deep.equal([
      "127.0.0.1 7400 ",
      "r.example 0 R",
    ]);
    expect(gb).to.have.length(1);
  });

  it("hashes manifest files", () => {
    const registry = registryFixtureText.replace(
      /manifest_sha256: \[[^\]]*\]/,
      "manifest: [new.m, old.m]",
    );
    const manifests = new Map(["new.m", "old.m"].map((path) => [path, utf8(path)]));
    const compiled = compile([`"tel:+4": { zones: [de@dp-a.example] }`], { registry, manifests });
    const hashes = compiled.nodes.at(-1)?.authorities[0]?.manifestSha256.map(toHex);
    expect(hashes).to.deep.equal(["new.m", "old.m"].map((path) => toHex(sha256(utf8(path)))));
    expect(mistakes(() => compile([], { registry }))).to.match(
      /^registry\.yaml:7: zones\.de@dp-a\.example\.manifest: expected a readable manifest file, got "new\.m"/,
    );
  });

  it("orders parties by kind, then id", () => {
    expect(compile([]).parties.map(({ kind, id }) => `${kind} ${id}`)).to.deep.equal([
      "dp dp-a.example",
      "dp dp-b.example",
      "dp dp-c.example",
      "msp video.example",
      "msp wire.example",
      "prover prover.example",
    ]);
  });

  const wrong: readonly (readonly [string, readonly string[], RegExp])[] = [
    [
      "an unknown DP",
      [`"tel:+4": { zones: [de@dp-x.example] }`],
      /:9: prefixes\.tel:\+4\.zones\[0\]: expected a zone of the registry, got "de@dp-x\.example"/,
    ],
    [
      "an unknown zone",
      [`"tel:+4": { directory: [xx@dp-a.example] }`],
      /:9: .*directory\[0\]: expected a zone/,
    ],
    [
      "a zone twice",
      [`"tel:+4": { zones: [de@dp-a.example, de@dp-a.example] }`],
      /:9: .*different zones/,
    ],
    [
      "a prefix in an entry and a range",
      [`"tel:+770090": { parent: true }`, `"tel:+7700900..+7700909": { parent: true }`],
      /:10: .*tel:\+770090 also by line 9/,
    ],
    [
      "a child below a delegated directory",
      [`"tel:+4": { directory: [sub@dp-a.example] }`, `"tel:+49": { parent: true }`],
      /:9: .*nothing below a delegated directory, got the label 9/,
    ],
  ];
  for (const [title, prefixes, expected] of wrong) {
    it(`refuses ${title}`, () => {
      expect(mistakes(() => compile(prefixes))).to.match(expected);
    });
  }

  it("holds the root as a node of its own", () => {
    const nodes = compile([]).nodes;
    expect(nodes.map((node): Prefix => node.prefix)).to.deep.equal([parsePrefix(".")]);
  });
});
