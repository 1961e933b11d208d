// VOPRF outputs of contacts: held, or evaluated in batches on the identified stream (RFC 9497, mode 0x01;
// protocol.md section 5). The DP learns who asks and how many elements, and nothing about them.

import { joinElements, splitElements, utf8, wipe } from "@whither/crypto";
import { DiscoveryError, type Csi } from "@whither/protocol";
import type { Clock, VoprfEngine } from "@whither/runtime";
import { slotIndex, slotInput, slotSecret, type SlotSecret } from "@whither/zone";
import type { WorkKind } from "./budget.js";
import type { CacheUse } from "./cache-shares.js";
import { Coalescer } from "./coalescer.js";
import { asError } from "./failure.js";
import { fieldsOf, type KeptRow } from "./kept-caches.js";
import type { Peers, Server } from "./peers.js";
import { heardBy, mayPay, type ZoneQuery } from "./query.js";
import type { ServerChoice } from "./server-choice.js";
import { SegmentedCache } from "./segmented-cache.js";
import { askServers } from "./servers.js";
import { sharedFetch } from "./shared-fetch.js";
import type { ZoneFailures } from "./zone-failures.js";
import type { ZoneView } from "./zone-view.js";

/** Secret of whoever evaluated it: opens the contact's slot. */
export interface Evaluated {
  /** Ready for the slot's derivations; the VOPRF output itself is not kept. */
  readonly y: SlotSecret;
  /** 16 bytes. */
  readonly idx: Uint8Array;
}

export interface EvaluationsOptions {
  readonly peers: Peers;
  readonly choice: ServerChoice;
  readonly failures: ZoneFailures;
  readonly clock: Clock;
  /** For batches: worker threads. */
  readonly pool: VoprfEngine;
  /** For a few elements: no thread to wait for. */
  readonly inline: VoprfEngine;
  readonly cacheBytes: number;
}

/**
 * Elements of one Evaluate at most. Four batches in a row keep both ends computing at once, which one of
 * 512 would not; the proof they share costs as much as two elements.
 */
const elementsMax = 128;
/** Up to here the arithmetic stays on this thread: under 3 ms in all. */
const inlineElementsMax = 2;
/** What an evaluation may take at the server beside its way, in milliseconds an element. */
const workMsPerElement = 4;
/** Of `SlotSecret`, and of an idx. */
const secretBytes = 64;
const idxBytes = 16;
/** y, idx and the cache's own records, beside the key, as the heap has them (bench `memory`). */
const entryBytes = 680;

interface Batched {
  readonly evaluated: Evaluated;
  readonly elements: number;
  readonly server: Server;
  readonly rttMs: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

interface Waiting {
  readonly csi: Csi;
  readonly signal: AbortSignal;
  /** Takes units from this contact's budget; false when it holds none. */
  readonly pay: (kind: WorkKind, n: number) => boolean;
  resolve(batched: Batched): void;
  reject(error: Error): void;
}

interface Gathered {
  readonly view: ZoneView;
  readonly patient: boolean;
  readonly waiting: Waiting[];
}

export class Evaluations {
  readonly #options: EvaluationsOptions;
  readonly #held: SegmentedCache<Evaluated>;
  readonly #flights = new Coalescer<Batched>();
  #gathered = new Map<string, Gathered>();

  constructor(options: EvaluationsOptions) {
    this.#options = options;
    this.#held = new SegmentedCache({
      bytesMax: options.cacheBytes,
      bytesOf: (_evaluated, key) => key.length + entryBytes,
    });
  }

  get use(): CacheUse {
    return this.#held.use;
  }

  clear(): void {
    this.#held.clear();
  }

  /** Forgets a contact in every zone and under every key: the next lookup costs an evaluation each. */
  forget(csi: Csi): number {
    const keys = this.#held.keys().filter((key) => key.endsWith(` ${csi}`));
    return keys.filter((key) => this.#held.delete(key)).length;
  }

  /** For kept-caches.ts: key, y, idx. Both follow from the zone's key, which the name holds: they do not age. */
  *keep(): Generator<KeptRow> {
    for (const key of this.#held.keys()) {
      const evaluated = this.#held.peek(key);
      if (evaluated !== undefined) yield [utf8(key), evaluated.y.prk, evaluated.idx];
    }
  }

  /** Throws INVALID_DATA. */
  restore(row: KeptRow): void {
    const [key, prk, idx] = fieldsOf(row, 3);
    if (prk.length !== secretBytes || idx.length !== idxBytes) {
      throw new DiscoveryError("INVALID_DATA", "kept evaluation: of another length");
    }
    // Copied: a view would keep the whole file.
    const evaluated = { y: { prk: prk.slice() }, idx: idx.slice() };
    this.#held.set(new TextDecoder().decode(key), evaluated);
  }

  /** Nothing is told to anybody. */
  held(view: ZoneView, csi: Csi): Evaluated | undefined {
    return this.#held.get(heldKey(view, csi));
  }

  /** Without counting as a use. */
  peek(view: ZoneView, csi: Csi): Evaluated | undefined {
    return this.#held.peek(heldKey(view, csi));
  }

  /** Evaluates with whatever else is asked in the same turn. Throws BOGUS for a wrong proof. */
  async evaluate(view: ZoneView, query: ZoneQuery): Promise<Evaluated> {
    const { csi, patient, realm } = query;
    const key = heldKey(view, csi);
    const enter = (signal: AbortSignal): Promise<Batched> =>
      new Promise((resolve, reject) => {
        const waiting = { csi, signal, pay: mayPay(query), resolve, reject };
        this.#gather(view, waiting, { patient, realm });
      });
    const { value: batched, isOwn } = await this.#options.failures.step(
      `evaluate ${view.kidHex}`,
      query,
      () =>
        sharedFetch(query, {
          flights: this.#flights,
          key: `${key} ${query.realm}`,
          told: "blinded elements, who asks",
          fetch: enter,
        }),
    );
    const { evaluated, elements, server, rttMs } = batched;
    if (isOwn) query.trace.rpc(batched);
    query.trace.hop({
      prefix: query.prefix,
      ...heardBy(server, "identified"),
      told:
        elements === 1 ? "1 blinded element, who asks" : `${elements} blinded elements, who asks`,
      learnt: "where the slot would lie",
      serial: undefined,
      verdict: "verified",
      rttMs,
    });
    this.#held.set(key, evaluated);
    return evaluated;
  }

  #gather(
    view: ZoneView,
    waiting: Waiting,
    { patient, realm }: Pick<ZoneQuery, "patient" | "realm">,
  ): void {
    const key = `${view.zone} ${view.kidHex} ${view.publicKeyHex} ${patient} ${realm}`;
    if (this.#gathered.size === 0) setImmediate(() => this.#flush());
    const gathered = this.#gathered.get(key);
    if (gathered === undefined) this.#gathered.set(key, { view, patient, waiting: [waiting] });
    else gathered.waiting.push(waiting);
  }

  #flush(): void {
    const all = this.#gathered;
    this.#gathered = new Map();
    for (const { view, patient, waiting } of all.values()) {
      const present = waiting.filter(({ signal }) => !signal.aborted);
      const batches = Math.ceil(present.length / elementsMax);
      for (let i = 0; i < batches; i++) {
        const from = Math.floor((i * present.length) / batches);
        const to = Math.floor(((i + 1) * present.length) / batches);
        void this.#run(view, present.slice(from, to), patient);
      }
    }
  }

  /** Settles every waiter of the batch; never rejects. */
  async #run(view: ZoneView, batch: readonly Waiting[], patient: boolean): Promise<void> {
    const controller = new AbortController();
    let left = batch.length;
    const onLeave = (): void => {
      left -= 1;
      if (left === 0) controller.abort();
    };
    for (const { signal } of batch) signal.addEventListener("abort", onLeave, { once: true });
    try {
      const { signal } = controller;
      const done = await this.#evaluateBatch(view, batch, { signal, patient });
      batch.forEach((waiting, i) => {
        const batched = done[i];
        if (batched !== undefined) waiting.resolve(batched);
      });
    } catch (error) {
      for (const waiting of batch) waiting.reject(asError(error));
    } finally {
      for (const { signal } of batch) signal.removeEventListener("abort", onLeave);
    }
  }

  async #evaluateBatch(
    view: ZoneView,
    batch: readonly Waiting[],
    { signal, patient }: { readonly signal: AbortSignal; readonly patient: boolean },
  ): Promise<readonly Batched[]> {
    const { peers, choice, clock } = this.#options;
    const engine = batch.length <= inlineElementsMax ? this.#options.inline : this.#options.pool;
    const inputs = batch.map(({ csi }) => slotInput(csi));
    const { blinds, blinded } = await engine.blind(inputs, { signal });
    const { zone, kid, publicKey } = view;
    try {
      return await askServers({
        choice,
        clock,
        zone,
        servers: view.identified,
        signal,
        patient,
        more: () => payTogether(batch, "rpc"),
        workMs: batch.length * workMsPerElement,
        ask: async (server, options) => {
          const request = { zone, kid, blinded: joinElements(blinded) };
          const { response, rttMs, ...bytes } = await peers.evaluate(server, request, options);
          choice.answered(server.key, rttMs);
          const bytesIn = Math.ceil(bytes.bytesIn / batch.length);
          if (!payTogether(batch, "bytes", bytesIn)) {
            throw new DiscoveryError("BUDGET", "query: no bytes left");
          }
          const { proof } = response;
          const evaluated = splitElements(response.evaluated);
          const outputs = await engine.finalize(
            { publicKey, inputs, blinds, blinded, evaluated, proof },
            options,
          );
          const share = {
            elements: batch.length,
            server,
            rttMs,
            bytesIn,
            bytesOut: Math.ceil(bytes.bytesOut / batch.length),
          };
          return outputs.map((output) => {
            const y = slotSecret(output);
            return { ...share, evaluated: { y, idx: slotIndex({ y, zone, kid }) } };
          });
        },
      });
    } finally {
      blinds.forEach(wipe);
    }
  }
}

/**
 * What is done for all is charged to each: one whose budget is used up gets no more of it for the others' sake, and
 * leaves. False when nobody can pay.
 */
function payTogether(batch: readonly Waiting[], kind: WorkKind, n = 1): boolean {
  const out = batch.filter((waiting) => !waiting.pay(kind, n));
  if (out.length === batch.length) return false;
  for (const waiting of out) {
    waiting.reject(new DiscoveryError("BUDGET", `query: no ${kind} left`));
  }
  return true;
}

function heldKey(view: ZoneView, csi: Csi): string {
  // By the key itself: its id is the zone's to choose, and y and idx follow from both.
  return `${view.zone} ${view.kidHex} ${view.publicKeyHex} ${csi}`;
}
