import { expect } from "chai";
import fc from "fast-check";
import {
  durationField,
  formatDurationMs,
  formatHostPort,
  formatSizeBytes,
  hostPortField,
  integerField,
  parseDurationMs,
  parseHostPort,
  parseSizeBytes,
  pathField,
  secondsField,
  secretPathField,
  sizeField,
} from "./config-fields.js";

describe("durations", () => {
  const accepted: readonly (readonly [string, number])[] = [
    ["0s", 0],
    ["250ms", 250],
    ["30s", 30_000],
    ["10m", 600_000],
    ["2h", 7_200_000],
    ["7d", 604_800_000],
  ];
  for (const [text, ms] of accepted) {
    it(`reads ${text} as ${ms} ms`, () => expect(parseDurationMs(text)).to.equal(ms));
  }

  const rejected = ["", "30", "s", "30 s", "-1s", "1.5s", "030s", "30S", "30sec", "1h30m", "1e3s"];
  for (const text of [...rejected, "999999999999999d"]) {
    it(`rejects ${JSON.stringify(text)}`, () => expect(parseDurationMs(text)).to.be.undefined);
  }

  it("writes what it reads back", () => {
    fc.assert(
      fc.property(fc.nat(), (ms) => {
        expect(parseDurationMs(formatDurationMs(ms))).to.equal(ms);
      }),
    );
  });

  it("writes the largest unit that is exact", () => {
    expect([0, 90_000, 86_400_000, 1_001].map(formatDurationMs)).to.deep.equal([
      "0ms",
      "90s",
      "1d",
      "1001ms",
    ]);
  });
});

describe("sizes", () => {
  const accepted: readonly (readonly [string, number])[] = [
    ["512B", 512],
    ["64KiB", 65_536],
    ["64MiB", 67_108_864],
    ["1GiB", 1_073_741_824],
  ];
  for (const [text, bytes] of accepted) {
    it(`reads ${text} as ${bytes} bytes`, () => expect(parseSizeBytes(text)).to.equal(bytes));
  }
  for (const text of ["64", "64MB", "64mib", "64 MiB", "0x10B", "constructor", "1constructor"]) {
    it(`rejects ${text}`, () => expect(parseSizeBytes(text)).to.be.undefined);
  }
  it("writes what it reads back", () => {
    fc.assert(
      fc.property(fc.nat(), (bytes) => {
        expect(parseSizeBytes(formatSizeBytes(bytes))).to.equal(bytes);
      }),
    );
  });
});

describe("host and port", () => {
  const accepted: readonly (readonly [string, string, number])[] = [
    ["root.example:7363", "root.example", 7363],
    ["127.0.0.1:0", "127.0.0.1", 0],
    ["[2001:db8::1]:7353", "2001:db8::1", 7353],
    ["[::1]:65535", "::1", 65_535],
    ["localhost:1", "localhost", 1],
  ];
  for (const [text, host, port] of accepted) {
    it(`reads ${text} and writes it back`, () => {
      const address = parseHostPort(text);
      expect(address).to.deep.equal({ host, port });
      expect(address && formatHostPort(address)).to.equal(text);
    });
  }
  const rejected = [
    "root.example",
    "root.example:",
    ":7363",
    "root.example:65536",
    "root.example:99999999",
    "2001:db8::1:7353",
    "[2001:db8::1]",
    "[root.example]:1",
    "1.2.3:80",
    "999.1.1.1:80",
    "a b:80",
    "user@host:80",
    "-bad.example:80",
    "a..b:80",
    `${"a".repeat(64)}.example:80`,
    "http://root.example:80",
  ];
  for (const text of rejected) {
    it(`rejects ${text}`, () => expect(parseHostPort(text)).to.be.undefined);
  }
});

describe("fields", () => {
  const cases: readonly (readonly [
    string,
    { safeParse(v: unknown): { success: boolean } },
    unknown,
    boolean,
  ])[] = [
    ["a duration at its upper bound", durationField({ min: 1_000, max: 60_000 }), "1m", true],
    ["a duration above it", durationField({ min: 1_000, max: 60_000 }), "61s", false],
    ["a duration below", durationField({ min: 1_000, max: 60_000 }), "999ms", false],
    ["a bare number for a duration", durationField({ min: 0, max: 60_000 }), 30, false],
    ["whole seconds", secondsField({ min: 1, max: 60 }), "60000ms", true],
    ["half a second where seconds are due", secondsField({ min: 0, max: 60 }), "500ms", false],
    ["a size above its bound", sizeField({ min: 0, max: 1024 }), "2KiB", false],
    ["an integer at its bound", integerField({ min: 1, max: 9 }), 9, true],
    ["an integer above", integerField({ min: 1, max: 9 }), 10, false],
    ["a fraction", integerField({ min: 1, max: 9 }), 1.5, false],
    ["an integer as text", integerField({ min: 1, max: 9 }), "5", false],
    ["infinity", integerField({ min: 1, max: 9 }), Infinity, false],
    ["port 0", hostPortField(), "127.0.0.1:0", false],
    ["port 0 where any port will do", hostPortField({ anyPort: true }), "127.0.0.1:0", true],
    ["an empty path", pathField("/etc/whither"), "", false],
    ["a path with NUL", pathField("/etc/whither"), "a\0b", false],
  ];
  for (const [title, field, value, accepted] of cases) {
    it(`${accepted ? "accepts" : "rejects"} ${title}`, () =>
      expect(field.safeParse(value).success).to.equal(accepted));
  }

  it("resolves paths from the file's directory and the home directory", () => {
    const field = pathField("/etc/whither");
    expect(field.parse("keys/zone.pem")).to.equal("/etc/whither/keys/zone.pem");
    expect(field.parse("/srv/zone.pem")).to.equal("/srv/zone.pem");
    expect(field.parse("~/zone.pem")).to.match(/^\/.*\/zone\.pem$/);
  });

  const secrets = [
    "-----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY-----\n",
    "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=",
  ];
  for (const secret of secrets) {
    it("rejects a secret where its path is due, and does not show it", () => {
      const result = secretPathField("/etc/whither").safeParse(secret);
      expect(result.success).to.be.false;
      expect(JSON.stringify(result.error?.issues)).to.not.contain(secret.slice(28, 38));
    });
  }
});
