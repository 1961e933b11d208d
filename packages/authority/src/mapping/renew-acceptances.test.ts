import { expect } from "chai";
import { sha256, uint32Bytes, uint64Bytes, utf8 } from "@whither/crypto/node";
import {
  isDiscoveryError,
  parseCsi,
  roles,
  type Csi,
  type Manifest,
  type SignedObject,
} from "@whither/protocol";
import { createMemoryStore } from "@whither/store";
import {
  createSeededRandom,
  createSimulatedClock,
  fixedBytes,
  fixedSigner,
  makeRegistrationParties,
  makeSlot,
  openTestZone,
} from "@whither/testkit";
import { decodeAcceptance, decodeSlotBody, encodeManifest } from "@whither/wire";
import { mspBitsOf, nodeVerifier, verifyAcceptance, verifySlot } from "@whither/zone";
import type { MappingZone } from "./mapping-zone.js";
import { renewAcceptances } from "./renew-acceptances.js";
import { openVault, type Vault } from "./vault.js";

const startMs = Date.UTC(2027, 0, 15, 8);
const people = Array.from({ length: 12 }, (_, n) =>
  parseCsi(`tel:+1415555${String(n).padStart(4, "0")}`),
);
const partiesOf = (csi: Csi) => makeRegistrationParties({ nowSeconds: startMs / 1000, csi });
const parties = partiesOf(people[0]!);
const { zone, manifest: first, zoneSigner: oldSigner, voprfKeys } = parties;
const [oldPeriod] = first.zoneKeys;
const nextSigner = fixedSigner("next zone key");
const nextPeriod = { ...oldPeriod!, publicKey: nextSigner.publicKey };
/** The new key before the old one; then the new one alone. */
const second: Manifest = { ...first, version: 2, zoneKeys: [nextPeriod, oldPeriod!] };
const third: Manifest = { ...first, version: 3, zoneKeys: [nextPeriod] };
const objectOf = (manifest: Manifest): SignedObject => ({
  payload: encodeManifest(manifest),
  signatures: [],
});
const voprfSecretKey = voprfKeys.secretKey;
const oldKeys = { signer: oldSigner, voprfSecretKey };
const bothKeys = { ...oldKeys, nextSigner };

/** A zone whose process may end at any moment: only the two stores outlive it. */
function createBench({ hasVault = true }: { readonly hasVault?: boolean } = {}) {
  const clock = createSimulatedClock({ startMs });
  const random = createSeededRandom(29);
  const [store, vaultStore] = [createMemoryStore(), createMemoryStore()];
  let nonces = 0;
  const key = fixedBytes("vault");
  return {
    clock,
    async open(
      options: {
        manifest?: Manifest;
        keys?: typeof bothKeys | typeof oldKeys;
        /** Called when a walk over the vault comes to its fifth row. */
        onFifthRow?: () => void;
      } = {},
    ): Promise<MappingZone> {
      const { manifest = first, keys = oldKeys, onFifthRow } = options;
      const opened = await openVault({ store: vaultStore, zone, key, random });
      const vault: Vault = {
        ...opened,
        async *rows(range) {
          let count = 0;
          for await (const row of opened.rows(range)) {
            count += 1;
            if (count === 5) onFifthRow?.();
            yield row;
          }
        },
      };
      const common = { parties, clock, random, store, keys, manifest: objectOf(manifest) };
      return openTestZone({ ...common, ...(hasVault ? { vault } : {}) });
    },
    async register(served: MappingZone, csi: Csi, plaintext: Uint8Array): Promise<void> {
      const nonceD = new Uint8Array(48);
      nonceD.set(uint64Bytes(clock.nowSeconds() + 900));
      nonceD.set(uint32Bytes(++nonces), 8);
      await served.submit({
        slot: await served.lookupForRegistration(csi),
        content: { plaintext, registryVersion: 5, bits: mspBitsOf([3]) },
        nonceD,
        statementSha256: sha256(utf8(csi)),
        acceptedAt: clock.nowSeconds(),
      });
    },
  };
}

type Bench = ReturnType<typeof createBench>;

async function populated(bench: Bench): Promise<MappingZone> {
  const served = await bench.open();
  for (const csi of people) {
    await bench.register(served, csi, makeSlot(partiesOf(csi), { count: 2 }).plaintext);
  }
  await served.runEpoch();
  return served;
}

/** Whether a reader who has only this manifest finds every slot good. */
async function goodUnder(served: MappingZone, manifest: Manifest): Promise<readonly boolean[]> {
  const good: boolean[] = [];
  for (const csi of people) {
    const { plaintext } = await served.lookupForRegistration(csi);
    const { dp, registry, nowSeconds } = partiesOf(csi);
    const check = { csi, zone, manifest, dp, registry, nowSeconds, verifier: nodeVerifier };
    try {
      good.push(verifySlot({ ...check, plaintext: plaintext! }).mappings.length === 2);
    } catch (error) {
      if (!isDiscoveryError(error, "BOGUS")) throw error;
      good.push(false);
    }
  }
  return good;
}

const all = people.map(() => true);
const none = people.map(() => false);

describe("a change of the zone key", () => {
  it("signs heads with the new key and every acceptance anew, so that the old key can go", async () => {
    const bench = createBench();
    await using served = await populated(bench);
    expect(await goodUnder(served, third)).to.deep.equal(none);
    await served.useKeys({ manifest: objectOf(second), keys: bothKeys });
    await served.advanceKeys();
    await served.runEpoch();
    expect(served.signer.publicKey).to.deep.equal(nextSigner.publicKey);
    expect(served.succession.acceptances).to.equal("renewed");
    for (const manifest of [second, third]) {
      expect(await goodUnder(served, manifest)).to.deep.equal(all);
    }
  });

  it("keeps what was accepted, when, and the compact bits", async () => {
    const bench = createBench();
    await using served = await populated(bench);
    const [csi] = people;
    const before = await served.lookupForRegistration(csi!);
    await bench.clock.advance(3600_000);
    await served.useKeys({ manifest: objectOf(second), keys: bothKeys });
    await served.advanceKeys();
    const after = await served.lookupForRegistration(csi!);
    const old = decodeSlotBody(before.plaintext!);
    const body = decodeSlotBody(after.plaintext!);
    expect(body.statement).to.deep.equal(old.statement);
    for (const [at, one] of body.mappings.entries()) {
      const { acceptance, ...others } = one;
      const { acceptance: oldAcceptance, ...oldOthers } = old.mappings[at]!;
      expect(others).to.deep.equal(oldOthers);
      expect(acceptance.payload).to.deep.equal(oldAcceptance.payload);
      expect(acceptance.signatures.map(({ role }) => role)).to.deep.equal([roles.dp]);
      const { mappingSha256, acceptedAt } = decodeAcceptance(acceptance.payload);
      expect(acceptedAt).to.equal(startMs / 1000);
      verifyAcceptance({
        object: acceptance,
        manifest: third,
        mappingSha256,
        nowSeconds: bench.clock.nowSeconds(),
        verifier: nodeVerifier,
      });
    }
  });

  it("goes on after a restart, and is done once", async () => {
    const bench = createBench();
    await (await populated(bench)).close();
    {
      let closing: Promise<void> | undefined;
      const served = await bench.open({
        manifest: second,
        keys: bothKeys,
        onFifthRow: () => void (closing = served.close()),
      });
      const ended = await served.advanceKeys().catch((error: unknown) => error);
      expect(ended).to.satisfy((error: unknown) => isDiscoveryError(error, "CANCELLED"));
      await closing;
      expect(served.succession.acceptances).to.equal("to renew");
    }
    await using served = await bench.open({ manifest: second, keys: bothKeys });
    const good = await goodUnder(served, third);
    expect(good).to.include(true).and.to.include(false);
    await served.advanceKeys();
    expect(await goodUnder(served, third)).to.deep.equal(all);
    const { serial } = served.head();
    await served.advanceKeys();
    await served.runEpoch();
    expect(served.head().serial).to.equal(serial + 1);
  });

  it("begins by itself a minute after the switch", async () => {
    const bench = createBench();
    await using served = await populated(bench);
    served.start();
    await served.useKeys({ manifest: objectOf(second), keys: bothKeys });
    await bench.clock.advance(31_000);
    expect(served.signer.publicKey).to.deep.equal(nextSigner.publicKey);
    expect(served.succession.acceptances).to.equal("to renew");
    for (let turn = 0; served.succession.acceptances !== "renewed" && turn < 400; turn++) {
      await bench.clock.advance(1_000);
      await new Promise(setImmediate);
    }
    expect(await goodUnder(served, third)).to.deep.equal(all);
  });

  it("leaves a registration that comes between as it is", async () => {
    const bench = createBench();
    await using served = await populated(bench);
    await served.useKeys({ manifest: objectOf(second), keys: bothKeys });
    const csi = people[5]!;
    const own = makeSlot(partiesOf(csi), { count: 1, acceptance: { signer: nextSigner } });
    const working = served.advanceKeys();
    await bench.register(served, csi, own.plaintext);
    await working.catch((error: unknown) => {
      if (!isDiscoveryError(error, "CONFLICT_WRITE")) throw error;
    });
    await served.advanceKeys();
    expect((await served.lookupForRegistration(csi)).plaintext).to.deep.equal(own.plaintext);
    expect(served.succession.acceptances).to.equal("renewed");
  });

  it("says that it cannot without a vault, and slots stay good while the old key is named", async () => {
    const bench = createBench({ hasVault: false });
    await using served = await populated(bench);
    await served.useKeys({ manifest: objectOf(second), keys: bothKeys });
    await served.advanceKeys();
    expect(served.succession.acceptances).to.equal("to renew");
    expect(await goodUnder(served, second)).to.deep.equal(all);
  });

  it("stays with the key in force over a restart while the next manifest is not", async () => {
    const bench = createBench();
    await (await populated(bench)).close();
    const manifest = { ...second, zoneKeys: [{ ...nextPeriod }] };
    await using served = await bench.open({ manifest: first, keys: bothKeys });
    expect(served.signer.publicKey).to.deep.equal(oldSigner.publicKey);
    await served.useKeys({ manifest: objectOf(manifest), keys: bothKeys });
    await served.advanceKeys();
    expect(served.signer.publicKey).to.deep.equal(nextSigner.publicKey);
  });
});

describe("acceptances signed anew", () => {
  it("are left alone where all are by the key, and where some are only the others change", () => {
    const slot = makeSlot(parties, { count: 2 });
    expect(renewAcceptances(slot.plaintext, { zone, signer: oldSigner })).to.equal(undefined);
    const renewed = renewAcceptances(slot.plaintext, { zone, signer: nextSigner });
    expect(renewAcceptances(renewed!, { zone, signer: nextSigner })).to.equal(undefined);
  });
});
