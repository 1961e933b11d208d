import { expect } from "chai";
import { createSigner, sha256, utf8 } from "@whither/crypto/node";
import {
  directoryFixtureSeconds as now,
  makeDirectoryObjects,
  makeRootFixture,
  outcomeOf,
  registryFixtureText as registry,
} from "@whither/testkit";
import { nodeVerifier } from "../signed.js";
import type { Directory, DirectoryObjects } from "./directory.js";
import { verifyDirectory } from "./verify.js";

const day = 86_400;
const root = makeRootFixture();
const verify = (objects: DirectoryObjects, nowSeconds = now): Directory =>
  verifyDirectory({ objects, anchors: root.anchors, nowSeconds, verifier: nodeVerifier });
const first = verify(makeDirectoryObjects({ root }));

describe("signing a directory", () => {
  it("begins an epoch, then counts serials within it", () => {
    expect(first.head).to.include({ epoch: now, serial: 1, registryVersion: 1 });
    const next = verify(
      makeDirectoryObjects({ root, previous: first, nowSeconds: now + 9 }),
      now + 9,
    );
    expect(next.head).to.include({ epoch: now, serial: 2, registryVersion: 1, notBefore: now + 9 });
  });

  it("raises the registry version when a bit gets a meaning", () => {
    const more = registry.replace(
      "provers:",
      `  - { id: new.example, operator: N, bit: 2, keys: ["ed25519:11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"], accredited_from: 2026-01-01, accredited_to: 2029-01-01 }\nprovers:`,
    );
    const next = verify(makeDirectoryObjects({ root, previous: first, registryText: more }));
    expect(next.head.registryVersion).to.equal(2);
  });

  const bits: readonly (readonly [string, (text: string) => string])[] = [
    ["moves", (text) => text.replace("bit: 1,", "bit: 5,")],
    ["is given to another", (text) => text.replace("video.example", "other.example")],
    ["vanishes with its MSP", (text) => text.replace(/ {2}- \{ id: video\.example.*\n/, "")],
  ];
  for (const [title, change] of bits) {
    it(`is refused when a bit ${title}`, () => {
      const registryText = change(registry);
      expect(registryText).to.not.equal(registry);
      expect(
        outcomeOf(() => makeDirectoryObjects({ root, previous: first, registryText })),
      ).to.equal("CONFIG");
      expect(outcomeOf(() => makeDirectoryObjects({ root, registryText }))).to.equal("ok");
    });
  }

  it("gives nothing a longer life than the key that signs it", () => {
    const short = makeRootFixture({ zsk: { notAfter: now + 2 * day } });
    const { head } = verify(makeDirectoryObjects({ root: short }));
    expect(head.notAfter).to.equal(now + 2 * day);
  });

  it("is refused by a key that is no ZSK, or none yet or any more", () => {
    const stranger = { ...root, zsk: createSigner(sha256(utf8("stranger"))) };
    expect(outcomeOf(() => makeDirectoryObjects({ root: stranger }))).to.equal("KEY_MISSING");
    const early = makeRootFixture({ zsk: { notBefore: now + day } });
    expect(outcomeOf(() => makeDirectoryObjects({ root: early }))).to.equal("NOT_YET_VALID");
    const late = makeRootFixture({ zsk: { notAfter: now - day / 2 } });
    expect(outcomeOf(() => makeDirectoryObjects({ root: late }))).to.equal("EXPIRED");
  });
});
