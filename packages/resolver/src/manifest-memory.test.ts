import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { ManifestMemory } from "@whither/directory";
import { createSimulatedClock, makeRegistrationParties } from "@whither/testkit";
import { encodeManifest } from "@whither/wire";
import { nodeVerifier, type NamedManifest } from "@whither/zone";
import type { Resolver } from "./resolver.js";
import { codeOf, contactOf, ScriptedZone, scriptedWorld } from "./scripted-zone.test.js";

const parties = makeRegistrationParties();
const { csi, nowSeconds, zone: name } = parties;
const successor = makeRegistrationParties({ manifest: { version: 2 } });
const hold = 72 * 3600;

async function verdictsOf(resolver: Resolver): Promise<readonly string[]> {
  const { hops } = await resolver.lookup(csi, { refresh: true });
  return hops.flatMap(({ verdict, learnt }) =>
    verdict === "MANIFEST_WAITS" ? [`${verdict}: ${learnt}`] : [],
  );
}

describe("a manifest that its predecessor did not sign", () => {
  let statePath: string;
  beforeEach(async () => void (statePath = await mkdtemp(join(tmpdir(), "whither-manifests-"))));
  afterEach(() => rm(statePath, { recursive: true }));

  const start = async () => {
    const zone = new ScriptedZone({ parties, contacts: [contactOf(parties)], fillers: 100 });
    zone.successors.push(encodeManifest(successor.manifest));
    zone.unsignedSuccessors = true;
    const authorities = [zone.authority()];
    const delegation = { notBefore: nowSeconds - 2 * hold, authorities };
    const world = await scriptedWorld({ zones: [zone], delegation, statePath });
    await world.resolver.lookup(csi);
    return { zone, authorities, ...world };
  };
  const { manifestSha256 } = successor;

  it("is told beside the answer under the earlier one, while both are named", async () => {
    const { zone, authorities, resolver, clock } = await start();
    authorities[0] = zone.authority({ manifestSha256: [manifestSha256, parties.manifestSha256] });
    expect(await verdictsOf(resolver)).to.deep.equal([
      "MANIFEST_WAITS: manifest, version 2, in effect in 72 h at the earliest",
    ]);
    await clock.advance(3600_000);
    zone.publish(nowSeconds + 3600, []);
    expect(await verdictsOf(resolver)).to.deep.equal([
      "MANIFEST_WAITS: manifest, version 2, in effect in 71 h at the earliest",
    ]);
    await resolver.close();
  });

  it("is not believed for 72 h though it alone is named, over a restart, and then it is", async () => {
    const { zone, authorities, resolver, clock, again } = await start();
    await resolver.close();
    authorities[0] = zone.authority({ manifestSha256: [manifestSha256] });
    const publish = (seconds: number): Promise<void> => {
      zone.publish(nowSeconds + seconds, [], { manifestSha256 });
      return clock.advance(nowSeconds * 1000 + seconds * 1000 - clock.nowMs());
    };
    for (const seconds of [60, 3600, hold - 1]) {
      await publish(seconds);
      await using reborn = await again();
      expect(await codeOf(reborn.lookup(csi, { refresh: true }))).to.equal("MANIFEST_WAITS");
    }
    await publish(hold);
    await using reborn = await again();
    expect((await reborn.lookup(csi, { refresh: true })).status).to.equal("found");
  });

  it("is believed as soon as any server shows the signature", async () => {
    const { zone, authorities, resolver, clock } = await start();
    authorities[0] = zone.authority({ manifestSha256: [manifestSha256] });
    zone.publish(nowSeconds + 60, [], { manifestSha256 });
    expect(await codeOf(resolver.lookup(csi, { refresh: true }))).to.equal("MANIFEST_WAITS");
    zone.unsignedSuccessors = false;
    await clock.advance(301_000);
    expect((await resolver.lookup(csi, { refresh: true })).status).to.equal("found");
    await resolver.close();
  });

  it("refuses to start on a damaged file, and starts on its own", async () => {
    const { resolver, again } = await start();
    await resolver.close();
    await (await again()).close();
    const path = join(statePath, "manifests.json");
    await writeFile(path, (await readFile(path, "utf8")).replace("in_effect", "forgotten"));
    expect(await codeOf(again())).to.equal("STORE_CORRUPT");
  });

  it("waits from when the first of two processes saw it", async () => {
    const clock = createSimulatedClock({ startMs: nowSeconds * 1000 });
    const path = join(statePath, "manifests.json");
    const ksks = () => ({ keys: [], threshold: 1 });
    const open = (): Promise<ManifestMemory> => ManifestMemory.open({ path, clock, ksks });
    const named = ({ manifest }: typeof parties): NamedManifest => {
      const payload = encodeManifest(manifest);
      const sha256 = manifest === parties.manifest ? parties.manifestSha256 : manifestSha256;
      return { object: { payload, signatures: [] }, manifest, sha256 };
    };
    const judge = (memory: ManifestMemory, one: NamedManifest) =>
      memory.judge(
        { zone: name, manifestSha256: [one.sha256] },
        { received: [one], namedAt: 0, verifier: nodeVerifier },
      );
    const first = await open();
    judge(first, named(parties));
    await first.close();
    const [one, other] = [await open(), await open()];
    judge(one, named(successor));
    await one.close();
    await clock.advance(10_000);
    other.seen(name);
    judge(other, named(successor));
    await other.close();
    const [wait] = judge(await open(), named(successor)).waiting;
    expect(wait?.effectiveAt).to.equal(nowSeconds + hold);
  });
});
