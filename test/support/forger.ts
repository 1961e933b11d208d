// Somebody who holds some of the keys and forges the rest: builds a registration by hand, with none of the checks
// that an honest holder or MSP makes, and shows it to a real discovery provider.

import { readFile } from "node:fs/promises";
import {
  createSigner,
  decodePrivateKeyPem,
  generateSecretKey,
  roles,
  type Signer,
} from "@whither/crypto/node";
import {
  DiscoveryError,
  parseCsi,
  parseMspId,
  parseProverId,
  parseZoneName,
} from "@whither/protocol";
import { createClient, openChannel, tlsIdentityFromFiles } from "@whither/rpc";
import { systemClock, systemRandom } from "@whither/runtime";
import {
  encodeCredential,
  encodeMapping,
  encodeStatement,
  Registrar,
  signedObjectToWire,
} from "@whither/wire";
import { addSignature, csiCommit, payloadSha256, signObject } from "@whither/zone";
import type { FederationFiles } from "./federation.js";

/** Which party's signature is forged: made with a key that nobody registered. */
export type Forged = "prover" | "msp" | "holder" | "nobody";

const strangerKey = (): Signer => createSigner(generateSecretKey((n) => systemRandom.bytes(n)));

const readKey = async (path: string): Promise<Signer> =>
  createSigner(decodePrivateKeyPem(await readFile(path, "utf8")));

/** Tries to register `csi` with the first MSP in the zone. Resolves to "accepted" or the DP's error code. */
export async function forgeRegistration(options: {
  readonly files: FederationFiles;
  readonly csi: string;
  readonly dpId: string;
  readonly zone: string;
  readonly forged: Forged;
}): Promise<string> {
  const { files, forged } = options;
  const dp = files.dps.find(({ plan }) => plan.id === options.dpId);
  const msp = files.plan.msps[0];
  if (dp === undefined || msp === undefined) throw new TypeError("no such party");
  const channel = openChannel({
    host: "127.0.0.1",
    port: dp.port,
    caPem: await readFile(files.path("pki", "ca.pem"), "utf8"),
    identity: await tlsIdentityFromFiles({
      certPath: files.path("pki", `${msp.id}.pem`),
      keyPath: files.path("pki", `${msp.id}-key.pem`),
    }),
  });
  try {
    const registrar = createClient(Registrar, channel);
    const zone = parseZoneName(options.zone);
    const { nonceD } = await registrar.begin({ zone });
    const request = buildRequest({
      csi: parseCsi(options.csi),
      zone,
      nonceD,
      mspId: parseMspId(msp.id),
      proverId: parseProverId(files.proverId),
      prover: forged === "prover" ? strangerKey() : await readKey(files.proverKey),
      msp: forged === "msp" ? strangerKey() : await readKey(files.path(`${msp.id}.msp.pem`)),
      forgeHolder: forged === "holder",
    });
    await registrar.register(request);
    return "accepted";
  } catch (error) {
    if (error instanceof DiscoveryError) return error.code;
    throw error;
  } finally {
    channel.close();
  }
}

interface Parts {
  readonly csi: ReturnType<typeof parseCsi>;
  readonly zone: ReturnType<typeof parseZoneName>;
  readonly nonceD: Uint8Array;
  readonly mspId: ReturnType<typeof parseMspId>;
  readonly proverId: ReturnType<typeof parseProverId>;
  readonly prover: Signer;
  readonly msp: Signer;
  readonly forgeHolder: boolean;
}

function buildRequest(parts: Parts) {
  const now = systemClock.nowSeconds();
  const holder = strangerKey();
  const opening = systemRandom.bytes(32);
  const commit = csiCommit({ csi: parts.csi, opening });
  const credential = signObject({
    type: "credential",
    role: roles.prover,
    zone: "",
    payload: encodeCredential({
      proverId: parts.proverId,
      csiCommit: commit,
      holderPublicKey: holder.publicKey,
      method: "sms",
      level: 1,
      issued: now,
      expires: now + 86_400,
      firstProvedAt: now,
      evidenceSha256: new Uint8Array(),
    }),
    signer: parts.prover,
  });
  const byMsp = signObject({
    type: "mapping",
    role: roles.msp,
    zone: "",
    payload: encodeMapping({
      csiCommit: commit,
      mspId: parts.mspId,
      holderPublicKey: holder.publicKey,
      credentialSha256: payloadSha256(credential),
      establishedAt: now,
      notBefore: now,
      notAfter: now + 86_400,
      nonceH: systemRandom.bytes(16),
      nonceM: systemRandom.bytes(16),
      prevSha256: new Uint8Array(),
    }),
    signer: parts.msp,
  });
  const mapping = addSignature(byMsp, {
    type: "mapping",
    role: roles.holder,
    zone: "",
    signer: parts.forgeHolder ? strangerKey() : holder,
  });
  const statement = signObject({
    type: "statement",
    role: roles.holder,
    zone: parts.zone,
    payload: encodeStatement({
      zone: parts.zone,
      tag: new Uint8Array(),
      csiCommits: [commit],
      holderPublicKey: holder.publicKey,
      seq: now,
      nonceD: parts.nonceD,
      items: [{ mappingSha256: payloadSha256(mapping), preference: 1, tags: [] }],
      exclusive: false,
      sameAppOnly: false,
      portedTo: "",
      notBefore: now,
      notAfter: now + 86_400,
    }),
    signer: holder,
  });
  return {
    zone: parts.zone,
    csi: parts.csi,
    opening,
    credential: signedObjectToWire(credential),
    slot: {
      case: "public" as const,
      value: { mapping: signedObjectToWire(mapping), statement: signedObjectToWire(statement) },
    },
  };
}
