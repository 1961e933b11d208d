// Derives every octet of test/vectors/whither-v1.json again from its inputs, with nothing but
// proto/README.md, the .proto files and public primitives: the page and the vectors suffice. None of our own code.

import { readFileSync } from "node:fs";
import { expect } from "chai";
import {
  cat,
  drawScalar,
  ed25519,
  hash,
  hex,
  hkdf,
  hmacSha256,
  int,
  lp,
  openGcm,
  text,
  unhex,
  voprf,
  xor,
  type Bytes,
} from "./page-primitives.js";
import { ProtoText, type Message, type Value } from "./proto-text.js";

/* eslint-disable @typescript-eslint/no-explicit-any, @typescript-eslint/no-unsafe-member-access,
   @typescript-eslint/no-unsafe-assignment, @typescript-eslint/no-unsafe-argument,
   @typescript-eslint/no-unsafe-call, @typescript-eslint/no-unsafe-return -- the vectors are read as a
   stranger reads them: JSON of a shape that each test states by using it */

const root = new URL("../../", import.meta.url);
const v = JSON.parse(readFileSync(new URL("test/vectors/whither-v1.json", root), "utf8"));
const protos = ["record", "directory", "discovery", "zone", "registration", "error"];
const proto = new ProtoText(protos.map((name) => new URL(`proto/whither/v1/${name}.proto`, root)));
const zone: string = v.zone;
const kid = unhex(v.kid);

/** test/vectors/README.md: how every random value was drawn. */
const drawn = (seed: string, length = 32): Bytes =>
  hash("sha512", text(`whither-v1 vectors: ${seed}`)).slice(0, length);
const sortedHex = (list: readonly string[]): string[] => [...list].sort();

/** Section 2, the table: type, message, signers by role, zone in the input. */
const table: Record<string, { message: string; roles: Record<number, string[]>; zone: string }> = {
  "root-keys": { message: "RootKeys", roles: { 1: ["ksk_1", "ksk_2"] }, zone: "." },
  node: { message: "Node", roles: { 2: ["zsk"] }, zone: "." },
  registry: { message: "RegistryRecord", roles: { 2: ["zsk"] }, zone: "." },
  "directory-head": { message: "DirectoryHead", roles: { 2: ["zsk"] }, zone: "." },
  manifest: { message: "Manifest", roles: {}, zone },
  head: { message: "Head", roles: { 3: ["zone"] }, zone },
  mapping: { message: "Mapping", roles: { 5: ["msp_wire", "msp_video"], 4: ["holder"] }, zone: "" },
  credential: { message: "Credential", roles: { 7: ["prover"] }, zone: "" },
  statement: { message: "Statement", roles: { 4: ["holder"] }, zone },
  acceptance: { message: "Acceptance", roles: { 6: ["zone"] }, zone },
  promise: { message: "Promise", roles: { 6: ["zone"] }, zone },
};
const signaturesDue: Record<string, number> = { "root-keys": 2, mapping: 2, manifest: 0 };

const signedObjects: any[] = [];
(function collect(value: any): void {
  if (typeof value !== "object" || value === null) return;
  if ("payload_sha256" in value) signedObjects.push(value);
  else Object.values(value).forEach(collect);
})(v);

describe("vectors: keys", () => {
  for (const [name, key] of Object.entries<any>(v.keys)) {
    it(`${name}: secret from its seed, public key and key id from the secret`, () => {
      expect(key.secret_key).to.equal(hex(drawn(key.seed)));
      expect(key.public_key).to.equal(hex(ed25519.publicKey(unhex(key.secret_key))));
      expect(key.key_id).to.equal(hex(hash("sha256", unhex(key.public_key)).slice(0, 8)));
    });
  }

  it("VOPRF key from its seed by DeriveKeyPair", () => {
    const { seed, info, secret_key, public_key } = v.voprf_key;
    expect(seed).to.equal(hex(drawn("voprf seed")));
    expect(secret_key).to.equal(hex(voprf.deriveSecretKey(unhex(seed), unhex(info))));
    expect(public_key).to.equal(hex(voprf.publicKey(unhex(secret_key))));
    expect(v.kid).to.equal(hex(drawn("kid", 4)));
  });
});

describe("vectors: signed objects", () => {
  it("there are all types of this version", () => {
    expect(sortedHex([...new Set(signedObjects.map(({ type }) => type))])).to.deep.equal(
      sortedHex(Object.keys(table)),
    );
  });

  for (const [at, object] of signedObjects.entries()) {
    it(`${object.type} ${at}: payload, fields, hashes, inputs and signatures`, () => {
      const row = table[object.type]!;
      const payload = unhex(object.payload);
      expect(object.message).to.equal(row.message);
      expect(object.zone).to.equal(row.zone);
      expect(proto.decode(row.message, payload)).to.deep.equal(object.fields);
      expect(hex(proto.encode(row.message, object.fields))).to.equal(object.payload);
      expect(object.payload_sha256).to.equal(hex(hash("sha256", payload)));
      expect(object.payload_sha512).to.equal(hex(hash("sha512", payload)));
      expect(object.signatures).to.have.length(signaturesDue[object.type] ?? 1);
      for (const { by, role, key_id, input, signature } of object.signatures) {
        const message = cat(
          text(`whither/${object.type}/v1`),
          int(0, 1),
          int(role, 1),
          lp(row.zone),
          hash("sha512", payload),
        );
        const key = v.keys[by];
        expect(row.roles[role]).to.include(by);
        expect(key_id).to.equal(key.key_id);
        expect(input).to.equal(hex(message));
        expect(ed25519.verify(unhex(key.public_key), message, unhex(signature))).to.equal(true);
        expect(signature).to.equal(hex(ed25519.sign(unhex(key.secret_key), message)));
      }
      expect(object.object).to.equal(hex(proto.encode("SignedObject", wire(object))));
    });
  }
});

const roleNames = ["", "ROOT_KSK", "ROOT_ZSK", "ZONE", "HOLDER", "MSP", "DP", "PROVER"];

/** A signed object of the vectors as the message that travels. */
function wire(object: any): Message {
  const signatures = object.signatures.map(({ key_id, role, signature }: any) => ({
    key_id,
    role: `ROLE_${roleNames[role]!}`,
    signature,
  }));
  return { payload: object.payload, signatures };
}

/** Labels of a prefix: the scheme without its colon, then digits, or domain labels from the right. */
function labelsOf(prefix: string): string[] {
  if (prefix === ".") return [];
  const [scheme, rest] = [
    prefix.slice(0, prefix.indexOf(":")),
    prefix.slice(prefix.indexOf(":") + 1),
  ];
  if (scheme === "tel") return [scheme, ...rest.slice(1).split("")];
  return [scheme, ...(rest === "" ? [] : rest.split(".").reverse())];
}

describe("vectors: identifiers", () => {
  for (const { csi, labels, prefixes } of v.identifiers) {
    it(`${csi}: labels and the prefixes that enclose it`, () => {
      const digits = [...csi.slice("tel:+".length)];
      expect(labels).to.deep.equal(digits);
      const deeper = digits.map((_, at) => `tel:+${digits.slice(0, at + 1).join("")}`);
      expect(prefixes).to.deep.equal([".", "tel:", ...deeper]);
    });
  }
});

describe("vectors: directory", () => {
  const { nodes, records, head, root_keys, anchors, digest, referrals } = v.directory;
  const nodeOf = (prefix: string) => nodes.find((one: any) => one.fields.prefix === prefix).fields;

  it("root keys carry the threshold of anchor signatures, and name the ZSK", () => {
    const byAnchor = root_keys.signatures.filter(({ by }: any) =>
      anchors.keys.includes(v.keys[by].public_key),
    );
    expect(byAnchor.length).to.be.at.least(anchors.threshold);
    expect(root_keys.fields.zsks.map((one: any) => one.public_key)).to.deep.equal([
      v.keys.zsk.public_key,
    ]);
  });

  it("digest covers node payloads, then record payloads, in order, each with its length", () => {
    const payloads = [...nodes, ...records].map(({ payload }: any) => unhex(payload));
    const input = payloads.flatMap((payload) => [int(payload.length, 4), payload]);
    expect(digest).to.equal(hex(hash("sha384", ...input)));
    expect(head.fields.digest).to.equal(digest);
    expect([head.fields.node_count, head.fields.record_count]).to.deep.equal([
      nodes.length,
      records.length,
    ]);
    const kinds = ["dp", "msp", "prover", "relay"];
    const order = records.map(({ fields }: any) => {
      const at = kinds.findIndex((kind) => kind in fields);
      return `${at} ${fields[kinds[at]!].id}`;
    });
    expect(order).to.deep.equal(sortedHex(order));
  });

  it("nodes come parent before child, siblings by label, linked by first_child and next_sibling", () => {
    const walked: string[] = [];
    const walk = (labels: string[]): void => {
      const node = nodes.find(
        ({ fields }: any) => labelsOf(fields.prefix).join("/") === labels.join("/"),
      ).fields;
      walked.push(node.prefix);
      if (node.first_child !== "") walk([...labels, node.first_child]);
      if (node.next_sibling !== "") walk([...labels.slice(0, -1), node.next_sibling]);
    };
    walk([]);
    expect(walked).to.deep.equal(nodes.map(({ fields }: any) => fields.prefix));
  });

  for (const referral of referrals) {
    const { asked, node, cover, proves } = referral;
    it(`referral for ${asked}: ${node} proves ${proves}${cover === undefined ? "" : `, ${cover} covers`}`, () => {
      expect(proto.decode("ReferRequest", unhex(referral.request))).to.deep.equal({
        prefix: asked,
      });
      expect(referral.request_fields).to.deep.equal({ prefix: asked });
      const object = (prefix: string) =>
        wire(nodes.find((one: any) => one.fields.prefix === prefix));
      const parts: Message = {
        root_keys: wire(root_keys),
        head: wire(head),
        node: object(node),
        ...(cover === undefined ? {} : { cover: object(cover) }),
      };
      expect(hex(proto.encode("ReferResponse", parts))).to.equal(referral.response);
      if (node === asked) return;
      const label = labelsOf(asked)[labelsOf(node).length]!;
      const { first_child } = nodeOf(node);
      if (first_child === "" || first_child > label) {
        expect(cover, "the node alone proves it").to.equal(undefined);
        return;
      }
      const next = nodeOf(cover).next_sibling;
      expect(labelsOf(cover).at(-1)! < label && (next === "" || label < next)).to.equal(true);
    });
  }

  it("the node of the identifier names the zone, and the manifest by its hash", () => {
    const [authority] = nodeOf("tel:+1").authorities;
    expect(authority.zone).to.equal(zone);
    expect(authority.manifest_sha256).to.deep.equal([v.manifest.payload_sha256]);
    const [key] = v.manifest.fields.voprf_keys;
    expect(key).to.include({ kid: v.kid, public_key: v.voprf_key.public_key });
    const [zoneKey] = v.manifest.fields.zone_keys;
    expect(zoneKey.public_key).to.equal(v.keys.zone.public_key);
  });
});

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
        public: { mapping: wire(mappings[1]), statement: wire(statement) },
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

/** test/vectors/README.md: the slots that fill the tree. */
function filler(at: number): { idx: string; masked: Bytes; vhash: Bytes; body: Bytes } {
  const bytes = drawn(`filler ${at}`, 64);
  const body = hkdf(bytes, text("body"), 1052);
  const idx = hex(bytes.slice(0, 16));
  return { idx, masked: bytes.slice(16, 28), vhash: hash("sha256", body), body };
}

/** Entries of an epoch by idx, and those it added. */
function entriesAt(serial: number): { all: Map<string, Bytes>; added: Map<string, Bytes> } {
  const all = new Map<string, Bytes>();
  const added = new Map<string, Bytes>();
  const put = (since: number, idx: string, entry: Bytes): void => {
    if (since > serial) return;
    all.set(idx, entry);
    if (since === serial) added.set(idx, entry);
  };
  put(1, v.slot.idx, unhex(v.slot.entry));
  for (let at = 0; at < 511; at += 1) {
    const since = at < 2 ? 1 : 2;
    const { idx, masked, vhash } = filler(at);
    put(since, idx, cat(unhex(idx), int(since, 8), masked, vhash));
  }
  return { all, added };
}

const bitsOf = (idx: string, b: number): string =>
  [...unhex(idx)]
    .map((byte) => byte.toString(2).padStart(8, "0"))
    .join("")
    .slice(0, b);
const prefixOf = (idx: string, b: number): Bytes => {
  const bits = bitsOf(idx, b).padEnd(128, "0");
  return Uint8Array.from({ length: 16 }, (_, at) => parseInt(bits.slice(8 * at, 8 * at + 8), 2));
};
const inner = (left: Bytes, right: Bytes): Bytes => hash("sha256", int(1, 1), left, right);
const bucketHash = (b: number, prefix: Bytes, entries: Bytes): Bytes =>
  hash(
    "sha256",
    int(0, 1),
    text("whither/bucket/v1"),
    lp(zone),
    kid,
    int(b, 1),
    prefix,
    int(68, 2),
    int(entries.length / 68, 4),
    entries,
  );

/** The real entries of every bucket at a depth, in the order of their prefixes. */
function bucketsAt(serial: number, b: number): { prefix: Bytes; entries: Bytes }[] {
  const { all } = entriesAt(serial);
  return Array.from({ length: 2 ** b }, (_, number) => {
    const bits = b === 0 ? "" : number.toString(2).padStart(b, "0");
    const members = sortedHex([...all.keys()]).filter((idx) => bitsOf(idx, b) === bits);
    const first = bits.padEnd(8, "0");
    const prefix = cat(int(parseInt(first, 2), 1), new Uint8Array(15));
    return { prefix, entries: cat(...members.map((idx) => all.get(idx)!)) };
  });
}

/** Section 4: the depth after an epoch. */
function depthAfter(b: number, size: number): number {
  if (size >= 512 && size / 2 ** b >= 256) return b + 1;
  return b > 0 && size / 2 ** b < 64 ? b - 1 : b;
}

describe("vectors: epochs", () => {
  let b = 0;
  for (const [at, epoch] of v.epochs.entries()) {
    const serial = Number(at) + 1;
    const head = epoch.head.fields;
    const { all, added } = entriesAt(serial);
    const before = b;
    b = depthAfter(b, all.size);
    const depth = b;
    const buckets = bucketsAt(serial, depth);

    it(`serial ${serial}: depth ${depth}, buckets, inner nodes and root`, () => {
      expect(head.b).to.equal(depth).and.to.be.at.least(before);
      const hashes = buckets.map(({ prefix, entries }) => bucketHash(depth, prefix, entries));
      expect(epoch.buckets).to.deep.equal(
        buckets.map(({ prefix, entries }, number) => ({
          prefix: hex(prefix),
          count: entries.length / 68,
          entries_sha256: hex(hash("sha256", entries)),
          hash: hex(hashes[number]!),
        })),
      );
      const levels: Bytes[][] = [];
      let level = hashes;
      while (level.length > 1) {
        const pairs = level;
        level = Array.from({ length: pairs.length / 2 }, (_, i) =>
          inner(pairs[2 * i]!, pairs[2 * i + 1]!),
        );
        levels.push(level);
      }
      expect(epoch.inner).to.deep.equal(levels.map((hashed) => hashed.map(hex)));
      expect(head.map_root).to.equal(hex(level[0]!));
    });

    it(`serial ${serial}: size, pad, changes, chain and times of the head`, () => {
      const largest = Math.max(...buckets.map(({ entries }) => entries.length));
      const zeros = new Uint8Array(68);
      const rows = sortedHex([...added.keys()]).flatMap((idx) => [
        unhex(idx),
        zeros,
        added.get(idx)!,
      ]);
      expect(epoch.changes).to.equal(added.size);
      expect(epoch.changes_bytes ?? hex(cat(...rows))).to.equal(hex(cat(...rows)));
      const previous = at === 0 ? "00".repeat(32) : v.epochs[at - 1].head.payload_sha256;
      expect(head).to.deep.equal({
        zone,
        epoch: 1,
        serial,
        map_root: head.map_root,
        map_size: all.size,
        kid: v.kid,
        b: depth,
        pad: Math.ceil(largest / 4096) * 4096,
        manifest_sha256: v.manifest.payload_sha256,
        changes_root: hex(hash("sha256", ...rows)),
        time: head.time,
        prev_sha256: previous,
        not_after: Number(head.time) + 1800,
      });
      expect(epoch.changes_root).to.equal(head.changes_root);
    });
  }
});

describe("vectors: lookups", () => {
  for (const one of v.lookups.buckets) {
    const epoch = v.epochs[one.serial - 1];
    const head = epoch.head.fields;

    it(`bucket answer at depth ${one.b} proves ${one.proves} of ${one.csi}`, () => {
      const prefix = prefixOf(one.idx, head.b);
      const request = { zone, kid: v.kid, b: head.b, prefix: hex(prefix) };
      expect(one.request).to.equal(hex(proto.encode("BucketRequest", request)));
      const answer = proto.decode("BucketResponse", unhex(one.response));
      expect(answer["head"]).to.deep.equal(wire(epoch.head));
      const entries = unhex(answer["entries"] as string);
      const count = answer["count"] as number;
      expect([count, entries.length]).to.deep.equal([one.count, one.pad]);
      expect(entries.length).to.equal(head.pad);
      expect(entries.subarray(68 * count).every((byte) => byte === 0)).to.equal(true);
      const found = entriesOf(entries.subarray(0, 68 * count));
      const order = found.map(({ idx }) => idx);
      expect(order).to.deep.equal(sortedHex([...new Set(order)]));
      expect(order.every((idx) => bitsOf(idx, head.b) === bitsOf(one.idx, head.b))).to.equal(true);
      if (head.b > 0) expect(head.map_size / 2 ** head.b).to.be.at.least(32);
      expect(answer["siblings"]).to.equal(one.siblings);
      let node = bucketHash(head.b, prefix, entries.subarray(0, 68 * count));
      for (let level = 0; level < head.b; level += 1) {
        const sibling = unhex(one.siblings.slice(64 * level, 64 * level + 64));
        const isRight = bitsOf(one.idx, head.b - level).endsWith("1");
        node = isRight ? inner(sibling, node) : inner(node, sibling);
      }
      expect(hex(node)).to.equal(head.map_root);
      expect(order.includes(one.idx) ? "presence" : "absence").to.equal(one.proves);
    });
  }

  for (const one of v.lookups.bodies) {
    it(`bodies of ${one.vhashes.length} slots at serial ${one.serial}, the wanted one among them`, () => {
      const { b } = v.epochs[one.serial - 1].head.fields;
      const wanted: string = v.slot.idx;
      const bits = bitsOf(wanted, b);
      const bucket = bucketsAt(one.serial, b).find(
        ({ prefix }) => bitsOf(hex(prefix), b) === bits,
      )!;
      const secret = unhex(one.local_secret);
      expect(one.local_secret).to.equal(hex(drawn("local secret")));
      const decoys = entriesOf(bucket.entries)
        .filter(({ idx }) => idx !== wanted)
        .map(({ idx, vhash }) => {
          const hmac = hex(hmacSha256(secret, cat(unhex(wanted), unhex(idx))));
          return { idx, hmac, vhash };
        })
        .sort((a, z) => (a.hmac < z.hmac ? -1 : 1))
        .slice(0, 31);
      expect(one.decoys).to.deep.equal(decoys);
      const vhashes = sortedHex([v.slot.vhash, ...decoys.map(({ vhash }) => vhash)]);
      expect(one.vhashes).to.deep.equal(vhashes);
      const request = { zone, vhashes: vhashes.join("") };
      expect(one.request).to.equal(hex(proto.encode("BodiesRequest", request)));
      if (one.response === undefined) return;
      const held = new Map([0, 1].map((at) => [hex(filler(at).vhash), hex(filler(at).body)]));
      held.set(v.slot.vhash, v.slot.body);
      const bodies = vhashes.map((vhash): Value => held.get(vhash)!);
      expect(one.response).to.equal(hex(proto.encode("BodiesResponse", { bodies })));
    });
  }

  it("holds a whole BodiesResponse", () => {
    expect(v.lookups.bodies.filter((one: any) => "response" in one)).to.have.length(1);
  });
});

function entriesOf(entries: Bytes): { idx: string; vhash: string }[] {
  return Array.from({ length: entries.length / 68 }, (_, at) => {
    const entry = entries.subarray(68 * at, 68 * at + 68);
    return { idx: hex(entry.subarray(0, 16)), vhash: hex(entry.subarray(36)) };
  });
}

describe("vectors: stream messages", () => {
  const error = {
    number: 49184,
    text: "body: not in the current epoch",
    upstream: zone,
    retry_after_s: 1,
  };
  const part = (name: string, bytes: string) => proto.decode(name, unhex(bytes));
  const { request, response } = v.evaluation;
  const expected: Record<string, Message> = {
    ExchangeRequest: { id: 1, evaluate: part("EvaluateRequest", request) },
    ExchangeResponse: { id: 1, evaluate: part("EvaluateResponse", response) },
    FetchRequest: { id: 300, head: { zone } },
    FetchResponse: { id: 300, error },
    ErrorDetail: error,
  };
  for (const [name, { bytes, fields }] of Object.entries<any>(v.stream_messages)) {
    it(name, () => {
      expect(fields).to.deep.equal(expected[name]);
      expect(bytes).to.equal(hex(proto.encode(name, expected[name]!)));
    });
  }
});
