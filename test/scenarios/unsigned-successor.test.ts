// Whoever has the directory's signing key, and no key of a zone, names another manifest and other servers for it.
// For 72 h nobody who knew the zone believes a word of theirs; meanwhile its people see the change in public.

import { expect } from "chai";
import { createDiscoveryProvider, openMappingZone } from "@whither/authority";
import { loadSodiumVoprf, portableVoprf, utf8, type Signer } from "@whither/crypto/node";
import { createDirectoryFollower } from "@whither/directory";
import { limits, parseCsi, roles, type Endpoint, type SignedObject } from "@whither/protocol";
import type { Resolver } from "@whither/resolver";
import { createInlineVoprf } from "@whither/runtime";
import { createMemoryStore } from "@whither/store";
import {
  createFederation,
  fixedBytes,
  fixedSigner,
  resignDirectory,
  type Federation,
} from "@whither/testkit";
import { decodeDirectoryHead, encodeManifest } from "@whither/wire";
import { addSignature, payloadSha256 } from "@whither/zone";
import { bothWays, outcomeOf } from "./both-ways.js";

const alice = parseCsi("+4930123456");
const zoneName = "de@dp-a.example";
const found = "found wire.example";
const hourMs = 3600_000;

const zoneKey = fixedSigner("another zone key");
const voprfKeys = portableVoprf.deriveKeyPair(fixedBytes("another voprf key"), utf8("scenario"));
const spkiSha256 = fixedBytes("another server");
const host = "elsewhere.example";

/** A manifest of the zone with other keys in it, signed by whoever is told. */
function otherManifest(federation: Federation, signers: readonly Signer[] = []): SignedObject {
  const { manifest, zone } = federation.zone(zoneName);
  const payload = encodeManifest({
    ...manifest,
    version: 2,
    zoneKeys: manifest.zoneKeys.map((key) => ({ ...key, publicKey: zoneKey.publicKey })),
    voprfKeys: manifest.voprfKeys.map((key) => ({
      ...key,
      kid: fixedBytes("another kid", 4),
      publicKey: voprfKeys.publicKey,
    })),
  });
  return signers.reduce<SignedObject>(
    (object, signer) =>
      addSignature(object, { type: "manifest", role: roles.rootKsk, zone, signer }),
    { payload, signatures: [] },
  );
}

/** Serves an empty zone of that name: whoever believes it proves that nobody is registered. */
async function serveElsewhere(federation: Federation, manifest: SignedObject): Promise<void> {
  const { clock, random, network, anchors } = federation;
  const zone = await openMappingZone({
    store: createMemoryStore(),
    zone: federation.zone(zoneName).zone,
    manifest,
    keys: { signer: zoneKey, voprfSecretKey: voprfKeys.secretKey },
    voprf: createInlineVoprf(await loadSodiumVoprf(), random),
    clock,
    random,
  });
  const provider = createDiscoveryProvider({
    dpId: federation.dp("dp-a.example").record.id,
    zones: [{ zone, signer: zoneKey }],
    follower: createDirectoryFollower({
      anchors,
      source: { kind: "server", host: "root.example", port: 7363 },
      openChannel: federation.openChannel(host),
      clock,
      random,
      mirror: false,
    }),
    clock,
    random,
  });
  const { clientServices, publicServices } = provider;
  network.serve(`${host}:7354`, {
    spkiSha256,
    services: clientServices,
    clients: { kind: "required" },
  });
  network.serve(`${host}:7364`, {
    spkiSha256,
    services: publicServices,
    clients: { kind: "none" },
  });
  provider.start();
}

/** The directory as the root would sign it now, and the same with the zone given to the other servers. */
function nameElsewhere(federation: Federation, manifest: SignedObject): void {
  const endpoint: Endpoint = {
    host,
    port: 7354,
    publicPort: 7364,
    spkiSha256: [spkiSha256],
    jurisdiction: "",
    operator: "",
  };
  const change = { endpoints: [endpoint], manifestSha256: [payloadSha256(manifest)] };
  // Dated back by just as long as a manifest waits: who has the key can write any date.
  const backSeconds = limits.manifestHoldSeconds;
  const signed = federation.signDirectory();
  const objects = resignDirectory(signed, {
    root: federation.root,
    nodes: (nodes) =>
      nodes.map((node) => ({
        ...node,
        notBefore: node.notBefore - backSeconds,
        notAfter: node.notAfter - backSeconds,
        authorities: node.authorities.map((one) =>
          one.zone === zoneName ? { ...one, ...change } : one,
        ),
      })),
    head: { notAfter: decodeDirectoryHead(signed.head.payload).notAfter - backSeconds },
  });
  federation.replaceDirectory(objects);
}

async function start(): Promise<Federation> {
  const federation = await createFederation({
    isInMemory: true,
    seed: 97,
    dps: [{ id: "dp-a.example", zones: ["de"] }],
    prefixes: [`"tel:+49": { zones: [${zoneName}] }`],
  });
  await federation.register({ csi: alice, msps: ["wire.example"] });
  await federation.publish();
  return federation;
}

/** Time goes on, and with it what zones and mirrors do by themselves. */
async function pass(federation: Federation, ms: number): Promise<void> {
  const { clock } = federation;
  const end = clock.nowMs() + ms;
  while (clock.nowMs() < end) await clock.advance(Math.min(10 * 60_000, end - clock.nowMs()));
}

/** Asks every so often until it is told something else than that the manifest waits, at most for so long. */
async function hoursUntilBelieved(
  federation: Federation,
  { resolver, hoursMax }: { readonly resolver: Resolver; readonly hoursMax: number },
): Promise<{ readonly hours: number; readonly outcome: string }> {
  const outcomes = new Set<string>();
  for (let hours = 0; hours < hoursMax; hours += 4) {
    const outcome = await outcomeOf(resolver, alice, { refresh: true });
    outcomes.add(outcome);
    if (outcome !== "MANIFEST_WAITS") return { hours, outcome };
    await pass(federation, 4 * hourMs);
  }
  return { hours: hoursMax, outcome: [...outcomes].join() };
}

describe("a directory's signer without the zone's key", () => {
  bothWays("cannot give a zone to other servers within 72 h", async (mirror) => {
    await using federation = await start();
    const resolver = await federation.resolver({ mirror });
    expect(await outcomeOf(resolver, alice)).to.equal(found);
    const manifest = otherManifest(federation);
    await serveElsewhere(federation, manifest);
    nameElsewhere(federation, manifest);
    await pass(federation, hourMs);
    expect(await hoursUntilBelieved(federation, { resolver, hoursMax: 68 })).to.deep.equal({
      hours: 68,
      outcome: "MANIFEST_WAITS",
    });
    // The root is itself again: what it names is believed at once, and the other is forgotten.
    federation.replaceDirectory();
    await pass(federation, hourMs);
    expect(await outcomeOf(resolver, alice, { refresh: true })).to.equal(found);
  });

  bothWays(
    "is believed after 72 h: a zone that lost its keys goes on with new ones",
    async (mirror) => {
      await using federation = await start();
      const resolver = await federation.resolver({ mirror });
      expect(await outcomeOf(resolver, alice)).to.equal(found);
      const manifest = otherManifest(federation);
      await serveElsewhere(federation, manifest);
      nameElsewhere(federation, manifest);
      await pass(federation, hourMs);
      const { hours, outcome } = await hoursUntilBelieved(federation, { resolver, hoursMax: 100 });
      expect(outcome).to.equal("none");
      expect(hours).to.be.within(68, 76);
    },
  );

  bothWays("with enough root KSKs is believed at once", async (mirror) => {
    await using federation = await start();
    const resolver = await federation.resolver({ mirror });
    expect(await outcomeOf(resolver, alice)).to.equal(found);
    const manifest = otherManifest(federation, federation.root.ksks);
    await serveElsewhere(federation, manifest);
    nameElsewhere(federation, manifest);
    await pass(federation, hourMs);
    expect(await outcomeOf(resolver, alice, { refresh: true })).to.equal("none");
  });
});
