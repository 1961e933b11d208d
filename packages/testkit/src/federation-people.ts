// Holders of identifiers in a simulated federation: their keys, their proofs of possession, and the
// registrations they make through the real ceremony.

import type { Signer } from "@whither/crypto/node";
import {
  createDirectoryFollower,
  type DirectoryFollower,
  type OpenChannel,
} from "@whither/directory";
import {
  roles,
  type Credential,
  type Csi,
  type MspRecord,
  type ProverRecord,
  type SignedObject,
} from "@whither/protocol";
import {
  accountsOf,
  createMsp,
  createRegistrant,
  type CsiRegistration,
  type DraftSource,
  type HolderMemory,
  type Registrant,
  type RegisterOptions,
} from "@whither/msp";
import { encodeCredential } from "@whither/wire";
import { csiCommit, signObject, type Anchors } from "@whither/zone";
import { EventLog } from "./event-log.js";
import type { SimulatedClock } from "./clock.js";
import type { Signing } from "./federation-parties.js";
import type { SeededRandom } from "./random.js";
import { testIdentity } from "./federation-identity.js";
import { fixedBytes, fixedSigner } from "./registration-fixtures.js";

const day = 86_400;

export interface Person {
  readonly csi: Csi;
  readonly holder: Signer;
  /** 32 bytes that open every csi_commit of the person. */
  readonly opening: Uint8Array;
}

export interface CredentialOptions {
  readonly csi: Csi;
  readonly holder?: Signer;
  readonly opening?: Uint8Array;
  /** Id of the prover that issues; the first one unless told. */
  readonly prover?: string;
  /** Another key than the prover's. */
  readonly signer?: Signer;
  /** What differs from a credential of level 1 issued now. */
  readonly fields?: Partial<Credential>;
}

export interface RegistrationOptions extends Pick<
  RegisterOptions,
  "preference" | "tags" | "exclusive" | "sameAppOnly" | "portedTo" | "links" | "zones" | "signal"
> {
  readonly csi: Csi;
  /** One after the other, each with the next preference unless `preference` is given. */
  readonly msps: readonly string[];
  /** Another key than the person's own. */
  readonly holder?: Signer;
  readonly opening?: Uint8Array;
  readonly credential?: SignedObject;
  /** Forgets what was registered before, as a new device would. */
  readonly forget?: boolean;
}

/** The last step of a registration, and everything that went into it. */
export interface Registration extends CsiRegistration, Person {
  readonly credential: SignedObject;
}

/** What people need of the federation they live in. */
export interface PeopleWorld {
  readonly anchors: Anchors;
  readonly clock: SimulatedClock;
  readonly random: SeededRandom;
  readonly provers: readonly Signing<ProverRecord>[];
  msp(id: string): Signing<MspRecord>;
  prover(id: string): Signing<ProverRecord>;
  openChannel(client: string): OpenChannel;
}

export class FederationPeople {
  readonly #federation: PeopleWorld;
  readonly #log = new EventLog();
  readonly #memories = new Map<Csi, HolderMemory>();
  #connected: { readonly follower: DirectoryFollower; readonly registrant: Registrant } | undefined;

  constructor(federation: PeopleWorld) {
    this.#federation = federation;
  }

  /** The holder of an identifier: the same key and opening every time. */
  person(csi: Csi): Person {
    return { csi, holder: fixedSigner(`holder ${csi}`), opening: fixedBytes(`opening ${csi}`) };
  }

  /** What a prover signs once it has seen a proof of possession. */
  credential(options: CredentialOptions): SignedObject {
    const { csi, fields = {} } = options;
    const person = this.person(csi);
    const { holder = person.holder, opening = person.opening } = options;
    const { provers, clock } = this.#federation;
    const id = options.prover ?? provers[0]?.record.id ?? "";
    const { record, signer: proverSigner } = this.#federation.prover(id);
    const { signer = proverSigner } = options;
    const nowSeconds = clock.nowSeconds();
    const payload = encodeCredential({
      proverId: record.id,
      csiCommit: csiCommit({ csi, opening }),
      holderPublicKey: holder.publicKey,
      method: "sms",
      level: 1,
      issued: nowSeconds,
      expires: nowSeconds + 45 * day,
      firstProvedAt: nowSeconds,
      evidenceSha256: new Uint8Array(),
      ...fields,
    });
    return signObject({ type: "credential", role: roles.prover, zone: "", payload, signer });
  }

  /** An MSP that reaches everybody named. */
  msp(id: string, reached: readonly Csi[]): DraftSource {
    const { clock, random } = this.#federation;
    const { record, signer } = this.#federation.msp(id);
    const directory = this.#connect().follower;
    const accounts = accountsOf(reached);
    return createMsp({
      id: record.id,
      signer,
      accounts,
      directory,
      clock,
      random,
      answerStepMs: 0,
    });
  }

  /**
   * Registers an identifier with MSPs through the real ceremony, in every zone that the directory names; what
   * stands from earlier calls stays. Visible after `publish`. Throws what @whither/msp throws.
   */
  async register(options: RegistrationOptions): Promise<Registration> {
    const { csi, msps, forget = false, holder, opening, credential, ...wish } = options;
    const own = this.person(csi);
    const person = { csi, holder: holder ?? own.holder, opening: opening ?? own.opening };
    const proof = credential ?? this.credential(person);
    const { registrant } = this.#connect();
    let last: CsiRegistration | undefined;
    for (const id of msps) {
      const previous = forget ? last?.memory : this.#memories.get(csi);
      last = await registrant.register({
        ...wish,
        ...person,
        credential: proof,
        msp: this.msp(id, [csi]),
        ...(previous === undefined ? {} : { previous }),
      });
      this.#memories.set(csi, last.memory);
    }
    if (last === undefined) throw new TypeError("expected at least one MSP");
    return { ...last, ...person, credential: proof };
  }

  /** Holds its connections until the federation closes. */
  registrant(): Registrant {
    return this.#connect().registrant;
  }

  /** What the holder's app remembers of its slots. */
  memory(csi: Csi): HolderMemory | undefined {
    return this.#memories.get(csi);
  }

  close(): void {
    this.#connected?.registrant.close();
    void this.#connected?.follower.close();
  }

  #connect() {
    if (this.#connected !== undefined) return this.#connected;
    const { anchors, clock, random } = this.#federation;
    const openChannel = this.#federation.openChannel("app");
    const follower = createDirectoryFollower({
      anchors,
      source: { kind: "server", host: "root.example", port: 7363 },
      openChannel,
      clock,
      random,
      mirror: false,
      logger: this.#log,
    });
    const registrant = createRegistrant({
      directory: follower,
      caPem: "",
      identity: testIdentity(),
      openChannel,
      clock,
      random,
    });
    this.#connected = { follower, registrant };
    return this.#connected;
  }
}
