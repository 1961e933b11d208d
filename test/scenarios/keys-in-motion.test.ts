// A whole change of a zone's VOPRF key on simulated time, from the first row of the vault to the end of the old tree:
// at every step people who walk, people who mirror and people who were there before look up and register, and nothing
// fails. The DP is killed on the way, more than once.

import { portableVoprf, sha256, toHex, utf8 } from "@whither/crypto/node";
import { limits, parseCsi, type Csi, type Manifest } from "@whither/protocol";
import type { Resolver } from "@whither/resolver";
import {
  createFederation,
  fixedBytes,
  rootSourceText,
  type Federation,
  type ReplicaSpec,
} from "@whither/testkit";
import { encodeManifest } from "@whither/wire";
import { signObject } from "@whither/zone";
import { roles } from "@whither/crypto";
import { expect } from "chai";

const seed = 20_261_125;
const hour = 3_600;
const ttlSeconds = hour;
const zone = "de@dp-a.example";
const dpId = "dp-a.example";
const nextPair = portableVoprf.deriveKeyPair(fixedBytes("voprf 2"), utf8("rotation"));
const nextKid = sha256(nextPair.publicKey).slice(0, 4);

const csiOf = (n: number): Csi => parseCsi(`tel:+49309018${String(20_000 + n)}`);

/** People who never stop: what they asked, and that all of it was answered as it should be. */
class Public {
  readonly #federation: Federation;
  readonly #resolvers: readonly Resolver[];
  #registered = 0;
  #strangers = 0;
  lookups = 0;
  /** Kids that answers were proved under, in the order they first came. */
  readonly kids: string[] = [];

  constructor(federation: Federation, resolvers: readonly Resolver[]) {
    this.#federation = federation;
    this.#resolvers = resolvers;
  }

  get registered(): number {
    return this.#registered;
  }

  async register(): Promise<void> {
    const csi = csiOf(this.#registered);
    await this.#federation.register({ csi, msps: ["wire.example"] });
    await this.#federation.publish();
    // As long as a promise: replicas have it by then.
    await this.#federation.clock.advance(limits.promiseSeconds * 1000);
    this.#registered += 1;
  }

  /** Everybody asks for somebody and for nobody, past every cache of answers. Throws what goes wrong. */
  async lookUp(): Promise<void> {
    for (const [n, resolver] of this.#resolvers.entries()) {
      const known = csiOf((this.lookups + n) % this.#registered);
      const found = await this.#ask(resolver, known);
      expect(found.status, `${known}, resolver ${n}`).to.equal("found");
      expect(found.warnings, `${known}, resolver ${n}`).to.deep.equal([]);
      expect(found.errors, `${known}, resolver ${n}`).to.deep.equal([]);
      this.#strangers += 1;
      const none = await this.#ask(resolver, parseCsi(`tel:+4930777${10_000 + this.#strangers}`));
      expect(none.status, `a stranger, resolver ${n}`).to.equal("none");
      this.lookups += 2;
      const { kid } = found.proof;
      if (!this.kids.includes(kid)) this.kids.push(kid);
    }
  }

  async #ask(resolver: Resolver, csi: Csi) {
    return await this.#federation.during(resolver.lookup(csi, { refresh: true }));
  }
}

describe(`a VOPRF key replaced while everybody goes on (seed ${seed})`, () => {
  const replica = { id: "replica.example", operator: "Operator R", probe: "tel:+4930123456" };
  for (const { beside, replicas } of [
    { beside: "alone", replicas: [] },
    { beside: "beside a replica of another operator", replicas: [replica] },
  ]) {
    it(`loses no lookup and no registration, ${beside}`, async function () {
      this.timeout(120_000);
      await replaceKey({ replicas });
    });
  }

  it("loses none of those who reach nobody but a full replica, which goes over with its primary", async function () {
    this.timeout(120_000);
    const full = { ...replica, full: true, nextVoprfSecretKey: nextPair.secretKey };
    await replaceKey({ replicas: [full], isPrimaryHidden: true });
  });
});

/** From the first row of the next tree to the end of the old one. */
async function replaceKey(of: {
  readonly replicas: readonly ReplicaSpec[];
  /** Whether only those who register reach the DP itself. */
  readonly isPrimaryHidden?: boolean;
}): Promise<void> {
  const { replicas, isPrimaryHidden = false } = of;
  await using federation = await createFederation({
    isInMemory: true,
    seed,
    dps: [{ id: dpId, zones: [{ name: "de", probe: parseCsi("tel:+4930123456") }], replicas }],
    rootZone: rootSourceText([`"tel:+49": { zones: [${zone}], ttl_s: ${ttlSeconds} }`]),
  });
  const { clock } = federation;
  const resolvers = [
    await federation.resolver({ client: "mirrors", mirror: true }),
    await federation.resolver({ client: "walks", mirror: false }),
    await federation.resolver({ client: "wire.example", mirror: true }),
  ];
  if (isPrimaryHidden) {
    const { clientAddress, publicAddress } = federation.dp(dpId).identity;
    for (const from of ["mirrors", "walks"]) {
      for (const to of [clientAddress, publicAddress]) {
        federation.network.setFaults({ from, to }, { partition: "refused" });
      }
    }
  }
  const people = new Public(federation, isPrimaryHidden ? resolvers.slice(0, 2) : resolvers);
  for (let n = 0; n < 20; n += 1) await people.register();
  await people.lookUp();
  const served = () => federation.zone(zone);
  const { manifest: first, manifestSha256, signer, voprfKeys } = served();
  const keys = {
    signer,
    voprfSecretKey: voprfKeys.secretKey,
    nextVoprfSecretKey: nextPair.secretKey,
  };
  const pass = async (seconds: number, steps: number): Promise<void> => {
    for (let step = 0; step < steps; step += 1) {
      await clock.advance((seconds / steps) * 1000);
      await people.lookUp();
    }
  };
  const crash = async (): Promise<void> => {
    for (const host of [federation.dp(dpId), ...federation.replicas]) {
      host.crash({ kept: (unsynced) => federation.random.below(unsynced + 1) });
      await host.start();
      await people.lookUp();
    }
  };

  // The next tree, made while people register; the process ends in the middle of it.
  await federation.dp(dpId).configure(zone, { manifest: served().manifestObject, keys });
  await people.register();
  await crash();
  await people.register();
  await federation.during(served().mapping.advanceKeys());
  expect(served().mapping.succession.next).to.include({ phase: "built", missing: 0 });
  await people.lookUp();

  // Its manifest: configured, then named.
  const now = clock.nowSeconds();
  const nextKey = { kid: nextKid, publicKey: nextPair.publicKey, notAfter: now + 90 * 24 * hour };
  const second: Manifest = { ...first, version: 2, voprfKeys: [nextKey, ...first.voprfKeys] };
  const payload = encodeManifest(second);
  const place = { type: "manifest", role: roles.zone, zone: served().zone } as const;
  const manifest = signObject({ ...place, payload, signer });
  await federation.dp(dpId).configure(zone, { manifest, keys });
  await people.lookUp();
  federation.nameManifests(zone, [sha256(payload), manifestSha256]);
  federation.replaceDirectory();
  await pass(ttlSeconds / 2, 4);
  await people.register();
  await crash();
  expect(served().mapping.manifest.version, "some may still go by the first").to.equal(1);
  await pass(ttlSeconds / 2 + limits.switchDelaySeconds + 900, 12);
  expect(served().mapping.manifest.version).to.equal(2);

  await pass(hour, 12);
  expect(people.kids).to.deep.equal([toHex(first.voprfKeys[0]!.kid), toHex(nextKid)]);

  // The directory names the second alone; the old tree is served to its end.
  federation.nameManifests(zone, [sha256(payload)]);
  federation.replaceDirectory();
  await people.register();
  await crash();
  await pass(limits.kidOverlapSeconds - 4 * hour, 30);
  expect(served().mapping.succession.previous).to.have.length(1);
  await pass(4 * hour, 8);
  expect(served().mapping.succession.previous).to.deep.equal([]);
  await federation.dp(dpId).configure(zone, {
    manifest,
    keys: { signer, voprfSecretKey: nextPair.secretKey },
  });
  await people.register();
  await crash();
  await pass(hour, 4);
  expect(served().mapping.head().mapSize).to.equal(people.registered);
  console.log(`      ${people.lookups} lookups, ${people.registered} registrations, 0 failures`);
}
