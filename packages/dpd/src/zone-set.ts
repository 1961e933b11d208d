// The mapping zones of a process, each on its own: its store under `zones/<name>/store`, its keys, its
// fate. A zone whose files do not fit is reported and tried again; the others never notice. What serves
// is kept while its successor does not check (last good data).

import { join } from "node:path";
import type { ProvidedZone, ReplicationPeer } from "@whither/authority";
import type { ReloadedZoneFact } from "@whither/control";
import { hpkePublicKeyOf, toHex } from "@whither/crypto/node";
import { DiscoveryError, type ZoneName } from "@whither/protocol";
import { createScope, formatConfigError, type Scheduled, type Scope } from "@whither/runtime";
import type { WatchedStore } from "@whither/store";
import type { ZoneConfig } from "./config-zones.js";
import type { ZoneFence } from "./fence.js";
import { readZone, type ZoneCredentials } from "./credentials.js";
import { takesWrites } from "./disk-probe.js";
import { openZone, type OpenedZone, type OpenZoneOptions } from "./open-zone.js";

/** Between two looks at zones that did not open, and at whether those that did are still the zone. */
const retryMs = 60_000;

/** Between two looks whether the disk of a store that failed takes writes again. */
const mendMs = 5_000;

/** A configured zone as it is now. */
export type ZoneCondition =
  | ({
      readonly kind: "serving";
      /** Why it does not all that it should: what is configured now does not fit, or its disk takes no writes. */
      readonly problem: DiscoveryError | undefined;
    } & OpenedZone)
  | { readonly kind: "failed"; readonly error: DiscoveryError };

export interface ZoneSetOptions extends Omit<OpenZoneOptions, "onStoreFailed"> {
  /** Throws for a zone that goes on elsewhere; asked before it serves and again while it does. */
  readonly fence: ZoneFence;
  /** Called with each zone that begins to serve. */
  readonly onServe: (zone: ProvidedZone) => void;
  /** Called before a zone that served is closed. */
  readonly onWithdraw: (name: string) => void;
  /** Called after each change. */
  readonly onChange: () => void;
}

interface Entry {
  readonly config: ZoneConfig;
  readonly condition: ZoneCondition;
  /** Of what the zone was opened with: another one means that it has to be opened again. */
  readonly print: string;
  /** Of manifest and keys, which change while the zone serves. */
  readonly keysPrint: string;
  /** Zone and store. */
  readonly scope: Scope;
}

export class ZoneSet implements AsyncDisposable {
  readonly #options: ZoneSetOptions;
  readonly #entries = new Map<string, Entry>();
  #queue: Promise<unknown> = Promise.resolve();
  #timer: Scheduled | undefined;
  #closed = false;
  readonly #mending = new Map<string, Scheduled>();

  constructor(options: ZoneSetOptions) {
    this.#options = options;
  }

  /** By name, in the order of the configuration. */
  conditions(): ReadonlyMap<string, ZoneCondition> {
    return new Map([...this.#entries].map(([name, { condition }]) => [name, condition]));
  }

  /** Own secondaries of a zone; those of a zone that does not serve too, for whom it serves is another question. */
  secondariesOf(name: string): readonly ReplicationPeer[] {
    return this.#entries.get(name)?.config.replication.peers ?? [];
  }

  /** A zone that serves, by its name. Throws NOT_AUTHORITATIVE, and what one that does not open failed with. */
  served(name: string): Extract<ZoneCondition, { readonly kind: "serving" }> {
    const condition = this.#entries.get(name)?.condition;
    if (condition === undefined) {
      throw new DiscoveryError("NOT_AUTHORITATIVE", "no mapping zone of that name here");
    }
    if (condition.kind === "failed") throw condition.error;
    return condition;
  }

  /** Store of the vault of a zone that serves. */
  vaultOf(name: string): WatchedStore | undefined {
    const condition = this.#entries.get(name)?.condition;
    return condition?.kind === "serving" ? condition.stores.vault : undefined;
  }

  serving(): readonly ProvidedZone[] {
    return [...this.#entries.values()].flatMap(({ condition }) =>
      condition.kind === "serving" ? [condition.provided] : [],
    );
  }

  /** Brings the zones to a configuration, one after the other; a failure is an outcome of its zone. */
  apply(configs: readonly ZoneConfig[]): Promise<readonly ReloadedZoneFact[]> {
    return this.#exclusive(async () => {
      const outcomes: ReloadedZoneFact[] = [];
      for (const name of [...this.#entries.keys()]) {
        if (configs.some((config) => config.name === name)) continue;
        await this.#close(name);
        outcomes.push({ zone: name, outcome: "closed" });
      }
      for (const config of configs) outcomes.push(await this.#settle(config));
      this.#options.onChange();
      this.#retryLater();
      return outcomes;
    });
  }

  /**
   * Reads one zone again; with `switchNow` it waits for no directory to go on to the manifest configured. Throws
   * NOT_AUTHORITATIVE for a name that is not configured.
   */
  reload(
    name: string,
    { switchNow = false }: { readonly switchNow?: boolean } = {},
  ): Promise<ReloadedZoneFact> {
    return this.#exclusive(async () => {
      const entry = this.#entries.get(name);
      if (entry === undefined) {
        throw new DiscoveryError("NOT_AUTHORITATIVE", "no zone of that name here");
      }
      const outcome = await this.#settle(entry.config);
      this.#options.onChange();
      const { condition } = this.#entries.get(name) ?? entry;
      if (switchNow && outcome.error === undefined && condition.kind === "serving") {
        await condition.provided.zone.switchNow();
        return { ...outcome, outcome: "changed" };
      }
      return outcome;
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    for (const timer of this.#mending.values()) timer.cancel();
    await this.#exclusive(async () => {
      for (const name of [...this.#entries.keys()].reverse()) await this.#close(name);
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#queue.then(work);
    this.#queue = done.catch(() => undefined);
    return done;
  }

  async #settle(config: ZoneConfig): Promise<ReloadedZoneFact> {
    const zone = config.name;
    const before = this.#entries.get(zone);
    try {
      const credentials = await readZone(config, this.#options.clock.nowSeconds());
      const print = printOf(config);
      const served = before?.condition.kind === "serving" ? before : undefined;
      if (served?.print === print) return await this.#goOn(served, credentials);
      // Nothing of the old one is touched before everything about the new one has been checked.
      if (before !== undefined) await this.#close(zone);
      await this.#open(credentials, print);
      return { zone, outcome: served === undefined ? "opened" : "replaced" };
    } catch (cause) {
      const error = asDiscoveryError(cause);
      this.#options.logger.error("zone failed", { zone, error, detail: formatConfigError(error) });
      const entry = this.#entries.get(zone);
      if (entry?.condition.kind === "serving") {
        this.#entries.set(zone, { ...entry, condition: { ...entry.condition, problem: error } });
      } else {
        this.#entries.set(zone, failedEntry(config, error));
      }
      return { zone, outcome: "failed", error };
    }
  }

  /** The same zone under what its files say now, without a pause. Throws CONFIG, with nothing changed. */
  async #goOn(served: Entry, credentials: ZoneCredentials): Promise<ReloadedZoneFact> {
    const { config, manifest, secrets } = credentials;
    const { name: zone } = config;
    const { condition } = served;
    if (condition.kind !== "serving") throw new TypeError("a zone that does not serve");
    const keysPrint = keysPrintOf(credentials);
    const isSame = served.keysPrint === keysPrint;
    if (!isSame) await condition.provided.zone.useKeys({ manifest, keys: secrets });
    const next = { ...served, config, keysPrint, condition: { ...condition, problem: undefined } };
    this.#entries.set(zone, next);
    return { zone, outcome: isSame ? "kept" : "changed" };
  }

  async #open(credentials: ZoneCredentials, print: string): Promise<void> {
    const { config } = credentials;
    const scope = createScope();
    try {
      const onStoreFailed = this.#storeFailed.bind(this);
      const opened = await openZone(scope, { ...this.#options, onStoreFailed }, credentials);
      await this.#options.fence(opened.provided);
      const condition = { kind: "serving", problem: undefined, ...opened } as const;
      const keysPrint = keysPrintOf(credentials);
      this.#entries.set(config.name, { config, condition, print, keysPrint, scope });
      this.#options.onServe(opened.provided);
    } catch (error) {
      await scope.close();
      throw error;
    }
  }

  async #close(name: string): Promise<void> {
    const entry = this.#entries.get(name);
    this.#entries.delete(name);
    if (entry?.condition.kind === "serving") this.#options.onWithdraw(name);
    await entry?.scope.close();
  }

  /** Reads go on, and writes fail with STORE, until the disk takes them again. */
  #storeFailed(zone: ZoneName, error: DiscoveryError): void {
    this.#options.logger.error("store failed", { zone, error });
    const entry = this.#entries.get(zone);
    // One that is being opened fails by itself and is tried again like any other.
    if (entry?.condition.kind !== "serving") return;
    this.#entries.set(zone, { ...entry, condition: { ...entry.condition, problem: error } });
    this.#mendLater(zone);
  }

  #mendLater(zone: ZoneName): void {
    if (this.#closed) return;
    this.#mending.get(zone)?.cancel();
    const timer = this.#options.clock.schedule(mendMs, () => void this.#mend(zone));
    this.#mending.set(zone, timer);
  }

  /** Opens the zone anew, which takes a moment, and only when it can be expected to open. */
  #mend(zone: ZoneName): Promise<void> {
    return this.#exclusive(async () => {
      this.#mending.delete(zone);
      const entry = this.#entries.get(zone);
      if (this.#closed || entry === undefined) return;
      const { logger, stateDirectory } = this.#options;
      if (!(await takesWrites(join(stateDirectory, "zones", zone)))) {
        this.#mendLater(zone);
        return;
      }
      await this.#close(zone);
      const { outcome } = await this.#settle(entry.config);
      if (outcome === "opened") logger.info("store mended", { zone });
      this.#options.onChange();
    });
  }

  /** Gives how many zones have ended here because they go on elsewhere. */
  async #fenceAll(): Promise<number> {
    let ended = 0;
    for (const [zone, entry] of [...this.#entries]) {
      if (entry.condition.kind !== "serving") continue;
      try {
        await this.#options.fence(entry.condition.provided);
      } catch (cause) {
        const error = asDiscoveryError(cause);
        this.#options.logger.error("zone failed", { zone, error });
        await this.#close(zone);
        this.#entries.set(zone, failedEntry(entry.config, error));
        ended += 1;
      }
    }
    return ended;
  }

  #retryLater(): void {
    this.#timer?.cancel();
    if (this.#closed) return;
    this.#timer = this.#options.clock.schedule(retryMs, () => void this.#retry());
  }

  #retry(): Promise<void> {
    return this.#exclusive(async () => {
      const failed = [...this.#entries.values()].filter((one) => one.condition.kind === "failed");
      for (const { config } of failed) if (!this.#closed) await this.#settle(config);
      const fenced = this.#closed ? 0 : await this.#fenceAll();
      if (failed.length + fenced > 0) this.#options.onChange();
      this.#retryLater();
    });
  }
}

function failedEntry(config: ZoneConfig, error: DiscoveryError): Entry {
  const condition = { kind: "failed", error } as const;
  return { config, condition, print: "", keysPrint: "", scope: createScope() };
}

/** What a zone has to be opened anew for: all but the files that it can change to while it serves. */
function printOf(config: ZoneConfig): string {
  const ownFiles = { manifestFile: "", zoneKeyFile: "", nextZoneKeyFile: "", hpkeKeyFiles: "" };
  const voprfFiles = { voprfKeyFile: "", nextVoprfKeyFile: "" };
  return JSON.stringify({ ...config, ...ownFiles, ...voprfFiles, replication: "" });
}

function keysPrintOf({ manifestSha256, secrets, voprfPublicKeys }: ZoneCredentials): string {
  const { signer, nextSigner = signer, hpkeSecretKeys = [] } = secrets;
  const zoneKeys = [signer.publicKey, nextSigner.publicKey];
  const hpkeKeys = hpkeSecretKeys.map(hpkePublicKeyOf);
  return [manifestSha256, ...zoneKeys, ...voprfPublicKeys, ...hpkeKeys].map(toHex).join(" ");
}

/** What a zone's files provoke is its operator's to mend, whatever it is: it must not end the process. */
function asDiscoveryError(error: unknown): DiscoveryError {
  if (error instanceof DiscoveryError) return error;
  return new DiscoveryError("INTERNAL", "the zone could not be opened", { cause: error });
}
