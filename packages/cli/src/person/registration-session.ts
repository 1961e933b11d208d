// What `whither register` and `whither verify` work with: the followed directory, the holder's connections,
// and the MSPs whose keys the configuration names, all in this process.

import { join } from "node:path";
import { DiscoveryError, type Csi, type MspId, type ZoneName } from "@whither/protocol";
import { sha256, toHex, utf8, type Signer } from "@whither/crypto";
import { createDirectoryFollower, type DirectoryFollower } from "@whither/directory";
import {
  createMsp,
  createRegistrant,
  formatHolderMemory,
  parseHolderMemory,
  readAccountsFile,
  type DraftSource,
  type HolderMemory,
  type Registrant,
  type ZoneRegistration,
} from "@whither/msp";
import { parseDirectorySource } from "@whither/resolver";
import { tlsIdentityFromFiles } from "@whither/rpc";
import {
  makeStateDirectory,
  pathExists,
  readFileBounded,
  readSecretFile,
  systemClock,
  systemRandom,
  writeSecretFile,
} from "@whither/runtime";
import { parseAnchors, type Anchors } from "@whither/zone";
import type { ClientConfig } from "../client-config.js";
import type { CredentialFile } from "../credential-file.js";
import { readSigner } from "../key-files.js";

const anchorsBytesMax = 1024 * 1024;

/** One CSI of one holder with the MSPs that shall reach it, the first of them first. */
export interface RegistrationRequest {
  readonly credential: CredentialFile;
  readonly holderKeyFile: string;
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
  readonly #registrant: Registrant;
  readonly #isBulk: boolean;
  readonly #msps = new Map<MspId, Promise<DraftSource>>();
  readonly #signers = new Map<string, Promise<Signer>>();

  private constructor(parts: {
    readonly config: ClientConfig;
    readonly directory: DirectoryFollower;
    readonly registrant: Registrant;
    readonly isBulk: boolean;
  }) {
    this.#config = parts.config;
    this.#directory = parts.directory;
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
    const registrant = createRegistrant({ directory, caPem, identity });
    return new RegistrationSession({ config, directory, registrant, isBulk });
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
    const { credential, holderKeyFile, zones, exclusive, sameAppOnly, portedTo } = request;
    const holder = await this.#signer(holderKeyFile);
    const memory = new MemoryFile({ holderKeyFile, csi: credential.csi });
    let previous = await memory.read();
    for (const wish of request.msps) {
      const { id, preference, tags } = wish;
      const registration = await this.#registrant.register({
        csi: credential.csi,
        credential: credential.credential,
        opening: credential.opening,
        holder,
        msp: await this.#msp(id),
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

const memoryIdBytes = 8;
const memorySuffix = "slots.json";

/**
 * What stands in the holder's slots of one CSI. Without it the next statement would drop what it does not
 * name, so it lies beside the key that signs: `holder.pem.<hash of the CSI>.slots.json`, mode 0600.
 */
class MemoryFile {
  readonly #path: string;

  constructor({ holderKeyFile, csi }: { readonly holderKeyFile: string; readonly csi: Csi }) {
    const id = toHex(sha256(utf8(csi)).subarray(0, memoryIdBytes));
    this.#path = `${holderKeyFile}.${id}.${memorySuffix}`;
  }

  async read(): Promise<HolderMemory | undefined> {
    if (!(await pathExists(this.#path))) return undefined;
    return parseHolderMemory(new TextDecoder().decode(await readSecretFile(this.#path)));
  }

  async write(memory: HolderMemory): Promise<void> {
    await writeSecretFile(this.#path, formatHolderMemory(memory), { replace: true });
  }
}
