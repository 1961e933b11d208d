// Derives evaluation, registration and slot of test/vectors/whither-v1.json again from the inputs, with nothing but
// proto/README.md, the .proto files and public primitives: the page and the vectors suffice. None of our own code.

import { expect } from "chai";
import {
  cat,
  drawScalar,
  hash,
  hex,
  hkdf,
  int,
  lp,
  openGcm,
  text,
  unhex,
  voprf,
  xor,
  type Bytes,
} from "./page-primitives.js";
import type { Message } from "./proto-text.js";
import { drawn, kid, proto, v, wire, zone } from "./vectors.js";

/* eslint-disable @typescript-eslint/no-explicit-any, @typescript-eslint/no-unsafe-member-access,
   @typescript-eslint/no-unsafe-assignment, @typescript-eslint/no-unsafe-argument,
   @typescript-eslint/no-unsafe-call, @typescript-eslint/no-unsafe-return -- the vectors are read as a
   stranger reads them: JSON of a shape that each test states by using it */

describe("vectors: evaluation", () => {
  const { elements, proof, proof_random, request, response } = v.evaluation;
  const blinded: Bytes[] = elements.map((one: any) => unhex(one.blinded));
  const evaluated: Bytes[] = elements.map((one: any) => unhex(one.evaluated));
  const secret = unhex(v.voprf_key.secret_key);

  for (const [at, one] of elements.entries()) {
    it(`${one.csi}: x, blind, blinded, evaluated, y and idx`, () => {
      const x = cat(text("whither/csi/v1"), lp(one.csi), lp(""));
      const blind = drawScalar(unhex(one.blind_random));
      expect(one.blind_random).to.equal(hex(drawn(`blind ${at}`, 64)));
      expect(one.x).to.equal(hex(x));
      expect(one.blind).to.equal(hex(blind));
      expect(one.blinded).to.equal(hex(voprf.blind(x, blind)));
      expect(one.evaluated).to.equal(hex(voprf.evaluate(secret, unhex(one.blinded))));
      expect(one.y).to.equal(hex(voprf.finalize(x, blind, unhex(one.evaluated))));
      const info = cat(text("whither/idx/v1"), lp(zone), kid);
      expect(one.idx).to.equal(hex(hkdf(unhex(one.y), info, 16)));
    });
  }

  it("one proof for the batch, which the manifest's key verifies and another's does not", () => {
    expect(proof_random).to.equal(hex(drawn("proof", 64)));
    const nonce = drawScalar(unhex(proof_random));
    expect(proof).to.equal(hex(voprf.prove({ secret, blinded, evaluated, nonce })));
    const verifies = (publicKey: Bytes) =>
      voprf.verify({ publicKey, blinded, evaluated, proof: unhex(proof) });
    expect(verifies(unhex(v.manifest.fields.voprf_keys[0].public_key))).to.equal(true);
    expect(verifies(voprf.publicKey(drawScalar(drawn("another", 64))))).to.equal(false);
  });

  it("EvaluateRequest and EvaluateResponse", () => {
    const ask = { zone, kid: v.kid, blinded: hex(cat(...blinded)) };
    const answer = { evaluated: hex(cat(...evaluated)), proof };
    expect(request).to.equal(hex(proto.encode("EvaluateRequest", ask)));
    expect(response).to.equal(hex(proto.encode("EvaluateResponse", answer)));
  });
});

describe("vectors: registration", () => {
  const {
    csi,
    opening,
    csi_commit,
    credential,
    mappings,
    acceptances,
    statement,
    promise,
    messages,
  } = v.registration;

  it("the commitment stands for the identifier in credential, mappings and statement", () => {
    expect(opening).to.equal(hex(drawn("opening")));
    expect(csi_commit).to.equal(hex(hash("sha256", lp(unhex(opening)), lp(csi))));
    expect(credential.fields.csi_commit).to.equal(csi_commit);
    expect(mappings.map((one: any) => one.fields.csi_commit)).to.deep.equal([
      csi_commit,
      csi_commit,
    ]);
    expect(statement.fields.csi_commits).to.deep.equal([csi_commit]);
  });

  it("hashes of records link mapping to credential, and statement and acceptance to mapping", () => {
    const hashes = mappings.map((one: any) => one.payload_sha256);
    for (const { fields } of mappings) {
      expect(fields.credential_sha256).to.equal(credential.payload_sha256);
    }
    expect(statement.fields.items.map((one: any) => one.mapping_sha256)).to.deep.equal(hashes);
    expect(acceptances.map((one: any) => one.fields.mapping_sha256)).to.deep.equal(hashes);
    expect(promise.fields.statement_sha256).to.equal(statement.payload_sha256);
    expect(statement.fields.nonce_d).to.equal(v.registration.nonce_d);
  });

  it("all is for one holder key, and the promise within its bound", () => {
    const holder = v.keys.holder.public_key;
    const named = [credential, ...mappings, statement].map((one) => one.fields.holder_public_key);
    expect(named).to.deep.equal(named.map(() => holder));
    expect(promise.fields.by - promise.fields.accepted_at).to.be.at.most(60);
  });

  it("a key-link: both keys signed it, and its own opening opens its commitment", () => {
    const { opening: own, fields, signatures } = v.registration.key_link;
    expect(own).to.equal(hex(drawn("link opening")));
    expect(fields).to.deep.equal({
      csi_commit: hex(hash("sha256", lp(unhex(own)), lp(csi))),
      old_public_key: v.keys.holder.public_key,
      new_public_key: v.keys.holder_second.public_key,
      nonce: hex(drawn("link nonce")),
    });
    expect(signatures.map(({ by, role }: any) => [by, role])).to.deep.equal([
      ["holder", 4],
      ["holder_second", 4],
    ]);
  });

  it("messages of the Registrar service", () => {
    const expected: Record<string, Message> = {
      BeginRequest: { zone },
      BeginResponse: {
        zone,
        nonce_d: v.registration.nonce_d,
        manifest_sha256: v.manifest.payload_sha256,
        expires: Number(`0x${v.registration.nonce_d.slice(0, 16)}`),
      },
      RegisterRequest: {
        zone,
        csi,
        opening,
        credential: wire(credential),
        public: { mapping: wire(mappings[1]), statement: wire(statement), links: [] },
      },
      RegisterResponse: { acceptance: wire(acceptances[1]), promise: wire(promise) },
    };
    expect(Object.keys(messages)).to.deep.equal(Object.keys(expected));
    for (const [name, { bytes, fields }] of Object.entries<any>(messages)) {
      expect(fields).to.deep.equal(expected[name]);
      expect(bytes).to.equal(hex(proto.encode(name, expected[name]!)));
    }
  });
});

describe("vectors: slot", () => {
  const s = v.slot;
  const y = unhex(s.y);
  const idx = unhex(s.idx);

  it("ek, aad and body; the plaintext is the registration's SlotBody", () => {
    const ek = hkdf(y, cat(text("whither/ent/v1"), lp(zone), lp(""), kid), 32);
    const aad = cat(lp(zone), lp(""), idx, kid);
    expect(s.ek).to.equal(hex(ek));
    expect(s.aad).to.equal(hex(aad));
    expect(s.nonce).to.equal(hex(drawn("body nonce", 12)));
    expect(s.body.slice(0, 24)).to.equal(s.nonce);
    const padded = openGcm(ek, unhex(s.body), aad);
    const plaintext = unhex(s.plaintext);
    const size = [1024, 2048, 4096, 8192, 16384].find((bytes) => bytes >= 4 + plaintext.length)!;
    const zeros = new Uint8Array(size - 4 - plaintext.length);
    expect(hex(padded)).to.equal(hex(cat(int(plaintext.length, 4), plaintext, zeros)));
    const { opening, credential, mappings, acceptances, statement } = v.registration;
    const body: Message = {
      statement: wire(statement),
      mappings: mappings.map((mapping: any, at: number) => ({
        mapping: wire(mapping),
        credential: wire(credential),
        opening,
        acceptance: wire(acceptances[at]),
      })),
    };
    expect(s.plaintext).to.equal(hex(proto.encode("SlotBody", body)));
  });

  it("vhash, masked bits and entry", () => {
    const registered = v.directory.records
      .filter(({ fields }: any) => "msp" in fields)
      .map(({ fields }: any) => [fields.msp.id, fields.msp.bit]);
    const bitOf = new Map<string, number>(registered);
    const bits = new Uint8Array(8);
    for (const { fields } of v.registration.mappings) {
      const n = bitOf.get(fields.msp_id)!;
      bits[n >> 3]! |= 1 << (7 - (n % 8));
    }
    const vhash = hash("sha256", unhex(s.body));
    const mask = hkdf(y, cat(text("whither/cmp/v1"), vhash), 12);
    const masked = xor(cat(int(v.directory.head.fields.registry_version, 4), bits), mask);
    expect(s.vhash).to.equal(hex(vhash));
    expect(s.bits).to.equal(hex(bits));
    expect(s.msp_bits).to.deep.equal([...bitOf.values()].sort((a, b) => a - b));
    expect(s.masked).to.equal(hex(masked));
    expect(s.entry).to.equal(hex(cat(idx, int(s.since, 8), masked, vhash)));
  });
});
