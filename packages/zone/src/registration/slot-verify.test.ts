import { expect } from "chai";
import fc from "fast-check";
import {
  isDiscoveryError,
  parseCsi,
  parsePrefix,
  parseZoneName,
  type ErrorCode,
  type SlotKeyLink,
} from "@whither/protocol";
import { encodeSlotBody } from "@whither/wire";
import {
  fixedBytes,
  fixedSigner,
  flipSignature,
  makeCredential,
  makeKeyLink,
  makeMapping,
  makeRegistrationParties,
  makeSlot,
  makeStatement,
  malleateSignature,
  outcomeOf,
  type RegistrationParties,
  type RegistrationPartiesOptions,
} from "@whither/testkit";
import { nodeVerifier, type SignatureVerifier } from "../signed.js";
import { slotBits, verifySlot, verifySlotBits, type SlotCheck } from "./slot-verify.js";

const day = 86_400;
const written = makeRegistrationParties();
const now = written.nowSeconds;

/** A slot written by `written`, read under the registry, manifest and time of `reader`. */
function check(
  knobs: Parameters<typeof makeSlot>[1] = {},
  reader: RegistrationParties = written,
): SlotCheck {
  return {
    csi: reader.csi,
    zone: reader.zone,
    manifest: reader.manifest,
    dp: reader.dp,
    registry: reader.registry,
    plaintext: makeSlot(written, knobs).plaintext,
    nowSeconds: reader.nowSeconds,
    verifier: nodeVerifier,
  };
}

function countingVerifier(): SignatureVerifier & { verifications: number } {
  return {
    verifications: 0,
    verify(one) {
      this.verifications += 1;
      return nodeVerifier.verify(one);
    },
  };
}

const publicKeyOf = ({ publicKey }: { readonly publicKey: Uint8Array }): Uint8Array => publicKey;

/** A slot of the holder's statement with a mapping of its own and one of the other holder's. */
function linkedSlot(links: readonly SlotKeyLink[]): SlotCheck {
  const own = makeSlot(written);
  const other = makeSlot(
    { ...written, holder: written.otherHolder },
    {
      credential: makeCredential(written, {
        fields: { holderPublicKey: written.otherHolder.publicKey },
      }),
      mapping: { msp: 1 },
    },
  );
  const mappings = [...own.mappings, ...other.mappings];
  const statement = makeStatement(written, { mappings: mappings.map(({ mapping }) => mapping) });
  return { ...check(), plaintext: encodeSlotBody({ statement, mappings, links }) };
}

const reader = (options: RegistrationPartiesOptions) => makeRegistrationParties(options);

describe("verifySlot: what stands", () => {
  it("returns every mapping in the statement's order with what was proved", () => {
    const slot = verifySlot(check({ count: 2 }));
    expect(slot.mappings.map((m) => [m.mspId, m.preference])).to.deep.equal([
      ["wire.example", 1],
      ["video.example", 2],
    ]);
    const [wire] = slot.mappings;
    expect(wire).to.include({ level: 1, method: "sms", establishedAt: now, acceptedAt: now });
    expect(wire!.mimiDirectoryUrl).to.equal("https://wire.example/mimi");
    expect(slot.dropped).to.deep.equal([]);
    expect(slot.presentMsps).to.deep.equal(["wire.example", "video.example"]);
    expect(slot.holderKeys).to.deep.equal([written.holder.publicKey]);
  });

  it("costs five signatures for one mapping and four for each further one", () => {
    for (const [count, expected] of [
      [1, 5],
      [2, 9],
    ] as const) {
      const counted = countingVerifier();
      verifySlot({ ...check({ count }), verifier: counted });
      expect(counted.verifications).to.equal(expected);
    }
  });

  it("costs two signatures for each link", () => {
    for (const count of [1, 2, 3]) {
      const keys = [written.holder, ...["a", "b", "c"].map((name) => fixedSigner(name))];
      const links = Array.from({ length: count }, (_, n) =>
        makeKeyLink(written, { from: keys[n]!, to: keys[n + 1]! }),
      );
      const counted = countingVerifier();
      const slot = verifySlot({ ...check({ links }), verifier: counted });
      expect(counted.verifications).to.equal(5 + 2 * count);
      expect(slot.holderKeys).to.deep.equal(
        keys.slice(0, count + 1).map(({ publicKey }) => publicKey),
      );
    }
  });

  it("holds mappings of every key that its links join", () => {
    const slot = verifySlot(linkedSlot([makeKeyLink(written)]));
    expect(
      slot.mappings.map(({ mspId, mapping }) => [mspId, mapping.holderPublicKey]),
    ).to.deep.equal([
      ["wire.example", written.holder.publicKey],
      ["video.example", written.otherHolder.publicKey],
    ]);
    expect(slot.holderKeys).to.deep.equal([written.holder, written.otherHolder].map(publicKeyOf));
  });

  it("reads an empty statement as no mapping", () => {
    const slot = verifySlot(check({ statement: { fields: { items: [] } }, tamper: () => [] }));
    expect(slot.mappings).to.deep.equal([]);
    expect(slot.presentMsps).to.deep.equal([]);
  });
});

describe("verifySlot: BOGUS, what the DP had to see", () => {
  const stranger = fixedSigner("stranger");
  const linked: readonly [string, readonly SlotKeyLink[]][] = [
    ["another key's mapping without a link", []],
    ["another key's mapping with a link of a third", [makeKeyLink(written, { to: stranger })]],
    ["a link that only the old key signed", [makeKeyLink(written, { signedBy: [written.holder] })]],
    [
      "a link that only the new key signed",
      [makeKeyLink(written, { signedBy: [written.otherHolder] })],
    ],
    ["a link of another identifier", [makeKeyLink(written, { csi: parseCsi("+14155550124") })]],
    ["a link twice", [makeKeyLink(written), makeKeyLink(written)]],
    [
      "a link of strangers beside a good one",
      [makeKeyLink(written), makeKeyLink(written, { from: stranger, to: fixedSigner("b") })],
    ],
  ];
  for (const [title, links] of linked) {
    it(title, () => {
      expect(outcomeOf(() => verifySlot(linkedSlot(links)))).to.equal("BOGUS");
    });
  }

  const credentialOf = (knobs: Parameters<typeof makeCredential>[1]) =>
    makeCredential(written, knobs);
  const cases: readonly [string, Parameters<typeof makeSlot>[1]][] = [
    ["a mapping omitted", { count: 2, tamper: (m) => m.slice(0, 1) }],
    ["a mapping repeated", { tamper: (m) => [...m, ...m] }],
    ["mappings in another order", { count: 2, tamper: (m) => m.toReversed() }],
    [
      "a mapping the statement does not name",
      {
        count: 2,
        tamper: ([one, two]) => [
          one!,
          {
            ...two!,
            mapping: makeMapping(written, {
              credential: two!.credential,
              msp: 1,
              fields: { nonceM: fixedBytes("m") },
            }),
          },
        ],
      },
    ],
    ["a wrong opening", { tamper: ([one]) => [{ ...one!, opening: fixedBytes("other") }] }],
    ["the statement unsigned", { statement: { unsigned: true } }],
    ["the statement signed for another zone", { statement: { signedForZone: "gb@dp-b.example" } }],
    ["a statement of another holder", { statement: { holder: fixedSigner("other holder") } }],
    [
      "a duplicate preference",
      {
        count: 2,
        statement: {
          fields: {
            items: makeSlot(written, { count: 2 }).mappings.map(({ mapping }) => ({
              mappingSha256: fixedBytes(String(mapping.payload.length)),
              preference: 1,
              tags: [],
            })),
          },
        },
      },
    ],
    [
      "another holder's credential",
      {
        credential: credentialOf({
          fields: { holderPublicKey: fixedSigner("other holder").publicKey },
        }),
      },
    ],
    [
      "a credential for another identifier",
      { credential: credentialOf({ csi: parseCsi("+14155550124") }) },
    ],
    [
      "a credential that lives too long",
      { credential: credentialOf({ fields: { expires: now + 46 * day } }) },
    ],
    [
      "a credential altered",
      { tamper: ([one]) => [{ ...one!, credential: flipSignature(one!.credential) }] },
    ],
    [
      "a credential malleated",
      { tamper: ([one]) => [{ ...one!, credential: malleateSignature(one!.credential) }] },
    ],
    [
      "a credential swapped",
      { tamper: ([one]) => [{ ...one!, credential: credentialOf({ fields: { level: 2 } }) }] },
    ],
    [
      "the MSP's signature altered",
      { tamper: ([one]) => [{ ...one!, mapping: flipSignature(one!.mapping, 0) }] },
    ],
    [
      "the holder's signature altered",
      { tamper: ([one]) => [{ ...one!, mapping: flipSignature(one!.mapping, 1) }] },
    ],
    [
      "the holder's signature malleated",
      { tamper: ([one]) => [{ ...one!, mapping: malleateSignature(one!.mapping, 1) }] },
    ],
    ["the acceptance unsigned", { acceptance: { unsigned: true } }],
    [
      "the acceptance by a key not in the manifest",
      { acceptance: { signer: fixedSigner("holder") } },
    ],
    [
      "the acceptance of another mapping",
      { acceptance: { fields: { mappingSha256: fixedBytes("x") } } },
    ],
    ["the acceptance in the future", { acceptance: { fields: { acceptedAt: now + 400 } } }],
    ["established long before acceptance", { mapping: { fields: { establishedAt: now - 700 } } }],
    ["mapping outliving the credential", { mapping: { fields: { notAfter: now + 45 * day } } }],
  ];
  for (const [title, knobs] of cases) {
    it(title, () => {
      expect(outcomeOf(() => verifySlot(check(knobs)))).to.equal("BOGUS");
    });
  }

  it("every proper subset of the signatures of holder, MSP, DP and prover", () => {
    const whole = makeSlot(written).mappings[0]!;
    const parties = ["holder", "msp", "dp", "prover"] as const;
    for (let subset = 0; subset < 15; subset += 1) {
      const signs = new Set(parties.filter((_, bit) => (subset >> bit) & 1));
      const bare = (object: typeof whole.mapping) => ({ ...object, signatures: [] });
      const mapping = {
        ...whole.mapping,
        signatures: whole.mapping.signatures.filter(({ role }) =>
          signs.has(role === 4 ? "holder" : "msp"),
        ),
      };
      const forged = {
        statement: { unsigned: !signs.has("holder") },
        tamper: () => [
          {
            mapping,
            opening: whole.opening,
            credential: signs.has("prover") ? whole.credential : bare(whole.credential),
            acceptance: signs.has("dp") ? whole.acceptance : bare(whole.acceptance),
          },
        ],
      };
      expect(
        outcomeOf(() => verifySlot(check(forged))),
        [...signs].join("+"),
      ).to.equal("BOGUS");
    }
  });

  it("another identifier than the one it was written for", () => {
    const other = { ...check(), csi: parseCsi("+14155550124") };
    expect(outcomeOf(() => verifySlot(other))).to.equal("BOGUS");
  });

  it("the slot of another zone, under that zone's manifest", () => {
    const zone = parseZoneName("gb@dp-b.example");
    const elsewhere = reader({ manifest: { zone } });
    expect(outcomeOf(() => verifySlot({ ...check({}, elsewhere), zone }))).to.equal("BOGUS");
  });

  it("any flipped byte of the plaintext is BOGUS or changes nothing that is signed", () => {
    const { plaintext } = makeSlot(written);
    const honest = verifySlot(check());
    fc.assert(
      fc.property(fc.nat(plaintext.length - 1), fc.integer({ min: 1, max: 255 }), (at, xor) => {
        const bytes = plaintext.slice();
        bytes[at] = bytes[at]! ^ xor;
        const outcome = outcomeOf(() => {
          // A flipped key id or role, or a field number, may leave a record unsigned, never different.
          expect(verifySlot({ ...check(), plaintext: bytes }).mappings).to.satisfy(
            (m: unknown[]) =>
              m.length === 0 || JSON.stringify(m) === JSON.stringify(honest.mappings),
          );
        });
        expect(outcome).to.be.oneOf(["BOGUS", "ok"]);
      }),
      { numRuns: 300 },
    );
  });

  it("random bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (plaintext) => {
        expect(outcomeOf(() => verifySlot({ ...check(), plaintext }))).to.equal("BOGUS");
      }),
    );
  });

  it("names the broken rule and keeps it as cause", () => {
    try {
      verifySlot(check({ tamper: ([one]) => [{ ...one!, opening: fixedBytes("other") }] }));
      expect.fail("did not throw");
    } catch (error) {
      if (!isDiscoveryError(error)) throw error;
      expect(error.text).to.equal("slot: opening does not open the commitment");
      expect(isDiscoveryError(error.cause, "BAD_OPENING")).to.equal(true);
    }
  });
});

describe("verifySlot: dropped, what time or the registry changed", () => {
  const cases: readonly [ErrorCode, string, RegistrationPartiesOptions][] = [
    ["UNKNOWN_MSP", "the MSP is no longer registered", { unregistered: ["msp0"] }],
    ["UNKNOWN_MSP", "its accreditation has ended", { msps: [{ accreditedTo: now }, {}] }],
    ["KEY_MISSING", "its key is no longer registered", { msps: [{ keys: [] }, {}] }],
    ["UNKNOWN_PROVER", "the prover is no longer registered", { unregistered: ["prover"] }],
    ["KEY_MISSING", "the prover's key is no longer registered", { prover: { keys: [] } }],
    [
      "PROVER_SCOPE",
      "the prover's prefixes were narrowed",
      { prover: { prefixes: [parsePrefix("mailto:")] } },
    ],
    ["PROVER_SCOPE", "the prover's level was lowered", { prover: { maxLevel: 0 } }],
    [
      "PROVER_NOT_INDEPENDENT",
      "the DP's operator bought the prover",
      { prover: { operator: "Operator A" } },
    ],
    [
      "PROVER_NOT_INDEPENDENT",
      "the prover's operator bought the MSP",
      { msps: [{ operator: "Operator P" }, {}] },
    ],
    ["EXPIRED", "the mapping has expired", { nowSeconds: now + 40 * day + 300 }],
  ];
  for (const [code, title, options] of cases) {
    it(`${code}: ${title}`, () => {
      const slot = verifySlot(check({}, reader({ ...options, manifest: written.manifest })));
      expect(slot.mappings).to.deep.equal([]);
      expect(slot.dropped).to.deep.equal([{ mspId: "wire.example", code }]);
      expect(slot.presentMsps).to.deep.equal(["wire.example"]);
    });
  }

  it("costs one mapping of two, not the other", () => {
    const slot = verifySlot(check({ count: 2 }, reader({ unregistered: ["msp1"] })));
    expect(slot.mappings.map((m) => m.mspId)).to.deep.equal(["wire.example"]);
    expect(slot.dropped.map((m) => m.mspId)).to.deep.equal(["video.example"]);
  });

  for (const [code, fields] of [
    ["EXPIRED", { notBefore: now - 900, notAfter: now - 300 }],
    ["NOT_YET_VALID", { notBefore: now + 301 }],
  ] as const) {
    it(`${code}: a statement outside its time drops all`, () => {
      const slot = verifySlot(check({ count: 2, statement: { fields } }));
      expect(slot.mappings).to.deep.equal([]);
      expect(slot.dropped.map((m) => m.code)).to.deep.equal([code, code]);
    });
  }

  it("a wrong signature stays BOGUS whether or not its mapping has expired", () => {
    const later = reader({ nowSeconds: now + 41 * day, manifest: written.manifest });
    const forged = check(
      { tamper: ([one]) => [{ ...one!, acceptance: flipSignature(one!.acceptance) }] },
      later,
    );
    expect(outcomeOf(() => verifySlot(forged))).to.equal("BOGUS");
  });
});

describe("compact bits", () => {
  const { registry } = written;
  const msps = written.msps.map((msp) => msp.id);
  const far = reader({ msps: [{}, { bit: 64 }] }).registry;

  it("are the positions of the registered MSPs, ascending, each once", () => {
    expect(slotBits(msps.toReversed(), registry)).to.deep.equal([0, 5]);
    expect(slotBits([...msps, ...msps], registry)).to.deep.equal([0, 5]);
    expect(slotBits(msps, far)).to.deep.equal([0]);
    expect(slotBits(msps, reader({ unregistered: ["msp0"] }).registry)).to.deep.equal([5]);
  });

  const table = [
    ["ok", "those of the slot", [0, 5], registry],
    ["BOGUS", "one missing", [0], registry],
    ["BOGUS", "a registered one too many", [0, 5, 6], registry],
    ["BOGUS", "none", [], registry],
    ["ok", "an MSP beyond the string is verbose only", [0], far],
    [
      "ok",
      "one that this registry no longer knows",
      [0, 5],
      reader({ unregistered: ["msp1"] }).registry,
    ],
    ["BOGUS", "missing, with another unknown", [5], reader({ unregistered: ["msp1"] }).registry],
  ] as const;
  for (const [code, title, bits, under] of table) {
    it(`${code}: ${title}`, () => {
      const slot = verifySlot(check({ count: 2 }));
      expect(outcomeOf(() => verifySlotBits({ slot, bits, registry: under }))).to.equal(code);
    });
  }
});
