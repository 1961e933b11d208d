import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { loadSodiumVoprf } from "@whither/crypto/node";
import { DiscoveryError, type ErrorCode } from "@whither/protocol";
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

  const open = async (vaultKey: Uint8Array | undefined): Promise<ErrorCode | "ok"> => {
    const scope = createScope();
    try {
      const options = {
        stateDirectory,
        voprf: createInlineVoprf(await loadSodiumVoprf(), random),
        clock,
        random,
        logger: silentLogger,
      };
      await openZone(scope, options, {
        config: {
          name: parties.zone,
          manifestFile: "",
          zoneKeyFile: "",
          voprfKeyFile: "",
          nextVoprfKeyFile: undefined,
          vaultKeyFile: undefined,
          epoch: 1,
          probe: undefined,
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
});
