// What `whither register` and `whither verify` work with: the followed directory, the holder's connections,
// and the MSPs whose keys the configuration names, all in this process.

import { join } from "node:path";
import { DiscoveryError, type Csi, type MspId, type ZoneName } from "@whither/protocol";
import type { Signer } from "@whither/crypto";
import {
  believedKsks,
  createDirectoryFollower,
  ManifestMemory,
  type DirectoryFollower,
} from "@whither/directory";
import {
  agreeToKeyLink,
  createMsp,
  createRegistrant,
  readAccountsFile,
  type DraftSource,
  type Registrant,
  type ZoneRegistration,
} from "@whither/msp";
import { parseDirectorySource } from "@whither/resolver";
import { tlsIdentityFromFiles } from "@whither/rpc";
import { makeStateDirectory, readFileBounded, systemClock, systemRandom } from "@whither/runtime";
import { nodeVerifier, parseAnchors, type Anchors } from "@whither/zone";
import type { ClientConfig } from "../client-config.js";
import type { CredentialFile } from "../credential-file.js";
import { readSigner } from "../key-files.js";
import type { LinkFile } from "../link-file.js";
import { MemoryFile, newestOf } from "./memory-file.js";

const anchorsBytesMax = 1024 * 1024;

/** One CSI of one holder with the MSPs that shall reach it, the first of them first. */
export interface RegistrationRequest {
  readonly credential: CredentialFile;
  readonly holderKeyFile: string;
  /** Another key of the same holder has let this one in. */
  readonly link?: LinkFile | undefined;
  readonly msps: readonly MspWish[];
  /** Only these zones; otherwise every zone that the directory names. */
  readonly zones: readonly ZoneName[];
  readonly exclusive?: boolean | undefined;
  readonly sameAppOnly?: boolean | undefined;
  readonly portedTo?: Csi | ZoneName | undefined;
}

interface MspWish {
  readonly id: MspId;
  readonly preference?: number | undefined;
  readonly tags?: readonly string[] | undefined;
}

/** What one MSP's registration led to. */
export interface RegisteredMapping {
  readonly msp: MspId;
  readonly registered: readonly ZoneRegistration[];
  readonly failed: readonly { readonly zone: ZoneName; readonly error: DiscoveryError }[];
}

/** Reads the anchors that the configuration names. */
export async function readAnchors(config: Pick<ClientConfig, "anchors">): Promise<Anchors> {
  const bytes = await readFileBounded(config.anchors, { bytesMax: anchorsBytesMax });
  return parseAnchors(new TextDecoder().decode(bytes));
}

/** Follows the directory that the configuration names, the whole of it where it is mirrored. */
export async function followDirectory(
  config: ClientConfig,
  anchors: Anchors,
): Promise<DirectoryFollower> {
  const { state_dir: stateDirectory } = config;
  if (stateDirectory !== undefined) await makeStateDirectory(stateDirectory);
  return createDirectoryFollower({
    anchors,
    source: parseDirectorySource(config.directory, {
      nameServers: config.name_servers,
      clock: systemClock,
      random: systemRandom,
    }),
    clock: systemClock,
    random: systemRandom,
    mirror: config.mirror,
    // The resolver's own file: both verify what they load, and neither goes back.
    ...(stateDirectory === undefined ? {} : { statePath: join(stateDirectory, "directory") }),
  });
}

export class RegistrationSession implements AsyncDisposable {
  readonly #config: ClientConfig;
  readonly #directory: DirectoryFollower;
  readonly #manifests: ManifestMemory;
  readonly #registrant: Registrant;
  readonly #isBulk: boolean;
  readonly #msps = new Map<MspId, Promise<DraftSource>>();
  readonly #signers = new Map<string, Promise<Signer>>();

  private constructor(parts: {
    readonly config: ClientConfig;
    readonly directory: DirectoryFollower;
    readonly manifests: ManifestMemory;
    readonly registrant: Registrant;
    readonly isBulk: boolean;
  }) {
    this.#config = parts.config;
    this.#directory = parts.directory;
    this.#manifests = parts.manifests;
    this.#registrant = parts.registrant;
    this.#isBulk = parts.isBulk;
  }

  /** Throws CONFIG where files or the client certificate are missing. */
  static async open(
    config: ClientConfig,
    { isBulk }: { readonly isBulk: boolean },
  ): Promise<RegistrationSession> {
    if (config.identity === undefined) {
      const cause = new Error(
        "identity: expected cert and key of a client certificate, got nothing",
      );
      throw new DiscoveryError("CONFIG", "registering takes a client certificate", { cause });
    }
    const { cert, key } = config.identity;
    const identity = await tlsIdentityFromFiles({ certPath: cert, keyPath: key });
    const anchors = await readAnchors(config);
    const caPem = anchors.tlsCaPem.map((pem) => `${pem.trimEnd()}\n`).join("");
    const directory = await followDirectory(config, anchors);
    const { state_dir: stateDirectory } = config;
    const manifests = await ManifestMemory.open({
      // The resolver's own file: what one has seen the other knows.
      path: stateDirectory === undefined ? undefined : join(stateDirectory, "manifests.json"),
      clock: systemClock,
      ksks: () => believedKsks(directory, anchors),
    });
    const registrant = createRegistrant({ directory, caPem, identity, manifests });
    return new RegistrationSession({ config, directory, manifests, registrant, isBulk });
  }

  /** Loads the mirror once, so that many registrations need not walk. */
  async warmUp(signal: AbortSignal): Promise<void> {
    if (this.#config.mirror) await this.#directory.refresh({ signal });
  }

  /**
   * Registers one CSI with each of its MSPs in turn: a later statement names the earlier mappings again.
   * What the holder has to remember is kept beside the holder key, for the next registration.
   */
  async register(
    request: RegistrationRequest,
    bounds: {
      readonly signal: AbortSignal;
      /** Hears of each mapping as it is accepted. */
      readonly onMapping: (mapping: RegisteredMapping) => void;
    },
  ): Promise<void> {
    const { credential, holderKeyFile, link, zones, exclusive, sameAppOnly, portedTo } = request;
    const holder = await this.#signer(holderKeyFile);
    const { csi } = credential;
    const verifier = nodeVerifier;
    const links =
      link === undefined
        ? []
        : [agreeToKeyLink({ approved: link.approved, csi, holder, verifier })];
    const memory = new MemoryFile({ holderKeyFile, csi });
    let previous = newestOf(await memory.read(), link?.slots);
    for (const wish of request.msps) {
      const { id, preference, tags } = wish;
      const registration = await this.#registrant.register({
        csi,
        credential: credential.credential,
        opening: credential.opening,
        holder,
        msp: await this.#msp(id),
        links,
        signal: bounds.signal,
        ...(previous === undefined ? {} : { previous }),
        ...(zones.length === 0 ? {} : { zones }),
        ...(preference === undefined ? {} : { preference }),
        ...(tags === undefined ? {} : { tags }),
        ...(exclusive === undefined ? {} : { exclusive }),
        ...(sameAppOnly === undefined ? {} : { sameAppOnly }),
        ...(portedTo === undefined ? {} : { portedTo }),
      });
      previous = registration.memory;
      await memory.write(previous);
      const { registered, failed } = registration;
      bounds.onMapping({ msp: id, registered, failed });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#registrant.close();
    await this.#manifests.close();
    await this.#directory.close();
  }

  #msp(id: MspId): Promise<DraftSource> {
    const held = this.#msps.get(id) ?? this.#openMsp(id);
    this.#msps.set(id, held);
    return held;
  }

  async #openMsp(id: MspId): Promise<DraftSource> {
    const settings = this.#config.msps.find((msp) => msp.id === id);
    if (settings === undefined) {
      const named = this.#config.msps.map((msp) => msp.id).join(", ");
      const cause = new Error(
        `msps: expected key_file and accounts of ${id}, got ${named || "none"}`,
      );
      throw new DiscoveryError("CONFIG", "the MSP is not in the configuration", { cause });
    }
    return createMsp({
      id,
      signer: await readSigner(settings.key_file),
      accounts: await readAccountsFile(settings.accounts),
      directory: this.#directory,
      clock: systemClock,
      random: systemRandom,
      // Nobody else times the answers of an MSP in one's own process.
      ...(this.#isBulk ? { answerStepMs: 0 } : {}),
    });
  }

  #signer(path: string): Promise<Signer> {
    const held = this.#signers.get(path) ?? readSigner(path);
    this.#signers.set(path, held);
    return held;
  }
}
