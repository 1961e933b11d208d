import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { loadSodiumVoprf } from "@whither/crypto/node";
import { DiscoveryError, limits, type ErrorCode } from "@whither/protocol";
import { createInlineVoprf, createScope, silentLogger } from "@whither/runtime";
import {
  createSeededRandom,
  createSimulatedClock,
  makeRegistrationParties,
} from "@whither/testkit";
import { encodeManifest } from "@whither/wire";
import { openZone } from "./open-zone.js";

const clock = createSimulatedClock();
const random = createSeededRandom(3);
const parties = makeRegistrationParties({ nowSeconds: clock.nowSeconds() });

describe("a zone of a dpd", () => {
  let stateDirectory: string;
  beforeEach(async () => void (stateDirectory = await mkdtemp(join(tmpdir(), "whither-zones-"))));
  afterEach(() => rm(stateDirectory, { recursive: true }));

  const open = async (
    vaultKey: Uint8Array | undefined,
    { epoch = 1 }: { readonly epoch?: number } = {},
  ): Promise<ErrorCode | "ok"> => {
    const scope = createScope();
    try {
      const options = {
        stateDirectory,
        voprf: createInlineVoprf(await loadSodiumVoprf(), random),
        clock,
        random,
        logger: silentLogger,
        onStoreFailed: () => expect.fail("no write fails here"),
      };
      await openZone(scope, options, {
        config: {
          name: parties.zone,
          manifestFile: "",
          zoneKeyFile: "",
          voprfKeyFile: "",
          nextVoprfKeyFile: undefined,
          nextZoneKeyFile: undefined,
          vaultKeyFile: undefined,
          hpkeKeyFiles: [],
          epoch,
          probe: undefined,
          replication: { peers: [] },
          storeCacheBytes: 1024 * 1024,
          bucketCacheBytes: 0,
        },
        manifest: { payload: encodeManifest(parties.manifest), signatures: [] },
        manifestSha256: new Uint8Array(32),
        secrets: { signer: parties.zoneSigner, voprfSecretKey: parties.voprfKeys.secretKey },
        voprfPublicKeys: [parties.voprfKeys.publicKey],
        vaultKey,
      });
      return "ok";
    } catch (error) {
      if (error instanceof DiscoveryError) return error.code;
      throw error;
    } finally {
      await scope.close();
    }
  };

  it("does not open without the key of its vault, nor under another", async () => {
    const key = random.bytes(32);
    expect(await open(undefined)).to.equal("ok"); // never had one
    expect(await open(key)).to.equal("ok");
    expect(await open(undefined)).to.equal("CONFIG");
    expect(await open(random.bytes(32))).to.equal("CONFIG");
    expect(await open(key)).to.equal("ok");
  });

  it("does not open with a store that has lost a head which people have seen", async () => {
    const folder = join(stateDirectory, "zones", parties.zone);
    const note = join(folder, "published");
    expect(await open(undefined)).to.equal("ok");
    const first = await readFile(note, "utf8");
    expect(first).to.match(/^[0-9a-f]{8} 1 1\n$/);
    await cp(join(folder, "store"), join(stateDirectory, "older"), { recursive: true });
    await clock.advance(limits.heartbeatSeconds * 1_000);
    expect(await open(undefined)).to.equal("ok"); // publishes at its start
    expect(await readFile(note, "utf8")).to.equal(first.replace(/1\n$/, "2\n"));
    await rm(join(folder, "store"), { recursive: true });
    expect(await open(undefined), "no store at all").to.equal("STORE_CORRUPT");
    await rm(join(folder, "store"), { recursive: true });
    await cp(join(stateDirectory, "older"), join(folder, "store"), { recursive: true });
    expect(await open(undefined)).to.equal("STORE_CORRUPT");
    expect(await open(undefined, { epoch: 2 }), "a new history").to.equal("ok");
    expect(await readFile(note, "utf8")).to.match(/ 2 2\n$/);
  });

  it("does not open where the note of the last head is damaged", async () => {
    expect(await open(undefined)).to.equal("ok");
    const note = join(stateDirectory, "zones", parties.zone, "published");
    for (const text of ["", "rubbish", "0a0b0c0d 1 0\n", "0a0b0c0d 1 1", "0".repeat(60)]) {
      await writeFile(note, text);
      expect(await open(undefined), text).to.equal("STORE_CORRUPT");
    }
  });
});
