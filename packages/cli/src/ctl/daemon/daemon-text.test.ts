import { expect } from "chai";
import type { ZoneState } from "@whither/wire";
import { zoneLines } from "./daemon-text.js";

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
