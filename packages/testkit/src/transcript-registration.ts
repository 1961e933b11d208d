// The registration of the test vectors: one holder, reachable at two MSPs, from the commitment to the
// promise. Valid in every field; what is refused is tested elsewhere.

import { create, toBinary } from "@bufbuild/protobuf";
import { concatBytes, toHex, uint64Bytes } from "@whither/crypto/node";
import {
  parseMspId,
  parseProverId,
  roles,
  type Csi,
  type SignedObject,
  type SlotMapping,
  type ZoneName,
} from "@whither/protocol";
import {
  BeginRequestSchema,
  BeginResponseSchema,
  encodeAcceptance,
  encodeCredential,
  encodeKeyLink,
  encodeMapping,
  encodePromise,
  encodeSlotBody,
  encodeStatement,
  RegisterRequestSchema,
  RegisterResponseSchema,
  signedObjectToWire,
} from "@whither/wire";
import { addSignature, csiCommit, keyLinkPlace, payloadSha256, signObject } from "@whither/zone";
import { drawn, fieldsOf, signedVector, signerOf, type JsonObject } from "./transcript-values.js";

const day = 86_400;
const none = new Uint8Array();

export interface TranscriptRegistration {
  readonly statement: SignedObject;
  readonly mappings: readonly SlotMapping[];
  /** Encoded SlotBody. */
  readonly plaintext: Uint8Array;
  readonly vectors: JsonObject;
}

interface Registered {
  readonly csi: Csi;
  readonly zone: ZoneName;
  readonly manifestSha256: Uint8Array;
  readonly nowSeconds: number;
}

/** Places the CSI at wire.example and video.example in the zone. */
export function makeTranscriptRegistration(of: Registered): TranscriptRegistration {
  const { csi, zone, nowSeconds } = of;
  const opening = drawn("opening");
  const commit = csiCommit({ csi, opening });
  const credential = makeCredential(commit, nowSeconds);
  const [wire, video] = (["wire", "video"] as const).map((msp): SlotMapping => {
    const mapping = makeMapping({ msp, commit, credential, nowSeconds });
    const payload = encodeAcceptance({
      zone,
      mappingSha256: payloadSha256(mapping),
      acceptedAt: nowSeconds,
    });
    const acceptance = signObject({ ...dpPlace(zone), type: "acceptance", payload });
    return { mapping, credential, opening, acceptance };
  });
  if (wire === undefined || video === undefined) throw new TypeError("two were made");
  const mappings = [wire, video];
  const nonceD = concatBytes(uint64Bytes(nowSeconds + 900), drawn("nonce_d", 40));
  const statement = makeStatement({ ...of, commit, mappings, nonceD });
  const promise = signObject({
    ...dpPlace(zone),
    type: "promise",
    payload: encodePromise({
      zone,
      statementSha256: payloadSha256(statement),
      acceptedAt: nowSeconds,
      by: nowSeconds + 60,
    }),
  });
  const plaintext = encodeSlotBody({ statement, mappings });
  const vectors = {
    csi,
    opening: toHex(opening),
    csi_commit: toHex(commit),
    nonce_d: toHex(nonceD),
    credential: signedVector({ type: "credential", zone: "", message: "Credential" }, credential),
    mappings: mappings.map(({ mapping }) =>
      signedVector({ type: "mapping", zone: "", message: "Mapping" }, mapping),
    ),
    acceptances: mappings.map(({ acceptance }) =>
      signedVector({ type: "acceptance", zone, message: "Acceptance" }, acceptance),
    ),
    statement: signedVector({ type: "statement", zone, message: "Statement" }, statement),
    promise: signedVector({ type: "promise", zone, message: "Promise" }, promise),
    key_link: makeKeyLink(csi),
    messages: messageVectors({ ...of, opening, nonceD, credential, statement, promise, video }),
  };
  return { statement, mappings, plaintext, vectors };
}

function dpPlace(zone: ZoneName) {
  return { role: roles.dp, zone, signer: signerOf("zone") } as const;
}

function makeCredential(commit: Uint8Array, nowSeconds: number): SignedObject {
  const payload = encodeCredential({
    proverId: parseProverId("prover.example"),
    csiCommit: commit,
    holderPublicKey: signerOf("holder").publicKey,
    method: "sms",
    level: 1,
    issued: nowSeconds - 60,
    expires: nowSeconds - 60 + 45 * day,
    firstProvedAt: nowSeconds - 30 * day,
    evidenceSha256: none,
  });
  const signer = signerOf("prover");
  return signObject({ type: "credential", role: roles.prover, zone: "", payload, signer });
}

function makeMapping(of: {
  readonly msp: "wire" | "video";
  readonly commit: Uint8Array;
  readonly credential: SignedObject;
  readonly nowSeconds: number;
}): SignedObject {
  const { msp, commit, credential, nowSeconds } = of;
  const payload = encodeMapping({
    csiCommit: commit,
    mspId: parseMspId(`${msp}.example`),
    holderPublicKey: signerOf("holder").publicKey,
    credentialSha256: payloadSha256(credential),
    establishedAt: nowSeconds,
    notBefore: nowSeconds,
    notAfter: nowSeconds + 40 * day,
    nonceH: drawn(`nonce_h ${msp}`),
    nonceM: drawn(`nonce_m ${msp}`, 16),
    prevSha256: none,
  });
  const place = { type: "mapping", zone: "" } as const;
  const signed = signObject({
    ...place,
    role: roles.msp,
    payload,
    signer: signerOf(`msp_${msp}`),
  });
  return addSignature(signed, { ...place, role: roles.holder, signer: signerOf("holder") });
}

/** The holder lets the key of a second app in. The transcript's slot does not carry it. */
function makeKeyLink(csi: Csi): JsonObject {
  const [holder, second] = [signerOf("holder"), signerOf("holder_second")];
  const opening = drawn("link opening");
  const payload = encodeKeyLink({
    csiCommit: csiCommit({ csi, opening }),
    oldPublicKey: holder.publicKey,
    newPublicKey: second.publicKey,
    nonce: drawn("link nonce"),
  });
  const approved = signObject({ ...keyLinkPlace, payload, signer: holder });
  const link = addSignature(approved, { ...keyLinkPlace, signer: second });
  const { type, zone } = keyLinkPlace;
  return { opening: toHex(opening), ...signedVector({ type, zone, message: "KeyLink" }, link) };
}

function makeStatement(
  of: Registered & {
    readonly commit: Uint8Array;
    readonly mappings: readonly SlotMapping[];
    readonly nonceD: Uint8Array;
  },
): SignedObject {
  const { zone, commit, mappings, nonceD, nowSeconds } = of;
  const holder = signerOf("holder");
  const payload = encodeStatement({
    zone,
    tag: none,
    csiCommits: [commit],
    holderPublicKey: holder.publicKey,
    seq: 2,
    nonceD,
    items: mappings.map(({ mapping }, place) => ({
      mappingSha256: payloadSha256(mapping),
      preference: 10 * (place + 1),
      tags: place === 0 ? ["Default"] : ["Friends", "Games"],
    })),
    exclusive: false,
    sameAppOnly: false,
    portedTo: "",
    notBefore: nowSeconds,
    notAfter: nowSeconds + 90 * day,
  });
  return signObject({ type: "statement", role: roles.holder, zone, payload, signer: holder });
}

/** The second mapping's way to the DP; the first went the same way with seq 1. */
function messageVectors(
  of: Registered & {
    readonly opening: Uint8Array;
    readonly nonceD: Uint8Array;
    readonly credential: SignedObject;
    readonly statement: SignedObject;
    readonly promise: SignedObject;
    readonly video: SlotMapping;
  },
): JsonObject {
  const { zone, csi, nowSeconds, video } = of;
  const encoded = {
    BeginRequest: toBinary(BeginRequestSchema, create(BeginRequestSchema, { zone })),
    BeginResponse: toBinary(
      BeginResponseSchema,
      create(BeginResponseSchema, {
        zone,
        nonceD: of.nonceD,
        manifestSha256: of.manifestSha256,
        expires: BigInt(nowSeconds + 900),
      }),
    ),
    RegisterRequest: toBinary(
      RegisterRequestSchema,
      create(RegisterRequestSchema, {
        zone,
        csi,
        opening: of.opening,
        credential: signedObjectToWire(of.credential),
        slot: {
          case: "public",
          value: {
            mapping: signedObjectToWire(video.mapping),
            statement: signedObjectToWire(of.statement),
          },
        },
      }),
    ),
    RegisterResponse: toBinary(
      RegisterResponseSchema,
      create(RegisterResponseSchema, {
        acceptance: signedObjectToWire(video.acceptance),
        promise: signedObjectToWire(of.promise),
      }),
    ),
  };
  return Object.fromEntries(
    Object.entries(encoded).map(([name, bytes]) => [
      name,
      { bytes: toHex(bytes), fields: fieldsOf(name, bytes) },
    ]),
  );
}
