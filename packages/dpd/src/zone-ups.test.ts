import { expect } from "chai";
import { DiscoveryError } from "@whither/protocol";
import { zoneUps } from "./zone-ups.js";

describe("what is up of a zone that serves", () => {
  const disk = new DiscoveryError("STORE", "the disk is full");
  const files = new DiscoveryError("CONFIG", "a manifest that does not fit");
  const table = [
    ["nothing is wrong", [undefined, undefined], { store: 1, succession: 1 }],
    ["its disk is full", [undefined, disk], { store: 0, succession: 1 }],
    ["its next tree stands still on a full disk", [disk, disk], { store: 0, succession: 1 }],
    ["its files are refused", [undefined, files], { store: 1, succession: 0 }],
    ["a change of keys does not go on", [files, undefined], { store: 1, succession: 0 }],
    ["both", [files, disk], { store: 0, succession: 0 }],
  ] as const;
  for (const [what, problems, expected] of table) {
    it(`when ${what}: ${JSON.stringify(expected)}`, () => {
      expect(zoneUps(problems)).to.deep.equal(expected);
    });
  }
});
