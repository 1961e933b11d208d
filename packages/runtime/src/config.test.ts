import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDiscoveryError } from "@whither/protocol";
import { expect } from "chai";
import { z } from "zod";
import {
  durationField,
  hostPortField,
  integerField,
  pathField,
  sizeField,
} from "./config-fields.js";
import { ConfigIssuesError, formatConfigError } from "./config-issues.js";
import { loadConfig, parseYaml } from "./config.js";

const schema = (directory: string) =>
  z.strictObject({
    listen: hostPortField(),
    state: pathField(directory),
    cache: sizeField({ min: 1024, max: 1024 ** 3 }).optional(),
    epoch: durationField({ min: 1_000, max: 60_000 }),
    zones: z
      .array(z.strictObject({ name: z.string().min(3), depth: integerField({ min: 0, max: 30 }) }))
      .max(2),
    mode: z.enum(["blind", "relayed"]).optional(),
    source: z
      .union([
        z.strictObject({ file: z.string() }),
        z.strictObject({ server: z.strictObject({ at: hostPortField() }) }),
      ])
      .optional(),
    ranges: z.record(z.string(), z.strictObject({ dp: z.string() })).optional(),
  });

const good = `listen: root.example:7363
state: state
epoch: 30s
zones:
  - name: rest
    depth: 4
`;

function problemsOf(text: string): string[] {
  try {
    parseYaml({ text, path: "dpd.yaml", schema });
  } catch (error) {
    expect(isDiscoveryError(error, "CONFIG"), String(error)).to.be.true;
    return formatConfigError(error).split("\n");
  }
  return [];
}

describe("parseYaml", () => {
  it("gives typed values in their base units", () => {
    expect(
      parseYaml({ text: `${good}cache: 64MiB\n`, path: "/etc/w/dpd.yaml", schema }),
    ).to.deep.equal({
      listen: { host: "root.example", port: 7363 },
      state: "/etc/w/state",
      cache: 67_108_864,
      epoch: 30_000,
      zones: [{ name: "rest", depth: 4 }],
    });
  });

  // What a person has typed wrong, and every line that he is told.
  const cases: readonly (readonly [string, string, readonly string[]])[] = [
    [
      "an unknown key, at its own line",
      `${good}chache: 64MiB\n`,
      ["dpd.yaml:7: chache: got an unknown key, expected a known key"],
    ],
    [
      "a unit that is missing",
      good.replace("30s", "30"),
      [
        "dpd.yaml:3: epoch: got 30, expected a duration of 1s..1m with its unit, such as 30s or 10m",
      ],
    ],
    [
      "a value out of range, with the range",
      good.replace("30s", "10m"),
      [
        'dpd.yaml:3: epoch: got "10m", expected a duration of 1s..1m with its unit, such as 30s or 10m',
      ],
    ],
    [
      "a value deep in a list",
      good.replace("depth: 4", "depth: 31"),
      ["dpd.yaml:6: zones[0].depth: got 31, expected a whole number of 0..30"],
    ],
    [
      "a key that is missing, at its parent",
      good.replace("    depth: 4\n", ""),
      ["dpd.yaml:5: zones[0].depth: got nothing, expected a whole number of 0..30"],
    ],
    [
      "a list that is too long",
      `${good}  - {name: two, depth: 1}\n  - {name: three, depth: 1}\n`,
      ["dpd.yaml:4: zones: got a list of 3, expected at most 2 items"],
    ],
    [
      "a text that is too short",
      good.replace("rest", "r"),
      ['dpd.yaml:5: zones[0].name: got "r", expected at least 3 characters'],
    ],
    [
      "a word outside a closed set",
      `${good}mode: open\n`,
      ['dpd.yaml:7: mode: got "open", expected one of blind, relayed'],
    ],
    [
      "a mapping where a list is due",
      good.replace(/zones:[^]*/, "zones: {}\n"),
      ["dpd.yaml:4: zones: got a mapping, expected a list"],
    ],
    [
      "a mistake in the form of a union that was meant",
      `${good}source:\n  server:\n    at: nowhere\n`,
      ['dpd.yaml:9: source.server.at: got "nowhere", expected host:port with a port of 1..65535'],
    ],
    [
      "a mistake in a record",
      `${good}ranges:\n  "+49":\n    dp: 7\n`,
      ["dpd.yaml:9: ranges.+49.dp: got 7, expected a string"],
    ],
    [
      "several mistakes at once",
      "listen: here\nstate: 7\nepoch: 30s\nzones: []\nx: 1\n",
      [
        'dpd.yaml:1: listen: got "here", expected host:port with a port of 1..65535',
        "dpd.yaml:2: state: got 7, expected a path",
        "dpd.yaml:5: x: got an unknown key, expected a known key",
      ],
    ],
    ["an empty file", "", ["dpd.yaml: got nothing, expected a mapping"]],
    [
      "a key twice",
      `${good}state: other\n`,
      ["dpd.yaml:7: got the key state a second time, expected each key once"],
    ],
    [
      "an anchor and its alias",
      `${good.replace("30s", "&e 30s")}cache: *e\n`,
      [
        "dpd.yaml:3: got the anchor &e, expected the value written out",
        "dpd.yaml:7: got the alias *e, expected the value written out",
      ],
    ],
    [
      "a tag",
      good.replace("30s", "!!str 30s"),
      ["dpd.yaml:3: got the tag tag:yaml.org,2002:str, expected the value written out"],
    ],
  ];
  for (const [title, text, expected] of cases) {
    it(`tells of ${title}`, () => expect(problemsOf(text)).to.deep.equal(expected));
  }

  const malformed: readonly (readonly [string, string, string])[] = [
    ["a tab as indentation", "zones:\n\t- x\n", "dpd.yaml:2: "],
    ["an unclosed quote", 'state: "x\n', "dpd.yaml:2: "],
    ["a second document", `${good}---\na: 1\n`, "dpd.yaml:7: "],
    ["an unknown tag", good.replace("30s", "!x 30s"), "dpd.yaml:3: "],
    ["an anchor on a mapping", "a: &x\n  b: 1\n", "dpd.yaml:2: got the anchor &x"],
    ["a tag on a list", "a: !!seq\n  - 1\n", "dpd.yaml:2: got the tag"],
    ["an unresolved alias", good.replace("30s", "*none"), "dpd.yaml:3: "],
    ["a list as key", "? [1, 2]\n: 3\n", "dpd.yaml:1: "],
  ];
  for (const [title, text, start] of malformed) {
    it(`tells the line of ${title}`, () =>
      expect(problemsOf(text)[0]).to.match(new RegExp(`^${start}`)));
  }

  it("is not slowed down or filled up by an alias bomb", () => {
    const levels = Array.from({ length: 30 }, (_, n) => {
      const use = n === 0 ? "x" : `*a${n - 1}`;
      return `a${n}: &a${n} [${Array(9).fill(use).join(",")}]`;
    });
    expect(problemsOf(levels.join("\n"))[0]).to.contain("anchor &a0");
  });

  it("survives nesting that exhausts a recursive parser", () => {
    expect(problemsOf("[".repeat(50_000))[0]).to.match(/^dpd\.yaml/);
  });

  it("does not take quadratic time over many keys", () => {
    const text = Array.from({ length: 20_000 }, (_, n) => `k${n}: 1`).join("\n");
    const numbers = z.record(z.string(), z.number());
    expect(Object.keys(parseYaml({ text, path: "x", schema: numbers }))).to.have.length(20_000);
  }).timeout(5_000);

  it("does not let a file reach an object's prototype", () => {
    const value = parseYaml({
      text: "__proto__: {polluted: true}\n",
      path: "x",
      schema: z.unknown(),
    });
    expect(({} as { polluted?: boolean }).polluted).to.be.undefined;
    expect(Object.getPrototypeOf(value)).to.equal(Object.prototype);
  });
});

describe("loadConfig", () => {
  let directory = "";
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "whither-config-"));
  });
  afterEach(() => rm(directory, { recursive: true }));

  async function loadError(path: string, bytesMax?: number): Promise<string> {
    try {
      await loadConfig({ path, schema, ...(bytesMax === undefined ? {} : { bytesMax }) });
    } catch (error) {
      expect(isDiscoveryError(error, "CONFIG"), String(error)).to.be.true;
      return formatConfigError(error);
    }
    return "";
  }

  it("reads a file and resolves paths from where it lies", async () => {
    const path = join(directory, "dpd.yaml");
    await writeFile(path, good);
    expect((await loadConfig({ path, schema })).state).to.equal(join(directory, "state"));
  });

  it("names a file that is missing", async () => {
    const path = join(directory, "none.yaml");
    expect(await loadError(path)).to.contain(`${path} cannot be read (ENOENT)`);
  });

  it("refuses a file over its limit before parsing it", async () => {
    const path = join(directory, "large.yaml");
    await writeFile(path, `${good}#${"x".repeat(2_000)}\n`);
    expect(await loadError(path, 1_000)).to.contain("at most 1000 are accepted");
    expect(await loadError(path)).to.equal("");
  });

  it("refuses bytes that are no UTF-8", async () => {
    const path = join(directory, "latin.yaml");
    await writeFile(path, Buffer.from([0x61, 0x3a, 0x20, 0xe9, 0x0a]));
    expect(await loadError(path)).to.equal(
      `${path}: got bytes that are no UTF-8, expected UTF-8 text`,
    );
  });

  it("refuses a directory", async () => {
    expect(await loadError(directory)).to.contain("is not a regular file");
  });

  it("carries its issues as data", () => {
    try {
      parseYaml({ text: `${good}x: 1\n`, path: "dpd.yaml", schema });
      expect.fail("expected an error");
    } catch (error) {
      const cause = error instanceof Error ? error.cause : undefined;
      expect(cause).to.be.instanceOf(ConfigIssuesError);
      expect((cause as ConfigIssuesError).issues).to.deep.equal([
        { file: "dpd.yaml", line: 7, key: "x", got: "an unknown key", expected: "a known key" },
      ]);
    }
  });
});
