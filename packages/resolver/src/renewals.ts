// Resolutions in the background, owned by the resolver and not by a caller: of answers that have expired while
// callers are given the old one (RFC 8767), and of answers much asked for that are about to expire (prefetch).
// One at a time for each key, a bounded number in all, each under a budget of its own.

import { setMaxListeners } from "node:events";
import { limits, type Authority, type Csi } from "@whither/protocol";
import type { AnswerForm } from "./answer.js";
import { Trace } from "./query.js";
import { renew, type Renewal, type RenewalSource, type ResolutionParts } from "./resolution.js";

export class Renewals implements RenewalSource {
  readonly #parts: ResolutionParts;
  readonly #controller = new AbortController();
  readonly #running = new Map<string, Renewal>();
  #prefetches = 0;

  constructor(parts: ResolutionParts) {
    this.#parts = parts;
    setMaxListeners(0, this.#controller.signal); // every renewal listens
  }

  /** Joins the renewal of a contact or begins one; undefined when too many are under way, or at the end. */
  join<F extends AnswerForm>(form: F, csi: Csi): Renewal<F> | undefined {
    return this.#begin(form, csi, { prefetch: false });
  }

  /** Asks for the answer's successor while it is still good. Nobody waits for it and nobody hears of its end. */
  prefetch(form: AnswerForm, csi: Csi): void {
    if (this.#prefetches >= limits.prefetchesMax) return;
    const started = this.#begin(form, csi, { prefetch: true });
    if (started === undefined) return;
    this.#prefetches += 1;
    const end = (): void => {
      this.#prefetches -= 1;
    };
    started.result.then(end, end);
  }

  /** Ends what is under way. */
  async close(): Promise<void> {
    this.#controller.abort();
    await Promise.allSettled([...this.#running.values()].map(({ result }) => result));
  }

  #begin<F extends AnswerForm>(
    form: F,
    csi: Csi,
    { prefetch }: { readonly prefetch: boolean },
  ): Renewal<F> | undefined {
    const { signal } = this.#controller;
    const key = `${form} ${csi}`;
    const running = this.#running.get(key);
    if (running !== undefined) return running as unknown as Renewal<F>; // the key names the form
    if (signal.aborted || this.#running.size >= limits.renewalsMax) return undefined;
    const authorities = new Map<Csi, readonly Authority[]>();
    const trace = new Trace();
    const result = renew<F>(this.#parts, {
      csi,
      form,
      options: { signal },
      patient: false,
      trace,
      renewal: prefetch ? "prefetch" : "stale",
      onDelegation: (whose, delegation) => void authorities.set(whose, delegation.authorities),
    });
    const renewal: Renewal<F> = { result, trace, authorities: (whose) => authorities.get(whose) };
    this.#running.set(key, renewal); // the key names the form
    const end = (): void => void this.#running.delete(key);
    result.then(end, end);
    return renewal;
  }
}
