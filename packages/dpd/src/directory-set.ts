// The parts of the directory that this process serves, each on its own: verified from its manifest before a
// byte of it is served, replaced when a newer one is there, kept while that does not verify (last good data).

import { join } from "node:path";
import {
  createDirectoryService,
  createRateLimit,
  createServedFiles,
  joinDirectories,
  loadArtefact,
  parseManifestFile,
  partReader,
  type DirectoryService,
  type RequestLimit,
  type ServedFiles,
} from "@whither/authority";
import type { ReloadedZoneFact } from "@whither/control";
import { DiscoveryError } from "@whither/protocol";
import type { ServiceRegistration } from "@whither/rpc";
import {
  formatConfigError,
  makeStateDirectory,
  readFileBounded,
  type Clock,
  type Logger,
  type Scheduled,
} from "@whither/runtime";
import { compareMarks, isLate, payloadSha256, type PartTrust } from "@whither/zone";
import type { PartConfig } from "./config-zones.js";

/** Between two looks at parts that do not serve. */
const retryMs = 60_000;
const manifestBytesMax = 256 * 1024;

/** A configured part as it is now. */
export type PartCondition =
  | { readonly kind: "serving"; readonly service: DirectoryService<PartTrust> }
  | { readonly kind: "failed"; readonly error: DiscoveryError };

export interface DirectorySetOptions {
  readonly stateDirectory: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Requests of one address. */
  readonly limit: RequestLimit;
  /** Called after each change. */
  readonly onChange: () => void;
}

interface Entry {
  readonly config: PartConfig;
  readonly condition: PartCondition;
  /** Of a part that serves. */
  readonly files?: ServedFiles<PartTrust>;
}

export class DirectorySet implements AsyncDisposable {
  /** For the listener without client certificates. */
  readonly service: ServiceRegistration;
  readonly #options: DirectorySetOptions;
  readonly #limit: ReturnType<typeof createRateLimit>;
  readonly #entries = new Map<string, Entry>();
  #queue: Promise<unknown> = Promise.resolve();
  #timer: Scheduled | undefined;
  #closed = false;

  constructor(options: DirectorySetOptions) {
    this.#options = options;
    this.#limit = createRateLimit(options.limit, options.clock);
    const { interceptor } = this.#limit;
    this.service = joinDirectories((zone) => this.#served(zone), { interceptors: [interceptor] });
  }

  /** By name, in the order of the configuration; one that has ended does not serve any more. */
  conditions(): ReadonlyMap<string, PartCondition> {
    const nowSeconds = this.#options.clock.nowSeconds();
    return new Map(
      [...this.#entries].map(([name, { condition }]) => {
        const isOver =
          condition.kind === "serving" && isLate(condition.service.directory.head, nowSeconds);
        const error = new DiscoveryError("EXPIRED", "the signed directory has ended");
        return [name, isOver ? { kind: "failed", error } : condition];
      }),
    );
  }

  setLimit(limit: RequestLimit): void {
    this.#limit.set(limit);
  }

  /** Brings the parts to a configuration; a failure is an outcome of its part. */
  apply(configs: readonly PartConfig[]): Promise<readonly ReloadedZoneFact[]> {
    return this.#exclusive(async () => {
      const outcomes: ReloadedZoneFact[] = [];
      for (const zone of [...this.#entries.keys()]) {
        if (configs.some(({ name }) => name === zone)) continue;
        this.#close(zone);
        outcomes.push({ zone, outcome: "closed" });
      }
      for (const config of configs) outcomes.push(await this.#settle(config));
      this.#options.onChange();
      this.#retryLater();
      return outcomes;
    });
  }

  /** Reads one part again; undefined for a name that is no part. */
  reload(name: string): Promise<ReloadedZoneFact | undefined> {
    return this.#exclusive(async () => {
      const entry = this.#entries.get(name);
      if (entry === undefined) return undefined;
      const outcome = await this.#settle(entry.config);
      this.#options.onChange();
      return outcome;
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#exclusive(() => {
      for (const name of [...this.#entries.keys()]) this.#close(name);
      return Promise.resolve();
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #served(zone: string): DirectoryService<PartTrust> | undefined {
    const condition = this.#entries.get(zone)?.condition;
    return condition?.kind === "serving" ? condition.service : undefined;
  }

  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#queue.then(work);
    this.#queue = done.catch(() => undefined);
    return done;
  }

  async #settle(config: PartConfig): Promise<ReloadedZoneFact> {
    const zone = config.name;
    try {
      const outcome = await this.#read(config);
      return { zone, outcome };
    } catch (cause) {
      const error = asDiscoveryError(cause);
      this.#options.logger.error("part failed", { zone, error, detail: formatConfigError(error) });
      if (this.#served(zone) === undefined) {
        this.#entries.set(zone, { config, condition: { kind: "failed", error } });
      }
      return { zone, outcome: "failed", error };
    }
  }

  async #read(config: PartConfig): Promise<"kept" | "opened" | "replaced"> {
    const { name: zone, apex, artefactFile: path } = config;
    const { clock, logger, stateDirectory } = this.#options;
    const bytes = await readFileBounded(config.manifestFile, { bytesMax: manifestBytesMax });
    const manifestSha256 = [payloadSha256(parseManifestFile(bytes))];
    const reader = partReader({ apex, authority: { zone, manifestSha256 } });
    const before = this.#entries.get(zone);
    const served = before?.config.apex === apex ? this.#served(zone) : undefined;
    const previous = served?.directory.head;
    const artefact = await loadArtefact({ path, reader, clock, previous });
    const { head } = artefact.directory;
    if (served !== undefined && before?.files !== undefined) {
      this.#entries.set(zone, { ...before, config });
      if (compareMarks(head, served.directory.head) === 0) return "kept";
      const history = served.history.followedBy(served.directory, artefact.directory);
      await before.files.save(artefact, history); // persisted before it is published
      served.replace(artefact, { history });
      logger.info("part replaced", { zone, serial: head.serial });
      return "replaced";
    }
    const folder = join(stateDirectory, "zones", zone, "directory");
    await makeStateDirectory(folder);
    const files = createServedFiles({ stateDirectory: folder, reader, logger });
    const opened = await files.open(artefact);
    this.#close(zone);
    const service = createDirectoryService(opened.artefact, { history: opened.history });
    this.#entries.set(zone, { config, condition: { kind: "serving", service }, files });
    logger.info("part opened", { zone, apex, serial: service.directory.serial });
    return before?.condition.kind === "serving" ? "replaced" : "opened";
  }

  #close(zone: string): void {
    this.#served(zone)?.[Symbol.dispose]();
    this.#entries.delete(zone);
  }

  #retryLater(): void {
    this.#timer?.cancel();
    if (this.#closed) return;
    this.#timer = this.#options.clock.schedule(retryMs, () => void this.#retry());
  }

  #retry(): Promise<void> {
    return this.#exclusive(async () => {
      for (const [name, { kind }] of this.conditions()) {
        const config = this.#entries.get(name)?.config;
        if (kind === "failed" && config !== undefined && !this.#closed) await this.#settle(config);
      }
      // What has ended since is told of, too.
      this.#options.onChange();
      this.#retryLater();
    });
  }
}

/** What a part's files provoke is its operator's to mend, whatever it is: it must not end the process. */
function asDiscoveryError(error: unknown): DiscoveryError {
  if (error instanceof DiscoveryError) return error;
  return new DiscoveryError("INTERNAL", "the part could not be opened", { cause: error });
}
