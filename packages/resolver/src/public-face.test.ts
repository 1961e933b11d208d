// The library as an integrator writes it: the sample of the README, run as it stands against a signed
// directory in a file and a zone on the simulated network.

import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { formatPin, formatPublicKey, toHex } from "@whither/crypto";
import { createMemoryNetwork } from "@whither/rpc";
import { createInlineVoprf } from "@whither/runtime";
import {
  createSeededRandom,
  createSimulatedClock,
  fixedBytes,
  makeDirectoryObjects,
  makeRegistrationParties,
  makeRootFixture,
  testIdentity,
} from "@whither/testkit";
import { encodeArtefact, formatAnchors } from "@whither/zone";
import { readNextIdentity } from "./client-identity.js";
import { createResolver, parseCsi, type Csi, type ResolverOptions } from "./index.js";
import { codeOf, contactOf, ScriptedZone, voprf } from "./scripted-zone.test.js";

const parties = makeRegistrationParties();
const { nowSeconds, msps, mspSigners, dp, zone: zoneName } = parties;

/** A certificate that nobody trusts and its key: only their form matters here. */
const clientIdentity = {
  cert: `-----BEGIN CERTIFICATE-----
MIIBpDCCAUqgAwIBAgIUI2A0NWjoOEMYLWHT3KBPFN6SQQUwCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwOY2xpZW50LmV4YW1wbGUwIBcNMjYxMTIzMDY1NDQyWhgPMjEy
NjEwMzAwNjU0NDJaMBkxFzAVBgNVBAMMDmNsaWVudC5leGFtcGxlMFkwEwYHKoZI
zj0CAQYIKoZIzj0DAQcDQgAEJkM5fcyBwwpsxje5Pb+4mmqC+fQ6D4Hm1qjTeL5/
DCNAEms61tw787RemVLCPboBOmyVam3lR/zlXTgNSTgs0KNuMGwwHQYDVR0OBBYE
FFJ+eiDhC8xDhPKycE62M1G/CqIXMB8GA1UdIwQYMBaAFFJ+eiDhC8xDhPKycE62
M1G/CqIXMA8GA1UdEwEB/wQFMAMBAf8wGQYDVR0RBBIwEIIOY2xpZW50LmV4YW1w
bGUwCgYIKoZIzj0EAwIDSAAwRQIhAI1ZnQmA6GFBRAPBrKZiK51b+kuC76Cm0+a+
8cMdgS7eAiBYp6ekgvdoodJ290fEk8QpJWuSzJUZad/LnNYg8DerzA==
-----END CERTIFICATE-----
`,
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg+S+xFU4Kj1Qmp/JJ
kWioOlQTwX0R1sKdu/lV/Ta6DSmhRANCAAQmQzl9zIHDCmzGN7k9v7iaaoL59DoP
gebWqNN4vn8MI0ASazrW3DvztF6ZUsI9ugE6bJVqbeVH/OVdOA1JOCzQ
-----END PRIVATE KEY-----
`,
};

const msp = (index: 0 | 1): string => {
  const { id, operator, bit, mimiDirectoryUrl } = msps[index];
  const key = formatPublicKey(mspSigners[index].publicKey);
  return `  - { id: ${id}, operator: ${operator}, bit: ${bit}, keys: ["${key}"], mimi_directory_url: "${mimiDirectoryUrl}", accredited_from: 2026-01-01, accredited_to: 2029-01-01 }\n`;
};
const registryText = `dps:
  - id: ${dp.id}
    operator: ${dp.operator}
    max_qps: 1000
    endpoints: [{ host: ${dp.id}, port: 7354, public_port: 7364, spki: ["${formatPin(fixedBytes("spki"))}"] }]
    zones: [{ name: ${zoneName}, manifest_sha256: [${toHex(parties.manifestSha256)}] }]
msps:
${msp(0)}${msp(1)}provers:
  - { id: ${parties.prover.id}, operator: ${parties.prover.operator}, keys: ["${formatPublicKey(parties.proverSigner.publicKey)}"], prefixes: ["tel:", "mailto:"], methods: [sms, email], max_level: 2, valid_from: 2026-01-01, valid_to: 2029-01-01 }
`;

describe("the public face", () => {
  let folder = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "whither-resolver-"));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  /** Files of a federation in `folder`, and what replaces clock, network and threads. */
  async function federation() {
    const root = makeRootFixture({ nowSeconds });
    const objects = makeDirectoryObjects({
      root,
      nowSeconds,
      registryText,
      prefixes: [`"tel:": { unassigned: true }`, `"tel:+1": { zones: [${zoneName}] }`],
    });
    const anchors = join(folder, "anchors.json");
    const directory = join(folder, "root.zone");
    await writeFile(anchors, formatAnchors(root.anchors));
    await writeFile(directory, encodeArtefact(objects));
    const clock = createSimulatedClock({ startMs: nowSeconds * 1_000 });
    const random = createSeededRandom(3);
    const network = createMemoryNetwork({ clock, random });
    const zone = new ScriptedZone({
      parties,
      contacts: [contactOf(parties, { count: 2 })],
      fillers: 600,
    });
    zone.serve(network);
    const injected = {
      clock,
      random,
      voprf: createInlineVoprf(voprf, random),
      openChannel: ({ host, port, identity }) =>
        network.connect(`${host}:${port}`, {
          ...(identity === undefined
            ? {}
            : {
                identity: {
                  kind: "certificate",
                  spkiSha256: fixedBytes("client"),
                  names: ["wire.example"],
                  certificateDer: new Uint8Array(),
                } as const,
              }),
        }),
    } satisfies Partial<ResolverOptions>;
    return { anchors, directory, injected, zone, clock };
  }

  it("runs the sample of the README as it stands", async () => {
    const { anchors, directory, injected } = await federation();
    const { cert, key } = clientIdentity;
    const routed: string[] = [];
    const route = (to: string): void => void routed.push(to);
    const offerInvite = (ttlSeconds: number): void => void routed.push(`invite ${ttlSeconds}`);
    const retryLater = (complete: { answered: number }): void =>
      void routed.push(`retry ${complete.answered}`);
    const updates: [Csi, string][] = [];
    const update = (csi: Csi, answer: { status: string }): void =>
      void updates.push([csi, answer.status]);
    const addressBook = [
      parseCsi("+14155550123"),
      parseCsi("+14155550199"),
      parseCsi("+4930123456"),
    ];

    await using resolver = await createResolver({
      anchors,
      directory,
      identity: { cert, key },
      ...injected,
    });
    const answer = await resolver.lookup(parseCsi("+14155550123"), {
      msps: ["wire.example"],
      signal: AbortSignal.timeout(20_000),
    });
    switch (answer.status) {
      case "found":
        route(answer.choice.msp);
        break;
      case "none":
        offerInvite(answer.ttlSeconds);
        break;
      case "incomplete":
        retryLater(answer.complete);
        break;
    }
    for await (const { csi, answer } of resolver.lookupAll(addressBook)) update(csi, answer);

    expect(routed).to.deep.equal(["wire.example"]);
    expect(updates).to.deep.equal([
      ["tel:+14155550123", "found"],
      ["tel:+14155550199", "none"],
      ["tel:+4930123456", "none"],
    ]);
  });

  it("keeps heads, choices, secret and mirror over a restart, in files only its owner reads", async () => {
    const { anchors, directory, injected, zone } = await federation();
    const statePath = join(folder, "state");
    const options = { anchors, directory, identity: clientIdentity, ...injected, statePath };
    const [head, signed] = [zone.head, zone.signedHead];
    zone.publish(nowSeconds + 60);
    const first = await createResolver(options);
    const { choice } = await first.lookup(parties.csi);
    expect(choice?.msp).to.equal("wire.example");
    await first.close();
    for (const name of ["heads.json", "choices.json", "secret"]) {
      const { mode } = await stat(join(statePath, name));
      expect(mode & 0o077, name).to.equal(0);
    }
    const names = (await readdir(statePath)).filter((name) => !name.startsWith("directory"));
    for (const name of names) {
      const content = await readFile(join(statePath, name), "latin1");
      expect(content).not.to.include("4155550123");
    }
    zone.serveAgain(head, signed);
    const second = await createResolver(options);
    expect(await codeOf(second.lookup(parties.csi))).to.equal("ROLLBACK");
    await second.close();
    const third = await createResolver(options);
    expect(third.evidence().map((one) => one.code)).to.deep.equal(["ROLLBACK"]);
    await third.close();
  });

  it("refuses damaged state instead of beginning anew", async () => {
    const { anchors, directory, injected } = await federation();
    const statePath = join(folder, "state");
    const options = { anchors, directory, identity: clientIdentity, ...injected, statePath };
    await (await createResolver(options)).close();
    for (const content of [
      "{",
      "[]",
      '{"version":2}',
      '{"version":1,"heads":{"x":{}}}',
      '{"version":1}',
    ]) {
      await writeFile(join(statePath, "heads.json"), content);
      expect(await codeOf(createResolver(options)), content).to.equal("STORE_CORRUPT");
    }
  });

  it("takes another client certificate while it runs, and keeps the one it has for one that is none", async () => {
    const { anchors, directory, injected } = await federation();
    await using resolver = await createResolver({ anchors, directory, ...injected });
    expect(await codeOf(resolver.lookup(parties.csi))).to.equal("UNAUTHENTICATED");
    expect(resolver.identityNotAfter()).to.equal(undefined);
    const files = { cert: join(folder, "client.pem"), key: join(folder, "client-key.pem") };
    const { certPem, keyPem } = testIdentity();
    await writeFile(files.cert, certPem);
    await writeFile(files.key, keyPem, { mode: 0o600 });
    await resolver.replaceIdentity(files);
    const end = Date.UTC(2049, 11, 31, 23, 59, 59) / 1000;
    expect(resolver.identityNotAfter()).to.equal(end);
    expect((await resolver.lookup(parties.csi)).status, "at once").to.equal("found");
    await writeFile(files.key, clientIdentity.key);
    expect(await codeOf(resolver.replaceIdentity(files))).to.equal("CONFIG");
    expect(resolver.identityNotAfter()).to.equal(end);
    expect((await resolver.lookup(parties.csi, { refresh: true })).status).to.equal("found");
    expect(await codeOf(readNextIdentity({ cert: certPem, key: keyPem }, end + 1))).to.equal(
      "CONFIG",
    );
  });

  it("takes a path or PEM for the identity, not one of each, and checks sizes", async () => {
    const { anchors, directory, injected } = await federation();
    const wrong: Partial<ResolverOptions>[] = [
      { identity: { cert: clientIdentity.cert, key: "/nowhere/key.pem" } },
      { cacheBytes: 1_000 },
      { cacheBytes: Number.NaN },
    ];
    for (const options of wrong) {
      let caught: unknown;
      await createResolver({ anchors, directory, ...injected, ...options }).catch(
        (error: unknown) => (caught = error),
      );
      expect(caught).to.be.instanceOf(TypeError);
    }
    const missing = { anchors: join(folder, "none.json"), directory, ...injected };
    expect(await codeOf(createResolver(missing))).to.equal("CONFIG");
  });
});
