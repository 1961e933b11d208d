import { expect } from "chai";
import fc from "fast-check";
import {
  directoryFixtureSeconds as now,
  makeDirectoryObjects,
  makeRootFixture,
  outcomeOf,
} from "@whither/testkit";
import { nodeVerifier } from "../signed.js";
import {
  artefactMessages,
  decodeArtefact,
  encodeArtefact,
  encodeTransfer,
  frameMessages,
  openArtefact,
  openArtefactTrust,
  verifyArtefact,
} from "./artefact.js";

const root = makeRootFixture();
const objects = makeDirectoryObjects({ root });
const bytes = encodeArtefact(objects);
const check = { anchors: root.anchors, nowSeconds: now, verifier: nodeVerifier };

describe("artefact file", () => {
  it("holds what was signed, and a server's messages as they lie there", () => {
    expect(decodeArtefact(bytes)).to.deep.equal(objects);
    const { directory, messages } = openArtefact({ ...check, bytes });
    expect(directory.objects()).to.deep.equal(objects);
    expect(messages).to.deep.equal(encodeTransfer(objects));
    expect(openArtefactTrust({ ...check, bytes }).head.serial).to.equal(1);
  });

  it("is verified one record a step", () => {
    const steps = [...verifyArtefact({ ...check, bytes })];
    expect(steps).to.have.length(objects.nodes.length + objects.records.length);
  });

  it("splits a large directory into messages of at most 256 KiB", () => {
    const prefixes = Array.from(
      { length: 1400 },
      (_, index) => `"tel:+1${1000 + index}": { zones: [rest@dp-c.example] }`,
    );
    const messages = encodeTransfer(makeDirectoryObjects({ root, prefixes }));
    expect(messages.length).to.be.greaterThan(3);
    expect(Math.max(...messages.map(({ length }) => length))).to.be.at.most(256 * 1024);
    const { directory } = openArtefact({ ...check, bytes: frameMessages(messages) });
    expect(directory.head.nodeCount).to.be.greaterThan(1400);
  });

  it("cut off anywhere is refused", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: bytes.length - 1 }), (length) => {
        const outcome = outcomeOf(() =>
          openArtefact({ ...check, bytes: bytes.subarray(0, length) }),
        );
        expect(outcome).to.be.oneOf(["INVALID_DATA", "BOGUS"]);
      }),
      { numRuns: 60 },
    );
  });

  it("of random bytes is refused", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (random) => {
        expect(outcomeOf(() => openArtefact({ ...check, bytes: random }))).to.be.oneOf([
          "INVALID_DATA",
          "TOO_LARGE",
          "KEY_MISSING",
          "BOGUS",
        ]);
      }),
    );
  });

  it("with a second head, or a message over 256 KiB, is refused", () => {
    const [first, second] = encodeTransfer(objects);
    const twice = frameMessages([first!, first!, second!]);
    expect(outcomeOf(() => openArtefact({ ...check, bytes: twice }))).to.equal("INVALID_DATA");
    const headless = frameMessages([second!]);
    expect(outcomeOf(() => openArtefact({ ...check, bytes: headless }))).to.equal("INVALID_DATA");
    const huge = frameMessages([new Uint8Array(256 * 1024 + 1)]);
    expect(outcomeOf(() => artefactMessages(huge))).to.equal("TOO_LARGE");
  });
});
