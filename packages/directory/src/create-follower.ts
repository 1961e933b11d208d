// Puts a follower together: memory, state file, mirror and walk over one source. The mirror answers while
// it is valid; before it is there, or without one, the walk does.

import { DiscoveryError, type Csi, type ErrorCode, type Node } from "@whither/protocol";
import { openChannel as openGrpcChannel } from "@whither/rpc";
import { silentLogger } from "@whither/runtime";
import {
  isLate,
  nodeVerifier,
  rootPlace,
  verifyTrust,
  type Delegation,
  type Directory,
  type DirectoryTrust,
  type PlacedNode,
  type Registry,
} from "@whither/zone";
import { caBundle } from "./ca-bundle.js";
import { DirectoryMemory } from "./directory-memory.js";
import { DirectoryServer } from "./directory-server.js";
import type {
  DelegationOptions,
  DirectoryFollower,
  DirectoryFollowerOptions,
  DirectoryStatus,
  SignalOption,
} from "./follower.js";
import { headMessage, Mirror, type MirrorSource } from "./mirror.js";
import { RegistryRecords } from "./records.js";
import { StateFile } from "./state-file.js";
import { PartMarks } from "./part-marks.js";
import { PartMarksFile } from "./part-marks-file.js";
import { PartWalks } from "./parts.js";
import { DirectoryWalk, learntOf, type WalkedZone, type WalkServers } from "./walk.js";

/**
 * Follows a signed directory from its anchors. Begins at once to load its state and, unless told not to,
 * to mirror; ask `delegation` right away. `close` ends the background work.
 */
export function createDirectoryFollower(options: DirectoryFollowerOptions): DirectoryFollower {
  return new Follower(options);
}

class Follower implements DirectoryFollower {
  readonly #options: DirectoryFollowerOptions;
  readonly #memory = new DirectoryMemory();
  readonly #state: StateFile | undefined;
  readonly #server: DirectoryServer | undefined;
  readonly #walk: DirectoryWalk<DirectoryTrust> | undefined;
  readonly #records: RegistryRecords | undefined;
  readonly #parts: PartWalks;
  readonly #marks = new PartMarks();
  readonly #marksFile: PartMarksFile | undefined;
  readonly #mirror: Mirror | undefined;
  readonly #ready: Promise<void>;
  #saving: Promise<void> = Promise.resolve();

  constructor(options: DirectoryFollowerOptions) {
    const { anchors, source, clock, random, logger = silentLogger, statePath } = options;
    this.#options = options;
    const memory = this.#memory;
    if (statePath !== undefined) {
      this.#marksFile = new PartMarksFile({ path: `${statePath}.parts`, logger });
      this.#state = new StateFile({ path: statePath, anchors, verifier: nodeVerifier });
    }
    const { openChannel = openGrpcChannel, verifier = nodeVerifier } = options;
    const caPem = caBundle(anchors);
    this.#parts = new PartWalks({
      openChannel,
      caPem,
      clock,
      verifier,
      marks: this.#marks,
      onNewer: () => this.#saveMarks(),
      registry: (signalled) => this.registry(signalled),
    });
    if (source.kind !== "file") {
      const from = source.kind === "server" ? source : source.locator;
      const server = new DirectoryServer({ from, caPem, openChannel, clock });
      const onNewer = (): void => this.#onNewer();
      this.#server = server;
      this.#walk = new DirectoryWalk({
        zone: rootZone({ anchors, memory, onNewer }),
        servers: rootServers(server),
        clock,
        verifier,
        nodesMax: rootNodesMax,
      });
      this.#records = new RegistryRecords({ server, anchors, memory, clock, verifier, onNewer });
    }
    const mirrored = mirrorSource(options, this.#server);
    if (mirrored !== undefined) {
      this.#mirror = new Mirror({
        source: mirrored,
        anchors,
        memory,
        state: this.#state,
        clock,
        random,
        logger,
        verifier: nodeVerifier,
      });
    }
    this.#ready = this.#open();
  }

  async delegation(csi: Csi, options: DelegationOptions = {}): Promise<Delegation> {
    await this.#ready;
    const directory = options.mirror === false ? undefined : await this.#held(options);
    if (directory !== undefined) {
      const delegation = directory.delegation(csi);
      // A node may end before its head does; then only the root knows what came after it.
      if (!isLate(delegation, this.#options.clock.nowSeconds())) {
        this.#tellMirrored(directory, delegation, options);
        if (delegation.authorities[0]?.kind !== "directory") return delegation;
        return await this.#parts.follow(csi, placedInRoot(directory.path(csi)), options);
      }
    }
    if (this.#walk === undefined) throw await this.#noDirectory(options);
    const path = await this.#walk.path(csi, options);
    return await this.#parts.follow(csi, placedInRoot(path), options);
  }

  async registry(options: SignalOption = {}): Promise<Registry> {
    await this.#ready;
    const directory = await this.#held(options);
    if (directory !== undefined) return directory.registry;
    if (this.#records === undefined) throw await this.#noDirectory(options);
    return await this.#records.registry(options);
  }

  current(): DirectoryStatus | undefined {
    const mirrored = this.#mirror?.directory;
    if (mirrored !== undefined && !isLate(mirrored.head, this.#options.clock.nowSeconds())) {
      return { head: mirrored.head, source: "mirror", rootKeys: mirrored.trust.rootKeys };
    }
    const known = this.#memory.known;
    if (known === undefined) return undefined;
    return { head: known.head, source: "walk", rootKeys: known.rootKeys };
  }

  async refresh(options: SignalOption = {}): Promise<void> {
    await this.#ready;
    await this.#mirror?.refresh(options);
  }

  async close(): Promise<void> {
    await this.#ready;
    await this.#mirror?.close();
    this.#parts[Symbol.dispose]();
    this.#server?.[Symbol.dispose]();
    await this.#saving;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #open(): Promise<void> {
    await this.#marksFile?.load(this.#marks);
    const { source, logger = silentLogger } = this.#options;
    if (this.#mirror !== undefined) {
      await this.#mirror.load();
      this.#mirror.start();
      return;
    }
    try {
      const bytes = await this.#state?.read();
      if (bytes !== undefined) this.#memory.accept(stateTrust(this.#state, bytes));
    } catch (error) {
      logger.warn("directory state not loaded", { error, source: source.kind });
    }
  }

  /** The valid mirror. A file is waited for: there is nothing to walk. */
  async #held(options: SignalOption): Promise<Directory | undefined> {
    const held = this.#mirror?.held();
    if (held !== undefined || this.#server !== undefined) return held;
    await this.#mirror?.refresh(options);
    return this.#mirror?.held();
  }

  /** Why there is no directory to answer from, when all there is is a file. */
  async #noDirectory(options: SignalOption): Promise<unknown> {
    try {
      await this.#mirror?.refresh(options);
    } catch (error) {
      return error;
    }
    return new DiscoveryError("EXPIRED", "the directory file has ended");
  }

  #tellMirrored(directory: Directory, delegation: Delegation, { onHop }: DelegationOptions): void {
    if (onHop === undefined) return;
    const node = directory.node(delegation.prefix)?.node;
    if (node === undefined) return;
    onHop({
      prefix: delegation.prefix,
      from: "mirror",
      told: "nothing",
      learnt: learntOf(node, delegation.prefix),
      serial: directory.serial,
      verdict: "verified",
      rttMs: 0,
    });
  }

  #saveMarks(): void {
    this.#saving = this.#saving.then(() => this.#marksFile?.save(this.#marks));
  }

  /** A walk met a newer directory than any before: keep that in mind over restarts. */
  #onNewer(): void {
    if (this.#mirror !== undefined) {
      this.#mirror.hurry();
      return;
    }
    const { logger = silentLogger } = this.#options;
    const save = async (): Promise<void> => {
      const trust = this.#memory.known;
      if (trust === undefined || this.#state === undefined) return;
      try {
        await this.#state.save(trust, [headMessage(trust)]);
      } catch (error) {
        logger.warn("directory state not saved", { error });
      }
    };
    this.#saving = this.#saving.then(save);
  }
}

/** Nodes that a walk of the root keeps. */
const rootNodesMax = 4_096;

/** The root as a walk sees it: believed by the anchors. */
function rootZone(of: {
  readonly anchors: DirectoryFollowerOptions["anchors"];
  readonly memory: DirectoryMemory;
  readonly onNewer: () => void;
}): WalkedZone<DirectoryTrust> {
  const { anchors, memory, onNewer } = of;
  return {
    zone: rootPlace.zone,
    apex: rootPlace.apex,
    verify: ({ rootKeys, earlierRootKeys, head }, check) => {
      if (rootKeys === undefined) {
        throw new DiscoveryError("KEY_MISSING", "referral: of the root, without its keys");
      }
      const { previous, known } = memory;
      const given = { rootKeys, earlierRootKeys, head };
      return verifyTrust({ ...check, ...given, anchors, previous, known });
    },
    accept: (trust) => {
      if (memory.accept(trust)) onNewer();
    },
  };
}

/** Codes that say that another server may tell the truth. */
const unbelievable: ReadonlySet<string> = new Set<ErrorCode>([
  "BOGUS",
  "KEY_MISSING",
  "DENIAL_MISSING",
  "EXPIRED",
  "ROLLBACK",
  "FORKED",
  "INVALID_DATA",
  "TOO_LARGE",
]);

/** The one server of the root that is asked now; of several found, another one after a lie. */
function rootServers(server: DirectoryServer): WalkServers {
  return {
    ready: (options) => server.ready(options),
    order: () => [server],
    learn: (_server, failure) => {
      if (failure !== undefined && unbelievable.has(failure.code)) server.avoid();
    },
  };
}

function placedInRoot(path: readonly Node[]): readonly PlacedNode[] {
  return path.map((node) => ({ zone: rootPlace.zone, node }));
}

/** A file is always held whole; a server only if its mirror is wanted. */
function mirrorSource(
  { source, mirror }: DirectoryFollowerOptions,
  server: DirectoryServer | undefined,
): MirrorSource | undefined {
  if (source.kind === "file") return source;
  return mirror && server !== undefined ? { kind: "server", server } : undefined;
}

function stateTrust(state: StateFile | undefined, bytes: Uint8Array) {
  if (state === undefined) throw new TypeError("bytes come from a state file");
  return state.trustOf(bytes);
}
