// A DP that holds its keys and breaks its rules: what it signs is caught by what others signed, or by two of
// its own signatures side by side. Evidence is kept, and says enough to convince others.

import { expect } from "chai";
import {
  parseCsi,
  roles,
  type Csi,
  type ErrorCode,
  type SlotBody,
  type SlotMapping,
} from "@whither/protocol";
import type { Resolver } from "@whither/resolver";
import { decodeMessage } from "@whither/rpc";
import {
  createFederation,
  fixedBytes,
  fixedSigner,
  flipSignature,
  malleateSignature,
  smallOrderSigner,
  resignDirectory,
  type DpLies,
  type Federation,
  type FederationZone,
} from "@whither/testkit";
import type { decodeManifest } from "@whither/wire";
import {
  BucketResponseSchema,
  decodeHead,
  decodeSignedObject,
  decodeSlotBody,
  decodeStatement,
  encodeManifest,
  encodeSlotBody,
  encodeStatement,
  signedObjectFromWire,
  type BucketResponse,
} from "@whither/wire";
import { mspBitsOf, payloadSha256, signObject } from "@whither/zone";
import {
  bothWays,
  entriesOf,
  forgetFailures,
  outcomeOf,
  resigned,
  signedBucket,
} from "./both-ways.js";

const alice = parseCsi("+4930123456");
const bob = parseCsi("+4930123457");
const dp = "dp-a.example";
const zoneName = "de@dp-a.example";
const found = "found wire.example video.example";

async function start(): Promise<{
  readonly federation: Federation;
  readonly zone: FederationZone;
}> {
  const federation = await createFederation({
    seed: 41,
    dps: [{ id: dp, zones: ["de"] }],
    prefixes: [`"tel:+49": { zones: [de@dp-a.example] }`],
  });
  await federation.register({ csi: alice, msps: ["wire.example", "video.example"] });
  await federation.register({ csi: bob, msps: ["wire.example"] });
  await federation.publish();
  return { federation, zone: federation.zone(zoneName) };
}

/** What the registrar would never write. */
async function publish(
  { federation, zone }: { readonly federation: Federation; readonly zone: FederationZone },
  csi: Csi,
  content: { readonly body?: SlotBody; readonly bits: readonly number[] },
): Promise<void> {
  const slot = await zone.mapping.lookupForRegistration(csi);
  const plaintext = content.body === undefined ? slot.plaintext! : encodeSlotBody(content.body);
  await zone.mapping.submit({
    slot,
    content: { plaintext, registryVersion: 1, bits: mspBitsOf(content.bits) },
    nonceD: federation.random.bytes(48),
    statementSha256: federation.random.bytes(32),
    acceptedAt: federation.clock.nowSeconds(),
  });
  await federation.publish();
}

describe("a DP that publishes a slot which its parties did not sign", () => {
  const first = (change: (one: SlotMapping) => SlotMapping) => (body: SlotBody) => ({
    ...body,
    mappings: body.mappings.map((one, at) => (at === 0 ? change(one) : one)),
  });
  const unsigned = <T extends { readonly payload: Uint8Array }>(object: T) => ({
    ...object,
    signatures: [],
  });
  const without = (role: number) =>
    first((one) => ({
      ...one,
      mapping: {
        ...one.mapping,
        signatures: one.mapping.signatures.filter((signature) => signature.role !== role),
      },
    }));
  const restated =
    (change: (body: SlotBody) => Partial<ReturnType<typeof decodeStatement>>, honestKey = false) =>
    (body: SlotBody, federation: Federation): SlotBody => {
      const statement = { ...decodeStatement(body.statement.payload), ...change(body) };
      const signer = honestKey ? federation.person(alice).holder : fixedSigner("the dp itself");
      const payload = encodeStatement(statement);
      const place = { type: "statement", role: roles.holder, zone: zoneName } as const;
      return { ...body, statement: signObject({ ...place, payload, signer }) };
    };
  const slots: readonly (readonly [
    string,
    (body: SlotBody, federation: Federation) => SlotBody,
  ])[] = [
    ["a statement without signature", (body) => ({ ...body, statement: unsigned(body.statement) })],
    [
      "a statement with a flipped signature",
      (b) => ({ ...b, statement: flipSignature(b.statement) }),
    ],
    [
      "a statement with a malleated signature",
      (b) => ({ ...b, statement: malleateSignature(b.statement) }),
    ],
    ["a statement signed by the DP", restated(() => ({ seq: 4_000_000_000 }))],
    [
      "a statement under a key of the DP",
      restated(() => ({ holderPublicKey: fixedSigner("the dp itself").publicKey })),
    ],
    [
      "a statement under the identity as key",
      (body) => {
        const shy = smallOrderSigner();
        const statement = {
          ...decodeStatement(body.statement.payload),
          holderPublicKey: shy.publicKey,
        };
        const payload = encodeStatement(statement);
        const place = { type: "statement", role: roles.holder, zone: zoneName } as const;
        return { ...body, statement: signObject({ ...place, payload, signer: shy }) };
      },
    ],
    [
      "the holder's statement for another audience",
      restated(() => ({ tag: fixedBytes("tag") }), true),
    ],
    [
      "a mapping less than the statement names",
      (body) => ({ ...body, mappings: body.mappings.slice(1) }),
    ],
    [
      "the mappings in another order",
      (body) => ({ ...body, mappings: body.mappings.toReversed() }),
    ],
    ["a mapping twice", (b) => ({ ...b, mappings: [b.mappings[0]!, b.mappings[0]!] })],
    ["a mapping that the MSP did not sign", without(roles.msp)],
    ["a mapping that the holder did not sign", without(roles.holder)],
    [
      "a mapping with a malleated signature",
      first((one) => ({ ...one, mapping: malleateSignature(one.mapping, 1) })),
    ],
    [
      "a credential without signature",
      first((one) => ({ ...one, credential: unsigned(one.credential) })),
    ],
    [
      "a credential with a flipped signature",
      first((one) => ({ ...one, credential: flipSignature(one.credential) })),
    ],
    ["a wrong opening", first((one) => ({ ...one, opening: fixedBytes("wrong") }))],
    [
      "an acceptance without signature",
      first((one) => ({ ...one, acceptance: unsigned(one.acceptance) })),
    ],
    [
      "the acceptance of another mapping",
      (body) => ({
        ...body,
        mappings: body.mappings.map((one) => ({
          ...one,
          acceptance: body.mappings[1]!.acceptance,
        })),
      }),
    ],
  ];
  for (const [title, change] of slots) {
    bothWays(`with ${title} is BOGUS until it serves the holder's own again`, async (mirror) => {
      const world = await start();
      await using federation = world.federation;
      const { zone } = world;
      const honest = decodeSlotBody((await zone.mapping.lookupForRegistration(alice)).plaintext!);
      await publish(world, alice, { body: change(honest, federation), bits: [0, 1] });
      const resolver = await federation.resolver({ mirror });
      expect(await outcomeOf(resolver, alice)).to.equal("BOGUS");
      expect(await outcomeOf(resolver, bob), "another slot of the zone").to.equal(
        "found wire.example",
      );
      await publish(world, alice, { body: honest, bits: [0, 1] });
      await federation.clock.advance(60_000); // failure and bucket are forgotten
      expect(await outcomeOf(resolver, alice, { refresh: true })).to.equal(found);
    });
  }

  bothWays("with somebody else's slot in its place is BOGUS", async (mirror) => {
    const world = await start();
    await using federation = world.federation;
    const theirs = (await world.zone.mapping.lookupForRegistration(bob)).plaintext!;
    await publish(world, alice, { body: decodeSlotBody(theirs), bits: [0] });
    const resolver = await federation.resolver({ mirror });
    expect(await outcomeOf(resolver, alice)).to.equal("BOGUS");
  });
});

describe("a DP that masks other bits than the slot's", () => {
  for (const bits of [[], [0], [1], [0, 1, 2], [63]] as const) {
    bothWays(
      `{${bits.join(", ")}} for {0, 1}: BOGUS to a verbose look, with evidence`,
      async (mirror) => {
        const world = await start();
        await using federation = world.federation;
        await publish(world, alice, { bits });
        const resolver = await federation.resolver({ mirror });
        // Compact is the DP's word: the lie can be told, and is marked as its word.
        const compact = await resolver.lookup(alice, { form: "compact" });
        expect(compact.attested).to.equal("dp");
        expect(await outcomeOf(resolver, alice)).to.equal("BOGUS");
        const [evidence] = resolver.evidence();
        expect(evidence).to.include({ code: "BOGUS", zone: zoneName });
        expect(evidence?.text).to.equal("compact bits differ from the slot");
        const [entry, body, head] = evidence!.objects;
        expect(entry).to.have.length(68);
        expect(payloadSha256({ payload: body!, signatures: [] })).to.deep.equal(entry!.slice(36));
        expect(decodeHead(decodeSignedObject(head!).payload).zone).to.equal(zoneName);
        await publish(world, alice, { bits: [0, 1] });
        await federation.clock.advance(60_000);
        expect(await outcomeOf(resolver, alice, { refresh: true })).to.equal(found);
      },
    );
  }
});

describe("a DP that signs two histories", () => {
  /** Shows the zone without the first entry of the bucket, signed. */
  const omitting = (zone: FederationZone, omitted: Uint8Array): DpLies => ({
    bucket: (answer) =>
      signedBucket(
        zone,
        answer,
        entriesOf(answer).filter((entry) => Buffer.compare(entry.subarray(0, 16), omitted) !== 0),
      ),
  });
  const evidenced = (resolver: Resolver, code: ErrorCode): void => {
    const [evidence] = resolver.evidence();
    expect(evidence).to.include({ code, zone: zoneName });
    const heads = evidence!.objects.map((bytes) => decodeHead(decodeSignedObject(bytes).payload));
    expect(heads).to.have.length(2);
    expect(heads[0]).to.not.deep.equal(heads[1]);
  };

  bothWays("omits a slot from a second head of one serial: FORKED", async (mirror) => {
    const { federation: made, zone } = await start();
    await using federation = made;
    const resolver = await federation.resolver({ mirror });
    expect(await outcomeOf(resolver, alice)).to.equal(found);
    const { idx } = await zone.mapping.lookupForRegistration(alice);
    federation.tamper(dp, omitting(zone, idx));
    for (let time = 0; time < 2; time++) {
      expect(await outcomeOf(resolver, alice, { refresh: true })).to.equal("FORKED");
    }
    evidenced(resolver, "FORKED");
    federation.tamper(dp, undefined);
    await forgetFailures(federation);
    expect(await outcomeOf(resolver, alice, { refresh: true })).to.equal(found);
    expect(resolver.evidence()).to.have.length(1);
  });

  bothWays("shows the lie first: the truth is FORKED, and both are kept", async (mirror) => {
    const { federation: made, zone } = await start();
    await using federation = made;
    const resolver = await federation.resolver({ mirror });
    const { idx } = await zone.mapping.lookupForRegistration(alice);
    const lie = omitting(zone, idx).bucket!;
    let signed: BucketResponse["head"];
    federation.tamper(dp, {
      bucket: (answer) => {
        const forged = lie(answer);
        signed = forged.head;
        return forged;
      },
    });
    // The first look sees the zone's own head, then a bucket under the other: caught at once.
    expect(await outcomeOf(resolver, alice)).to.equal("FORKED");
    evidenced(resolver, "FORKED");
    // A resolver that is shown nothing but the lie cannot know …
    const forged = signedObjectFromWire(signed);
    federation.tamper(dp, {
      head: () => forged,
      bucket: (answer) => ({ ...lie(answer), head: answer.head! }),
    });
    const fooled = await federation.resolver({ mirror, client: "fooled" });
    expect(await outcomeOf(fooled, alice)).to.equal("none");
    // … until it sees the truth, which it then does not believe either, and says why.
    federation.tamper(dp, undefined);
    expect(await outcomeOf(fooled, alice, { refresh: true })).to.equal("FORKED");
    evidenced(fooled, "FORKED");
    await federation.clock.advance(61_000); // longer than an absence is repeated
    expect(await outcomeOf(fooled, alice)).to.equal("FORKED");
    await federation.publish();
    await federation.publish();
    expect(await outcomeOf(fooled, alice, { refresh: true })).to.equal(found);
  });

  bothWays("does not continue the head that was seen: FORKED", async (mirror) => {
    const { federation: made, zone } = await start();
    await using federation = made;
    const resolver = await federation.resolver({ mirror });
    expect(await outcomeOf(resolver, alice)).to.equal(found);
    await federation.publish();
    federation.tamper(dp, {
      head: resigned(zone, (head) => ({ ...head, prevSha256: fixedBytes("another past") })),
    });
    expect(await outcomeOf(resolver, alice, { refresh: true })).to.equal("FORKED");
    evidenced(resolver, "FORKED");
    federation.tamper(dp, undefined);
    expect(await outcomeOf(resolver, alice, { refresh: true })).to.equal(found);
  });

  for (const [title, change] of [
    ["an older serial", undefined],
    ["a newer serial with an older time", { serial: 1, time: -60 }],
  ] as const) {
    bothWays(`goes back to ${title}: ROLLBACK`, async (mirror) => {
      const { federation: made, zone } = await start();
      await using federation = made;
      const old = zone.mapping.bucketResponse({
        kid: zone.mapping.head().kid,
        b: 0,
        prefix: new Uint8Array(16),
      });
      await federation.publish();
      const resolver = await federation.resolver({ mirror });
      expect(await outcomeOf(resolver, alice)).to.equal(found);
      const before = decodeMessage(BucketResponseSchema, old);
      federation.tamper(
        dp,
        change === undefined
          ? { head: () => signedObjectFromWire(before.head), bucket: () => before }
          : {
              head: resigned(zone, (head) => ({
                ...head,
                serial: head.serial + change.serial,
                time: head.time + change.time,
                notAfter: head.notAfter + change.time,
              })),
            },
      );
      expect(await outcomeOf(resolver, alice, { refresh: true })).to.equal("ROLLBACK");
      evidenced(resolver, "ROLLBACK");
      federation.tamper(dp, undefined);
      expect(await outcomeOf(resolver, alice, { refresh: true })).to.equal(found);
    });
  }
});

describe("a head's signature", () => {
  const signatures: readonly (readonly [string, ErrorCode, (zone: FederationZone) => DpLies])[] = [
    ["is missing", "KEY_MISSING", () => ({ head: (o) => ({ ...o, signatures: [] }) })],
    [
      "is of an unknown key",
      "KEY_MISSING",
      () => ({
        head: ({ payload }) =>
          signObject({
            type: "head",
            role: roles.zone,
            zone: zoneName,
            payload,
            signer: fixedSigner("who"),
          }),
      }),
    ],
    [
      "is of the zone's key in another role",
      "KEY_MISSING",
      ({ signer }) => ({
        head: ({ payload }) =>
          signObject({ type: "head", role: roles.dp, zone: zoneName, payload, signer }),
      }),
    ],
    [
      "is of the zone's key for another type",
      "BOGUS",
      ({ signer }) => ({
        head: ({ payload }) =>
          signObject({ type: "acceptance", role: roles.zone, zone: zoneName, payload, signer }),
      }),
    ],
    [
      "is of the zone's key for another zone",
      "BOGUS",
      ({ signer }) => ({
        head: ({ payload }) =>
          signObject({ type: "head", role: roles.zone, zone: "at@dp-a.example", payload, signer }),
      }),
    ],
    ["is malleated", "BOGUS", () => ({ head: (o) => malleateSignature(o) })],
    [
      "is the identity's, for any message",
      "BOGUS",
      ({ signer }) => ({
        head: ({ payload }) =>
          signObject({
            type: "head",
            role: roles.zone,
            zone: zoneName,
            payload,
            signer: { ...smallOrderSigner(), keyId: signer.keyId },
          }),
      }),
    ],
    [
      "has an R that is no canonical point",
      "BOGUS",
      () => ({
        head: (o) => ({
          ...o,
          signatures: o.signatures.map((s) => ({
            ...s,
            signature: Uint8Array.from(s.signature, (byte, at) => (at < 32 ? 255 : byte)),
          })),
        }),
      }),
    ],
    [
      "stands there 17 times",
      "INVALID_DATA",
      () => ({
        head: (o) => ({ ...o, signatures: Array.from({ length: 17 }, () => o.signatures[0]!) }),
      }),
    ],
    [
      "has 63 bytes",
      "INVALID_DATA",
      () => ({
        head: (o) => ({
          ...o,
          signatures: o.signatures.map((s) => ({ ...s, signature: s.signature.slice(1) })),
        }),
      }),
    ],
  ];
  for (const [title, code, lies] of signatures) {
    bothWays(`${title}: ${code}`, async (mirror) => {
      const { federation: made, zone } = await start();
      await using federation = made;
      federation.tamper(dp, lies(zone));
      const resolver = await federation.resolver({ mirror });
      expect(await outcomeOf(resolver, alice)).to.equal(code);
      federation.tamper(dp, undefined);
      await forgetFailures(federation);
      expect(await outcomeOf(resolver, alice)).to.equal(found);
    });
  }

  const day = 86_400;
  const manifests: readonly (readonly [
    string,
    ErrorCode,
    (
      manifest: ReturnType<typeof decodeManifest>,
      nowSeconds: number,
    ) => Partial<ReturnType<typeof decodeManifest>>,
  ])[] = [
    [
      "expired",
      "EXPIRED",
      ({ zoneKeys }, now) => ({
        zoneKeys: zoneKeys.map((key) => ({ ...key, notAfter: now - day })),
      }),
    ],
    [
      "not valid yet",
      "NOT_YET_VALID",
      ({ zoneKeys }, now) => ({
        zoneKeys: zoneKeys.map((key) => ({ ...key, notBefore: now + day })),
      }),
    ],
    [
      "of small order",
      "BOGUS",
      ({ zoneKeys }) => ({
        zoneKeys: zoneKeys.map((key) => ({ ...key, publicKey: smallOrderSigner().publicKey })),
      }),
    ],
    [
      "not canonical",
      "BOGUS",
      ({ zoneKeys }) => ({
        zoneKeys: zoneKeys.map((key) => ({ ...key, publicKey: new Uint8Array(32).fill(255) })),
      }),
    ],
    [
      "another one",
      "KEY_MISSING",
      ({ zoneKeys }) => ({
        zoneKeys: zoneKeys.map((key) => ({ ...key, publicKey: fixedSigner("another").publicKey })),
      }),
    ],
    [
      "in a manifest that begins tomorrow",
      "NOT_YET_VALID",
      (_manifest, now) => ({ notBefore: now + day }),
    ],
    [
      "beside a VOPRF key that is the identity",
      "BOGUS",
      ({ voprfKeys }) => ({
        voprfKeys: voprfKeys.map((key) => ({ ...key, publicKey: new Uint8Array(32) })),
      }),
    ],
  ];
  for (const [title, code, change] of manifests) {
    bothWays(
      `is of a key that the directory's manifest says is ${title}: ${code}`,
      async (mirror) => {
        const { federation: made, zone } = await start();
        await using federation = made;
        const { manifest } = zone;
        const nowSeconds = federation.clock.nowSeconds();
        const payload = encodeManifest({ ...manifest, ...change(manifest, nowSeconds) });
        const manifestSha256 = [payloadSha256({ payload, signatures: [] })];
        const { root } = federation;
        federation.replaceDirectory(
          resignDirectory(federation.signDirectory(), {
            root,
            nodes: (nodes) =>
              nodes.map((node) => ({
                ...node,
                authorities: node.authorities.map((one) => ({ ...one, manifestSha256 })),
              })),
          }),
        );
        const hash = manifestSha256[0]!;
        federation.tamper(dp, {
          manifest: () => ({ payload, signatures: [] }),
          head: resigned(zone, (head) => ({ ...head, manifestSha256: hash })),
        });
        // The DP itself does not serve a manifest that it does not have.
        const fetched = zone.mapping.manifestResponse.bind(zone.mapping);
        zone.mapping.manifestResponse = () => fetched(zone.manifestSha256);
        const resolver = await federation.resolver({ mirror });
        expect(await outcomeOf(resolver, alice)).to.equal(code);
      },
    );
  }
});
