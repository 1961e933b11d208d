// Requirement 22 (MIMI Discovery requirements): discovery incorporates mechanisms against denial of service,
// enumeration and spam.
//
// | must | must not |
// |---|---|
// | each guess at an identifier cost one metered evaluation | be made offline from what is published or stored |
// | new contacts be counted, by certificate and by MSP | be refilled by connecting anew |
// | a contact whose y is held be free | cost a unit again |
// | a batch be bounded, and its elements be valid | reach the arithmetic otherwise |
// | a query have one budget of work | be led on without end by a hostile server |
// | what is stored be ciphertext | list anybody, or say who uses which MSP |

import { parseCsi, type Csi } from "@whither/protocol";
import { createClient, decodeMessage } from "@whither/rpc";
import {
  createFederation,
  peerNamed,
  type Federation,
  type FederationOptions,
} from "@whither/testkit";
import { BucketResponseSchema, Discovery } from "@whither/wire";
import { portableVoprf, toHex, utf8 } from "@whither/crypto";
import { mspBitsOf, slotInput, unmaskMspBits } from "@whither/zone";
import { expect } from "chai";
import { codeOf, entriesOf } from "../scenarios/both-ways.js";
import { IdentifierDictionary } from "../support/identifier-dictionary.js";
import { alice, bob, heardDuring } from "./readers.js";

const zone = "de@dp-a.example";
const contact = (n: number): Csi => parseCsi(`+4930200${String(n).padStart(4, "0")}`);
const limited = (
  limits: NonNullable<FederationOptions["dps"]>[number]["limits"] = {},
): FederationOptions => ({
  dps: [{ id: "dp-a.example", zones: ["de"], limits }],
  prefixes: [`"tel:+49": { zones: [de@dp-a.example] }`],
});

function discovery(federation: Federation, client: string) {
  const { clientAddress } = federation.dp("dp-a.example").identity;
  const channel = federation.network.connect(clientAddress, {
    identity: peerNamed(client),
    from: client,
  });
  return createClient(Discovery, channel);
}

const elements = (count: number): Uint8Array => {
  const inputs = Array.from({ length: count }, (_, n) => utf8(`input ${n}`));
  let seed = 1;
  const { blinded } = portableVoprf.blind(inputs, (length) => new Uint8Array(length).fill(seed++));
  return Buffer.concat(blinded);
};

describe("requirement 22: against denial of service, enumeration and spam", () => {
  it("new contacts of one certificate are counted, over connections; known ones are free", async () => {
    await using federation = await createFederation(
      limited({ clientContactsBurst: 5, clientContactsPerDay: 1 }),
    );
    const first = await federation.resolver({ client: "someone.example" });
    for (let n = 0; n < 5; n += 1) expect((await first.lookup(contact(n))).status).to.equal("none");
    expect(await codeOf(federation.during(first.lookup(contact(5))))).to.equal("LIMITED");
    const again = await federation.resolver({ client: "someone.example" });
    expect(await codeOf(federation.during(again.lookup(contact(6))))).to.equal("LIMITED");
    const heard = await heardDuring(federation, async () => {
      expect((await first.lookup(contact(0), { refresh: true })).status).to.equal("none");
    });
    expect(heard.filter(({ method }) => method.includes("Discovery"))).to.deep.equal([]);
    const other = await federation.resolver({ client: "someone-else.example" });
    expect((await other.lookup(contact(7))).status, "nobody pays for others").to.equal("none");
  });

  it("an MSP's connections share its quota", async () => {
    await using federation = await createFederation(
      limited({ mspContactsBurst: 3, mspContactsPerDay: 1 }),
    );
    const codes = [];
    for (let n = 0; n < 4; n += 1) {
      const resolver = await federation.resolver({ client: "wire.example" });
      codes.push(await codeOf(federation.during(resolver.lookup(contact(n)))));
    }
    expect(codes).to.deep.equal(["ok", "ok", "ok", "LIMITED"]);
  });

  it("requests and CPU time of one certificate are bounded", async () => {
    await using federation = await createFederation(
      limited({ requestsBurst: 3, requestsPerSecond: 1 }),
    );
    const { kid } = federation.zone(zone).mapping.head();
    const client = discovery(federation, "hasty.example");
    const ask = () => codeOf(client.evaluate({ zone, kid, blinded: elements(1) }));
    expect([await ask(), await ask(), await ask(), await ask()]).to.deep.equal([
      "ok",
      "ok",
      "ok",
      "LIMITED",
    ]);
    await federation.clock.advance(1_000);
    expect(await ask()).to.equal("ok");
    await using busy = await createFederation(limited({ cpuBurstMs: 100, cpuMsPerSecond: 1 }));
    const many = discovery(busy, "busy.example");
    const key = busy.zone(zone).mapping.head().kid;
    const codes: string[] = [];
    while (codes.length < 100 && codes.at(-1) !== "LIMITED") {
      codes.push(await codeOf(many.evaluate({ zone, kid: key, blinded: elements(16) })));
    }
    expect(codes[0]).to.equal("ok");
    expect(codes.at(-1), "100 ms are used up").to.equal("LIMITED");
  });

  it("513 elements, none, half of one, the identity and what is no element are refused", async () => {
    await using federation = await createFederation(limited());
    const { kid } = federation.zone(zone).mapping.head();
    const client = discovery(federation, "odd.example");
    const ask = (blinded: Uint8Array) => codeOf(client.evaluate({ zone, kid, blinded }));
    expect(await ask(elements(1))).to.equal("ok");
    expect(await ask(new Uint8Array(32 * 513))).to.be.oneOf(["TOO_LARGE", "INVALID_DATA"]);
    expect(await ask(new Uint8Array(0))).to.equal("INVALID_DATA");
    expect(await ask(elements(1).subarray(0, 31))).to.equal("INVALID_DATA");
    expect(await ask(new Uint8Array(32)), "the identity").to.equal("INVALID_ELEMENT");
    expect(await ask(new Uint8Array(32).fill(255)), "not canonical").to.equal("INVALID_ELEMENT");
  });

  it("nobody without a certificate may guess", async () => {
    await using federation = await createFederation(limited());
    const resolver = await federation.resolver({ certificate: false });
    expect(await codeOf(federation.during(resolver.lookup(alice)))).to.equal("UNAUTHENTICATED");
  });

  it("what is stored and published says neither who is there nor at which MSP", async () => {
    await using federation = await createFederation(limited());
    await federation.register({ csi: alice, msps: ["wire.example"] });
    await federation.register({ csi: bob, msps: ["wire.example"] });
    await federation.publish();
    const dictionary = new IdentifierDictionary([alice, bob], { partOctets: 7 });
    const { store, mapping } = federation.zone(zone);
    let rows = 0;
    for await (const [key, value] of store.iterate()) {
      const row = Buffer.concat([key, value]);
      expect(dictionary.findIn(row)).to.deep.equal([]);
      for (const msp of ["wire.example", "https://wire"]) expect(row.includes(msp)).to.equal(false);
      rows += 1;
    }
    expect(rows).to.be.above(5);
    // Two people at the same MSP: their masked bits have nothing in common, and only their own y opens them.
    const [hers, his] = await Promise.all(
      [alice, bob].map((csi) => mapping.lookupForRegistration(csi)),
    );
    const entryOf = (idx: Uint8Array | undefined): Uint8Array => {
      const entry = publishedEntries(federation).find(
        (one) => toHex(one.subarray(0, 16)) === toHex(idx ?? one),
      );
      if (entry === undefined) throw new Error("no entry");
      return entry;
    };
    const [a, b] = [entryOf(hers?.idx), entryOf(his?.idx)];
    expect(toHex(a.subarray(24, 36))).not.to.equal(toHex(b.subarray(24, 36)));
    const read = (entry: Uint8Array, secret: Uint8Array | undefined): string =>
      toHex(
        unmaskMspBits({
          secret: secret ?? new Uint8Array(64),
          vhash: entry.subarray(36, 68),
          masked: entry.subarray(24, 36),
        }).bits,
      );
    const wire = toHex(mspBitsOf([0]));
    expect([read(a, hers?.y), read(b, his?.y)]).to.deep.equal([wire, wire]);
    expect([read(a, his?.y), read(b, hers?.y)]).not.to.include(wire);
  });

  it("a guess without the DP's key finds nothing: the index is a keyed function", async () => {
    await using federation = await createFederation(limited());
    await federation.register({ csi: alice, msps: ["wire.example"] });
    const { y } = await federation.zone(zone).mapping.lookupForRegistration(alice);
    const guessed = portableVoprf.deriveKeyPair(new Uint8Array(32).fill(1), utf8("a thief's key"));
    expect(portableVoprf.evaluate(guessed.secretKey, slotInput(alice))).not.to.deep.equal(y);
  });
});

/** The entries of the zone's only bucket, as anybody gets them. */
function publishedEntries(federation: Federation): readonly Uint8Array[] {
  const { mapping } = federation.zone(zone);
  const { kid, b } = mapping.head();
  const bytes = mapping.bucketResponse({ kid, b, prefix: new Uint8Array(16) });
  return entriesOf(decodeMessage(BucketResponseSchema, bytes));
}

// The bounds of a query against hostile servers: test/scenarios. Of the daemon's store: test/e2e/privacy.test.ts.
// Open: blind-signed tokens per user of an MSP, refill of a quota at a new VOPRF key, the public class (Ask);
// load shedding measured under load (Hold).
