// Derives keys, signed objects and directory of test/vectors/whither-v1.json again from the inputs, with nothing but
// proto/README.md, the .proto files and public primitives: the page and the vectors suffice. None of our own code.

import { expect } from "chai";
import { cat, ed25519, hash, hex, int, lp, text, unhex, voprf } from "./page-primitives.js";
import type { Message } from "./proto-text.js";
import { drawn, labelsOf, proto, sortedHex, v, wire, zone } from "./vectors.js";

/* eslint-disable @typescript-eslint/no-explicit-any, @typescript-eslint/no-unsafe-member-access,
   @typescript-eslint/no-unsafe-assignment, @typescript-eslint/no-unsafe-argument,
   @typescript-eslint/no-unsafe-call, @typescript-eslint/no-unsafe-return -- the vectors are read as a
   stranger reads them: JSON of a shape that each test states by using it */

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
  "key-link": { message: "KeyLink", roles: { 4: ["holder", "holder_second"] }, zone: "" },
  promise: { message: "Promise", roles: { 6: ["zone"] }, zone },
};
const signaturesDue: Record<string, number> = {
  "root-keys": 2,
  mapping: 2,
  "key-link": 2,
  manifest: 0,
};

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
        zone: "", // the root
      });
      expect(referral.request_fields).to.deep.equal({ prefix: asked, zone: "" });
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
