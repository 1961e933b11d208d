import { expect } from "chai";
import type { ControlStatusResponse, ZoneState } from "@whither/wire";
import { statusText, zoneLines } from "./daemon-text.js";

/** What is shown of a zone that serves; a message has more fields. */
const stateOf = (more: object): ZoneState => ({ ...served, ...more }) as ZoneState;
const nothing = { problem: "", withoutVault: false };
const served = {
  ...nothing,
  signedAt: 1_800_000_000n,
  epoch: 1n,
  serial: 7n,
  zone: "de@dp-a.example",
  kind: "mappings",
  serving: true,
  size: 3n,
};

describe("a status as an operator reads it", () => {
  it("marks what should have been replaced, soonest first, and a reload that failed", () => {
    const expiry = (what: string, leftS: bigint, state: string) => ({
      what,
      subject: "x",
      notAfter: 1_800_000_000n + leftS,
      leftS,
      state,
    });
    const text = statusText({
      daemon: "whither-dpd",
      version: "1",
      nodeVersion: "20",
      startedAt: 1_800_000_000n,
      uptimeS: 5n,
      memoryBytes: 0n,
      logLevel: "info",
      zones: [],
      reloadProblem: "the certificate has ended\nin a.pem",
      expiries: [
        expiry("zone key", 86_400n * 40n, "ok"),
        expiry("tls certificate", 86_400n * 13n, "soon"),
        expiry("head", -60n, "ended"),
      ],
    } as unknown as ControlStatusResponse); // what of a message the text is made of
    expect(text.split("\n").slice(2)).to.deep.equal([
      "last reload failed, nothing has changed:",
      "  the certificate has ended",
      "  in a.pem",
      "ends:",
      "  head             x  ENDED 1m ago    2027-01-15T07:59:00Z",
      "  tls certificate  x  13d left, SOON  2027-01-28T08:00:00Z",
      "  zone key         x  40d left        2027-02-24T08:00:00Z",
    ]);
  });
});

describe("zones as an operator reads them", () => {
  it("say nothing more where nothing changes", () => {
    expect(zoneLines([stateOf({})])).to.have.length(2);
    expect(zoneLines([])).to.deep.equal([]);
  });

  it("say how far a change of keys has come, and what stands in its way", () => {
    const lines = zoneLines([
      stateOf({
        problem: "the zone key is not one of its manifest",
        withoutVault: true,
        succession: {
          manifestSha256: "ab".repeat(32),
          namedAt: 0n,
          switchAt: 0n,
          next: { kid: "01020304", phase: "copying", done: 16n, total: 40n, missing: 2n },
          previous: [{ kid: "05060708", dropAt: 1_800_000_000n }],
          problem: "the vault does not know every slot of the zone",
          acceptancesToRenew: true,
        },
      }),
    ]);
    expect(lines.slice(2)).to.deep.equal(
      [
        "serves, but: the zone key is not one of its manifest",
        "no vault: its VOPRF key can never be replaced",
        "next VOPRF key 01020304: copying 16 of 40, 2 slots are not in the vault",
        "next manifest abababababababab: not named by the directory",
        "VOPRF key 05060708 before: served until 2027-01-15T08:00:00Z, then destroy its file",
        "acceptances are being signed by the new zone key: no further rollover before",
        "waits: the vault does not know every slot of the zone",
      ].map((line) => `  de@dp-a.example: ${line}`),
    );
  });

  it("say when the next manifest is in force", () => {
    const succession = {
      manifestSha256: "ab".repeat(32),
      namedAt: 1_800_000_000n,
      switchAt: 1_800_003_600n,
      previous: [],
      problem: "",
    };
    const [, , line] = zoneLines([stateOf({ succession })]);
    expect(line).to.contain("named 2027-01-15T08:00:00Z, in force from 2027-01-15T09:00:00Z");
  });
});
