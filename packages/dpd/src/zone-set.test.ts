// What of a zone's configuration changes while it serves, and what closes and opens it.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import {
  encodeHpkeKeyPem,
  encodePrivateKeyPem,
  encodeVoprfKey,
  hpkePublicKeyOf,
  loadSodiumVoprf,
} from "@whither/crypto/node";
import type { Manifest } from "@whither/protocol";
import { createInlineVoprf, silentLogger } from "@whither/runtime";
import {
  createSeededRandom,
  createSimulatedClock,
  fixedBytes,
  makeRegistrationParties,
} from "@whither/testkit";
import { encodeManifest, encodeSignedObject } from "@whither/wire";
import type { ZoneConfig } from "./config-zones.js";
import { ZoneSet } from "./zone-set.js";

const clock = createSimulatedClock();
const random = createSeededRandom(4);
const parties = makeRegistrationParties({ nowSeconds: clock.nowSeconds() });
const hpkeSecret = fixedBytes("hpke");
const hpkeKeys = [
  { id: 1, publicKey: hpkePublicKeyOf(hpkeSecret), notAfter: clock.nowSeconds() + 86_400 },
];

describe("the zones of a dpd", () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "whither-zone-set-"));
    const secret = { mode: 0o600 };
    await writeFile(file("zone.pem"), encodePrivateKeyPem(fixedBytes("key zone")), secret);
    await writeFile(file("voprf"), encodeVoprfKey(parties.voprfKeys.secretKey), secret);
    await writeFile(file("hpke"), encodeHpkeKeyPem(hpkeSecret), secret);
    await writeManifest({});
  });
  afterEach(() => rm(directory, { recursive: true }));

  const file = (name: string): string => join(directory, name);
  const writeManifest = (change: Partial<Manifest>): Promise<void> => {
    const payload = encodeManifest({ ...parties.manifest, ...change });
    return writeFile(file("manifest"), encodeSignedObject({ payload, signatures: [] }));
  };
  const config = (change: Partial<ZoneConfig> = {}): ZoneConfig => ({
    name: parties.zone,
    manifestFile: file("manifest"),
    zoneKeyFile: file("zone.pem"),
    nextZoneKeyFile: undefined,
    voprfKeyFile: file("voprf"),
    nextVoprfKeyFile: undefined,
    vaultKeyFile: undefined,
    hpkeKeyFiles: [],
    epoch: 1,
    probe: undefined,
    replication: { peers: [] },
    storeCacheBytes: 1024 * 1024,
    bucketCacheBytes: 0,
    ...change,
  });

  it("goes on through a change of keys and manifest, and is opened anew for the rest", async () => {
    const told: string[] = [];
    await using zones = new ZoneSet({
      stateDirectory: directory,
      voprf: createInlineVoprf(await loadSodiumVoprf(), random),
      clock,
      random,
      logger: silentLogger,
      fence: () => Promise.resolve(),
      onServe: () => told.push("serves"),
      onWithdraw: () => told.push("withdrawn"),
      onChange: () => undefined,
    });
    const apply = async (change: Partial<ZoneConfig> = {}): Promise<string | undefined> => {
      const [settled] = await zones.apply([config(change)]);
      return settled?.error?.text ?? settled?.outcome;
    };
    const hpkeKeyFiles = [file("hpke")];
    expect(await apply()).to.equal("opened");
    expect(await apply()).to.equal("kept");
    expect(await apply({ hpkeKeyFiles }), "not named yet").to.equal("changed");
    await writeManifest({ version: 2, hpkeKeys });
    expect(await apply({ hpkeKeyFiles })).to.equal("changed");
    await zones.reload(parties.zone, { switchNow: true });
    expect(zones.serving()[0]?.zone.manifest.hpkeKeys).to.deep.equal(hpkeKeys);
    expect(await apply()).to.equal("an hpke key of the manifest is not at hand");
    expect(zones.serving(), "under what it was").to.have.length(1);
    expect(told).to.deep.equal(["serves"]);
    expect(await apply({ hpkeKeyFiles, storeCacheBytes: 2048 * 1024 })).to.equal("replaced");
    expect(told).to.deep.equal(["serves", "withdrawn", "serves"]);
  });
});
