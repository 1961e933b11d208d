// Registrations that must not stand: each refused by the DP with its code, nothing stored, nothing published,
// and the true holder can register afterwards. Requests are made by hand, since no honest app makes them.

import { expect } from "chai";
import type { Signer } from "@whither/crypto/node";
import {
  parseCsi,
  roles,
  type Credential,
  type Csi,
  type ErrorCode,
  type Mapping,
  type SignedObject,
  type Statement,
} from "@whither/protocol";
import type { Resolver } from "@whither/resolver";
import { createClient, type Client } from "@whither/rpc";
import {
  createFederation,
  fixedBytes,
  fixedSigner,
  flipSignature,
  malleateSignature,
  peerNamed,
  smallOrderSigner,
  type Federation,
} from "@whither/testkit";
import {
  encodeMapping,
  encodeStatement,
  Registrar,
  RegistrationState,
  signedObjectToWire,
} from "@whither/wire";
import { addSignature, csiCommit, payloadSha256 } from "@whither/zone";
import { codeOf, outcomeOf } from "./both-ways.js";

const day = 86_400;
const zone = "de@dp-a.example";

type Signature = "prover" | "msp" | "holder" | "statement";
const signatures: readonly Signature[] = ["prover", "msp", "holder", "statement"];

/** What differs from a right request. */
interface Knobs {
  readonly holder?: Signer;
  readonly opening?: Uint8Array;
  /** Opening as sent; that of the commitments unless told. */
  readonly sentOpening?: Uint8Array;
  readonly credential?: Partial<Credential>;
  /** A whole one instead. */
  readonly credentialObject?: SignedObject;
  readonly prover?: string;
  readonly msp?: string;
  readonly mspSigner?: Signer;
  readonly holderSigner?: Signer;
  readonly statementSigner?: Signer;
  readonly mapping?: Partial<Mapping>;
  readonly statement?: Partial<Statement>;
  /** Signatures that are made; all unless told. */
  readonly signedBy?: readonly Signature[];
  /** Spoils a finished record. */
  readonly spoil?: Partial<
    Record<"credential" | "mapping" | "statement", (o: SignedObject) => SignedObject>
  >;
  readonly sentZone?: string;
  readonly sentCsi?: string;
}

interface World {
  readonly federation: Federation;
  readonly client: Client<typeof Registrar>;
  readonly resolvers: readonly Resolver[];
}

async function makeRequest({ federation, client }: World, csi: Csi, knobs: Knobs) {
  const { clock } = federation;
  const nowSeconds = clock.nowSeconds();
  const person = federation.person(csi);
  const { holder = person.holder, opening = person.opening } = knobs;
  const { signedBy = signatures, spoil = {} } = knobs;
  const same = (object: SignedObject): SignedObject => object;
  const signed = (name: Signature, object: SignedObject): SignedObject =>
    signedBy.includes(name) ? object : { ...object, signatures: [] };
  const credential =
    knobs.credentialObject ??
    (spoil.credential ?? same)(
      signed(
        "prover",
        federation.credential({
          csi,
          holder,
          opening,
          fields: knobs.credential ?? {},
          ...(knobs.prover === undefined ? {} : { prover: knobs.prover }),
        }),
      ),
    );
  const msp = federation.msp(knobs.msp ?? "wire.example");
  const commit = csiCommit({ csi, opening });
  const payload = encodeMapping({
    csiCommit: commit,
    mspId: msp.record.id,
    holderPublicKey: holder.publicKey,
    credentialSha256: payloadSha256(credential),
    establishedAt: nowSeconds,
    notBefore: nowSeconds,
    notAfter: nowSeconds + 40 * day,
    nonceH: federation.random.bytes(32),
    nonceM: federation.random.bytes(32),
    prevSha256: new Uint8Array(),
    ...knobs.mapping,
  });
  let mapping: SignedObject = { payload, signatures: [] };
  const place = { type: "mapping", zone: "" } as const;
  const mspSigner = knobs.mspSigner ?? msp.signer;
  if (signedBy.includes("msp")) {
    mapping = addSignature(mapping, { ...place, role: roles.msp, signer: mspSigner });
  }
  if (signedBy.includes("holder")) {
    const signer = knobs.holderSigner ?? holder;
    mapping = addSignature(mapping, { ...place, role: roles.holder, signer });
  }
  mapping = (spoil.mapping ?? same)(mapping);
  const { nonceD } = await client.begin({ zone });
  const statement: Statement = {
    zone: zone as Statement["zone"],
    tag: new Uint8Array(),
    csiCommits: [commit],
    holderPublicKey: holder.publicKey,
    seq: nowSeconds,
    nonceD,
    items: [{ mappingSha256: payloadSha256(mapping), preference: 1, tags: [] }],
    exclusive: false,
    sameAppOnly: false,
    portedTo: "",
    notBefore: nowSeconds,
    notAfter: nowSeconds + 40 * day,
    ...knobs.statement,
  };
  const unsigned: SignedObject = { payload: encodeStatement(statement), signatures: [] };
  const signer = knobs.statementSigner ?? holder;
  const statementObject = (spoil.statement ?? same)(
    signed(
      "statement",
      addSignature(unsigned, {
        type: "statement",
        role: roles.holder,
        zone: statement.zone,
        signer,
      }),
    ),
  );
  return {
    statementSha256: payloadSha256(statementObject),
    message: {
      zone: knobs.sentZone ?? zone,
      csi: knobs.sentCsi ?? csi,
      opening: knobs.sentOpening ?? opening,
      credential: signedObjectToWire(credential),
      slot: {
        case: "public",
        value: {
          mapping: signedObjectToWire(mapping),
          statement: signedObjectToWire(statementObject),
        },
      },
    } as const,
  };
}

let next = 1000;
const nextCsi = (): Csi => parseCsi(`+49301234${next++}`);

/** Every way to leave out at least one of four signatures. */
const subsets: readonly (readonly Signature[])[] = Array.from({ length: 15 }, (_, bits) =>
  signatures.filter((_name, at) => (bits & (1 << at)) !== 0),
);

const stranger = fixedSigner("stranger");
const shy = smallOrderSigner();

type Case = readonly [string, ErrorCode, Knobs | ((csi: Csi, world: World) => Knobs)];

const credentials: readonly Case[] = [
  ["for another holder", "BAD_CREDENTIAL", { credential: { holderPublicKey: stranger.publicKey } }],
  [
    "for another identifier",
    "BAD_OPENING",
    (csi, { federation }) => ({
      credentialObject: federation.credential({
        csi: parseCsi("+49301111111"),
        holder: federation.person(csi).holder,
        opening: federation.person(csi).opening,
      }),
    }),
  ],
  ["of a level above the prover's", "PROVER_SCOPE", { credential: { level: 3 } }],
  [
    "by a method the prover is not registered for",
    "PROVER_SCOPE",
    { credential: { method: "oidc" } },
  ],
  ["of a prover for other prefixes", "PROVER_SCOPE", { prover: "narrow.example" }],
  ["of an unregistered prover", "UNKNOWN_PROVER", { prover: "unknown.example" }],
  ["of a prover that the DP owns", "PROVER_NOT_INDEPENDENT", { prover: "owned-by-dp.example" }],
  ["of a prover that the MSP owns", "PROVER_NOT_INDEPENDENT", { prover: "owned-by-msp.example" }],
  [
    "signed by another than the prover",
    "KEY_MISSING",
    (csi, { federation }) => ({
      credentialObject: federation.credential({ csi, signer: stranger }),
    }),
  ],
  [
    "that has expired",
    "EXPIRED",
    (_csi, { federation: { clock } }) => ({
      credential: {
        issued: clock.nowSeconds() - 44 * day,
        firstProvedAt: clock.nowSeconds() - 44 * day,
        expires: clock.nowSeconds() - 301,
      },
      mapping: { notBefore: clock.nowSeconds() - 600, notAfter: clock.nowSeconds() - 400 },
    }),
  ],
  [
    "not valid yet",
    "NOT_YET_VALID",
    (_csi, { federation: { clock } }) => ({
      credential: {
        issued: clock.nowSeconds() + 301,
        firstProvedAt: clock.nowSeconds() + 301,
        expires: clock.nowSeconds() + 40 * day + 301,
      },
    }),
  ],
  [
    "for a number, of more than 45 days",
    "BAD_CREDENTIAL",
    (_csi, { federation: { clock } }) => ({
      credential: { expires: clock.nowSeconds() + 45 * day + 1 },
    }),
  ],
  ["with a flipped signature", "BAD_SIGNATURE", { spoil: { credential: (o) => flipSignature(o) } }],
  [
    "with a malleated signature",
    "BAD_SIGNATURE",
    { spoil: { credential: (o) => malleateSignature(o) } },
  ],
  [
    "that is no credential",
    "BAD_CREDENTIAL",
    { spoil: { credential: (o) => ({ ...o, payload: fixedBytes("noise") }) } },
  ],
];

const mappings: readonly Case[] = [
  ["of an unregistered MSP", "UNKNOWN_MSP", { msp: "unregistered.example" }],
  ["of an MSP whose accreditation has ended", "UNKNOWN_MSP", { msp: "ended.example" }],
  ["signed by another MSP", "KEY_MISSING", { mspSigner: stranger }],
  ["signed by another holder", "BAD_SIGNATURE", { holderSigner: stranger }],
  [
    "of another holder's key",
    "BAD_SIGNATURE",
    { mapping: { holderPublicKey: stranger.publicKey } },
  ],
  [
    "of another holder, all signatures right",
    "BAD_CREDENTIAL",
    { mapping: { holderPublicKey: stranger.publicKey }, holderSigner: stranger },
  ],
  ["for another identifier", "BAD_OPENING", { mapping: { csiCommit: fixedBytes("commit") } }],
  ["of another credential", "BAD_MAPPING", { mapping: { credentialSha256: fixedBytes("hash") } }],
  [
    "that outlives its credential",
    "BAD_MAPPING",
    (_csi, { federation: { clock } }) => ({
      mapping: { notAfter: clock.nowSeconds() + 45 * day + 1 },
    }),
  ],
  [
    "established long ago",
    "BAD_MAPPING",
    (_csi, { federation: { clock } }) => ({
      mapping: { establishedAt: clock.nowSeconds() - 601 },
    }),
  ],
  [
    "established in time to come",
    "BAD_MAPPING",
    (_csi, { federation: { clock } }) => ({
      mapping: { establishedAt: clock.nowSeconds() + 601 },
    }),
  ],
  ["with a flipped signature", "BAD_SIGNATURE", { spoil: { mapping: (o) => flipSignature(o) } }],
  [
    "with a flipped signature of the holder",
    "BAD_SIGNATURE",
    { spoil: { mapping: (o) => flipSignature(o, 1) } },
  ],
  [
    "with a malleated signature",
    "BAD_SIGNATURE",
    { spoil: { mapping: (o) => malleateSignature(o, 1) } },
  ],
  [
    "that is no mapping",
    "BAD_MAPPING",
    { spoil: { mapping: (o) => ({ ...o, payload: fixedBytes("noise") }) } },
  ],
];

const item = (preference: number, hash = fixedBytes(`mapping ${preference}`)) => ({
  mappingSha256: hash,
  preference,
  tags: [],
});

const statements: readonly Case[] = [
  ["signed by another", "BAD_SIGNATURE", { statementSigner: stranger }],
  [
    "for another zone",
    "BAD_SIGNATURE",
    { statement: { zone: "at@dp-a.example" as Statement["zone"] } },
  ],
  [
    "with one preference twice",
    "BAD_STATEMENT",
    { statement: { items: [item(1), item(1, fixedBytes("b"))] } },
  ],
  [
    "that names one mapping twice",
    "BAD_STATEMENT",
    { statement: { items: [item(1), item(2, item(1).mappingSha256)] } },
  ],
  ["that names a mapping that is not there", "BAD_STATEMENT", { statement: { items: [item(1)] } }],
  ["that does not name the new mapping", "BAD_STATEMENT", { statement: { items: [] } }],
  [
    "of nine mappings",
    "BAD_STATEMENT",
    { statement: { items: Array.from({ length: 9 }, (_, n) => item(n + 1)) } },
  ],
  ["with a tag of an audience", "BAD_STATEMENT", { statement: { tag: fixedBytes("tag") } }],
  ["with other commitments", "BAD_STATEMENT", { statement: { csiCommits: [fixedBytes("c")] } }],
  ["with an offer of nobody", "BAD_OFFER", { statement: { nonceD: new Uint8Array(48) } }],
  [
    "that has expired",
    "EXPIRED",
    (_csi, { federation: { clock } }) => ({
      statement: { notBefore: clock.nowSeconds() - 1000, notAfter: clock.nowSeconds() - 301 },
    }),
  ],
  [
    "not valid yet",
    "NOT_YET_VALID",
    (_csi, { federation: { clock } }) => ({ statement: { notBefore: clock.nowSeconds() + 301 } }),
  ],
  [
    "under a key of small order",
    "BAD_SIGNATURE",
    {
      holder: shy,
      credential: { holderPublicKey: shy.publicKey },
    },
  ],
  ["with a flipped signature", "BAD_SIGNATURE", { spoil: { statement: (o) => flipSignature(o) } }],
  [
    "with a malleated signature",
    "BAD_SIGNATURE",
    { spoil: { statement: (o) => malleateSignature(o) } },
  ],
  [
    "that is no statement",
    "BAD_STATEMENT",
    { spoil: { statement: (o) => ({ ...o, payload: fixedBytes("noise") }) } },
  ],
];

const requests: readonly Case[] = [
  ["with a wrong opening", "BAD_OPENING", { sentOpening: fixedBytes("another opening") }],
  ["with an opening of 31 bytes", "BAD_OPENING", { sentOpening: fixedBytes("short", 31) }],
  ["without an opening", "BAD_OPENING", { sentOpening: new Uint8Array() }],
  ["for a zone of somebody else", "NOT_AUTHORITATIVE", { sentZone: "gb@dp-b.example" }],
  ["for another zone of the DP", "NOT_AUTHORITATIVE", { sentZone: "at@dp-a.example" }],
  ["for another identifier than everything in it", "BAD_OPENING", { sentCsi: "tel:+49301111112" }],
  ["for what is no canonical identifier", "INVALID_CSI", { sentCsi: "tel:+49 30 1111112" }],
  [
    "for an identifier the zone does not serve",
    "NOT_AUTHORITATIVE",
    { sentCsi: "tel:+43301111112" },
  ],
];

describe("a registration that must not stand", () => {
  let world: World;
  before(async () => {
    const federation = await createFederation({
      seed: 31,
      dps: [
        {
          id: "dp-a.example",
          zones: ["de", "at"],
          limits: { requestsBurst: 10_000, cpuBurstMs: 1e6 },
        },
      ],
      msps: [
        { id: "wire.example" },
        { id: "video.example" },
        { id: "ended.example", record: { accreditedTo: Date.UTC(2027, 0, 15, 7) / 1000 } },
        { id: "unregistered.example", unregistered: true },
      ],
      provers: [
        { id: "prover.example" },
        { id: "narrow.example", prefixes: ["tel:+44", "mailto:"] },
        { id: "unknown.example", unregistered: true },
        { id: "owned-by-dp.example", operator: "Operator of dp-a.example" },
        { id: "owned-by-msp.example", operator: "Operator of wire.example" },
      ],
      prefixes: [
        `"tel:+49": { zones: [de@dp-a.example] }`,
        `"tel:+43": { zones: [at@dp-a.example] }`,
      ],
    });
    const channel = federation.network.connect("dp-a.example:7354", {
      identity: peerNamed("wire.example"),
      from: "wire.example",
    });
    const resolvers = [
      await federation.resolver({ mirror: true, client: "video.example" }),
      await federation.resolver({ mirror: false, client: "video.example" }),
    ];
    world = { federation, client: createClient(Registrar, channel), resolvers };
  });
  after(() => world.federation.close());

  async function refused(csi: Csi, code: ErrorCode, knobs: Knobs): Promise<void> {
    const { federation, client, resolvers } = world;
    const sizeBefore = federation.zone(zone).mapping.head().mapSize;
    const { message, statementSha256 } = await makeRequest(world, csi, knobs);
    expect(await codeOf(client.register(message))).to.equal(code);
    const { state } = await client.status({ zone, statementSha256 });
    expect(state).to.equal(RegistrationState.UNKNOWN);
    await federation.publish();
    expect(federation.zone(zone).mapping.head().mapSize).to.equal(sizeBefore);
    for (const resolver of resolvers) {
      expect(await outcomeOf(resolver, csi, { refresh: true })).to.equal("none");
    }
    await federation.register({ csi, msps: ["wire.example"] });
    await federation.publish();
    for (const resolver of resolvers) {
      expect(await outcomeOf(resolver, csi, { refresh: true })).to.equal("found wire.example");
    }
  }

  const groups = {
    credential: credentials,
    mapping: mappings,
    statement: statements,
    request: requests,
  };
  for (const [name, cases] of Object.entries(groups)) {
    for (const [title, code, knobs] of cases) {
      it(`${code}: a ${name} ${title}`, async () => {
        const csi = nextCsi();
        await refused(csi, code, typeof knobs === "function" ? knobs(csi, world) : knobs);
      });
    }
  }

  for (const signedBy of subsets) {
    it(`BAD_SIGNATURE: signed by ${signedBy.join(", ") || "nobody"} alone`, async () => {
      await refused(nextCsi(), "BAD_SIGNATURE", { signedBy });
    });
  }

  it("stands when nothing is wrong with it", async () => {
    const { federation, client, resolvers } = world;
    const csi = nextCsi();
    const { message, statementSha256 } = await makeRequest(world, csi, {});
    await client.register(message);
    await federation.publish();
    const { state } = await client.status({ zone, statementSha256 });
    expect(state).to.equal(RegistrationState.PUBLISHED);
    for (const resolver of resolvers) {
      expect(await outcomeOf(resolver, csi, { refresh: true })).to.equal("found wire.example");
    }
  });
});

describe("a registration over one that stands", () => {
  let federation: Federation;
  let world: World;
  const csi = parseCsi("+4930123456");
  beforeEach(async () => {
    federation = await createFederation({
      seed: 32,
      dps: [{ id: "dp-a.example", zones: ["de"] }],
      prefixes: [`"tel:+49": { zones: [de@dp-a.example] }`],
    });
    const identity = peerNamed("wire.example");
    const channel = federation.network.connect("dp-a.example:7354", { identity });
    const resolvers = [
      await federation.resolver({ mirror: true }),
      await federation.resolver({ mirror: false }),
    ];
    world = { federation, client: createClient(Registrar, channel), resolvers };
    await federation.register({ csi, msps: ["wire.example"] });
    await federation.publish();
  });
  afterEach(() => federation.close());

  async function stillStands(): Promise<void> {
    await federation.publish();
    for (const resolver of world.resolvers) {
      expect(await outcomeOf(resolver, csi, { refresh: true })).to.equal("found wire.example");
      expect((await resolver.lookup(csi)).warnings).to.deep.equal([]);
    }
  }

  const thief = fixedSigner("thief");
  const over: readonly Case[] = [
    [
      "by another holder key, with a proof of its own",
      "INCUMBENT",
      { holder: thief, opening: fixedBytes("theirs") },
    ],
    ["with the seq that stands", "STALE_SEQUENCE", (_csi, w) => ({ statement: { seq: seqOf(w) } })],
    ["with an older seq", "STALE_SEQUENCE", (_csi, w) => ({ statement: { seq: seqOf(w) - 1 } })],
  ];
  const seqOf = (w: World): number =>
    w.federation.people.memory(csi)?.get("de@dp-a.example" as Statement["zone"])?.seq ?? 0;
  for (const [title, code, knobs] of over) {
    it(`${code}: ${title}`, async () => {
      const given = typeof knobs === "function" ? knobs(csi, world) : knobs;
      const { message } = await makeRequest(world, csi, { msp: "video.example", ...given });
      expect(await codeOf(world.client.register(message))).to.equal(code);
      await stillStands();
    });
  }

  it("REPLAYED: with an offer that was used", async () => {
    const { client } = world;
    const other = parseCsi("+4930123457");
    const { nonceD } = await client.begin({ zone });
    const first = await makeRequest(world, other, { statement: { nonceD } });
    await client.register(first.message);
    const second = await makeRequest(world, csi, { msp: "video.example", statement: { nonceD } });
    expect(await codeOf(client.register(second.message))).to.equal("REPLAYED");
    await federation.restart("dp-a.example");
    const third = await makeRequest(world, csi, { msp: "video.example", statement: { nonceD } });
    expect(await codeOf(client.register(third.message))).to.be.oneOf(["BAD_OFFER", "REPLAYED"]);
    await stillStands();
  });

  it("BAD_OFFER: after a quarter of an hour, and from before a restart", async () => {
    const { client } = world;
    for (const pass of [
      () => federation.clock.advance(901_000),
      () => federation.restart("dp-a.example"),
    ]) {
      const { nonceD } = await client.begin({ zone });
      await pass();
      const { message } = await makeRequest(world, csi, {
        msp: "video.example",
        statement: { nonceD },
      });
      expect(await codeOf(client.register(message))).to.equal("BAD_OFFER");
    }
    await stillStands();
  });

  it("is the same when the same request comes again, once and after a restart", async () => {
    const { client } = world;
    const other = parseCsi("+4930123458");
    const { message, statementSha256 } = await makeRequest(world, other, {});
    const first = await client.register(message);
    expect((await client.register(message)).acceptance).to.deep.equal(first.acceptance);
    await federation.publish();
    await federation.restart("dp-a.example");
    expect(await codeOf(client.register(message))).to.equal("ok");
    const { state } = await client.status({ zone, statementSha256 });
    expect(state).to.equal(RegistrationState.PUBLISHED);
    await stillStands();
  });

  it("learns nothing of a slot without a proof: no slot and a stranger's look alike", async () => {
    const { client } = world;
    const errors: string[] = [];
    for (const asked of [csi, parseCsi("+4930123459")]) {
      const { message } = await makeRequest(world, asked, {
        holder: thief,
        statement: { items: [] },
      });
      const { zone: name, csi: text, slot } = message;
      const { statement } = slot.value;
      const bare = {
        zone: name,
        csi: text,
        slot: { case: "public", value: { statement } },
      } as const;
      const error = await client.register(bare).catch((thrown: unknown) => thrown);
      errors.push(String(error));
    }
    expect(errors[0]).to.match(/^DiscoveryError: BAD_STATEMENT/);
    expect(errors[1]).to.equal(errors[0]);
    await stillStands();
  });
});
