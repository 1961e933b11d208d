// Holders who register by themselves, in the test's own process: real keys, credentials of the federation's prover, drafts
// of one MSP, and the real registrant over TLS. For tests that watch a single registration; people.ts makes many at once.

import { readFile } from "node:fs/promises";
import { decodePrivateKeyPem, type Signer } from "@whither/crypto";
import { createSigner } from "@whither/crypto/node";
import { createDirectoryFollower, type DirectoryFollower } from "@whither/directory";
import {
  accountsOf,
  createMsp,
  createRegistrant,
  type Registrant,
  type ZoneRegistration,
} from "@whither/msp";
import {
  limits,
  parseMspId,
  parseProverId,
  roles,
  type Csi,
  type SignedObject,
} from "@whither/protocol";
import { openChannel, tlsIdentityFromFiles } from "@whither/rpc";
import { systemClock, systemRandom } from "@whither/runtime";
import { encodeCredential } from "@whither/wire";
import { csiCommit, parseAnchors, signObject } from "@whither/zone";
import type { FederationFiles } from "./federation.js";

const mspId = parseMspId("wire.example");

/** Somebody with a key and a credential for an identifier. */
export interface Holder {
  readonly csi: Csi;
  readonly holder: Signer;
  readonly opening: Uint8Array;
  readonly credential: SignedObject;
}

export class Holders implements AsyncDisposable {
  readonly #files: FederationFiles;
  readonly #follower: DirectoryFollower;
  readonly #registrant: Registrant;
  readonly #signers: { readonly msp: Signer; readonly prover: Signer };

  private constructor(of: {
    readonly files: FederationFiles;
    readonly follower: DirectoryFollower;
    readonly registrant: Registrant;
    readonly signers: { readonly msp: Signer; readonly prover: Signer };
  }) {
    this.#files = of.files;
    this.#follower = of.follower;
    this.#registrant = of.registrant;
    this.#signers = of.signers;
  }

  static async open(files: FederationFiles): Promise<Holders> {
    const text = (name: string): Promise<string> => readFile(files.path(name), "utf8");
    const key = async (name: string): Promise<Signer> =>
      createSigner(decodePrivateKeyPem(await text(name)));
    const follower = createDirectoryFollower({
      anchors: parseAnchors(await text("anchors.json")),
      source: { kind: "file", path: files.artefact },
      openChannel,
      mirror: true,
      clock: systemClock,
      random: systemRandom,
    });
    const registrant = createRegistrant({
      directory: follower,
      caPem: await text("pki/ca.pem"),
      identity: await tlsIdentityFromFiles({
        certPath: files.path("pki", `${mspId}.pem`),
        keyPath: files.path("pki", `${mspId}-key.pem`),
      }),
    });
    const signers = { msp: await key(`${mspId}.msp.pem`), prover: await key("prover.pem") };
    return new Holders({ files, follower, registrant, signers });
  }

  /** Keys of their own, and a proof that the identifier is theirs. */
  holder(csi: Csi): Holder {
    const [holder, opening] = [createSigner(systemRandom.bytes(32)), systemRandom.bytes(32)];
    const now = systemClock.nowSeconds();
    const payload = encodeCredential({
      proverId: parseProverId(this.#files.proverId),
      csiCommit: csiCommit({ csi, opening }),
      holderPublicKey: holder.publicKey,
      method: "sms",
      level: 1,
      issued: now,
      expires: now + limits.telCredentialLifetimeSecondsMax,
      firstProvedAt: now,
      evidenceSha256: new Uint8Array(),
    });
    const place = { type: "credential", role: roles.prover, zone: "" } as const;
    const credential = signObject({ ...place, payload, signer: this.#signers.prover });
    return { csi, holder, opening, credential };
  }

  /** The whole ceremony with the one MSP, in the one zone of the identifier. Throws what a registrant throws. */
  async register(
    one: Holder,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<ZoneRegistration> {
    const msp = createMsp({
      id: mspId,
      signer: this.#signers.msp,
      accounts: accountsOf([one.csi]),
      directory: this.#follower,
      clock: systemClock,
      random: systemRandom,
      answerStepMs: 0,
    });
    const { registered } = await this.#registrant.register({ ...one, ...options, msp });
    const [registration] = registered;
    if (registration === undefined) throw new TypeError("a registration in no zone");
    return registration;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#registrant.close();
    await this.#follower.close();
  }
}
