// Which of a directory's servers is asked: the one that the user named, or the first of those a locator found
// that does not fail. Where a server was found makes it no more credible: what it says is verified all the same.

import { DiscoveryError } from "@whither/protocol";
import type { Clock } from "@whither/runtime";
import type { DirectoryLocator, DirectoryPlace, Located, LocateOptions } from "./follower.js";

export class DirectoryPlaces {
  readonly #locator: DirectoryLocator | undefined;
  readonly #clock: Clock;
  #located: Located | undefined;
  #at = 0;
  #isExhausted = false;

  constructor({
    from,
    clock,
  }: {
    readonly from: DirectoryPlace | DirectoryLocator;
    readonly clock: Clock;
  }) {
    this.#clock = clock;
    if ("locate" in from) this.#locator = from;
    else this.#located = { places: [from], untilMs: Infinity };
  }

  /** The server that is asked now; undefined before any was found. */
  get current(): DirectoryPlace | undefined {
    return this.#located?.places[this.#at];
  }

  /** Finds servers where none are known, or those known have ended. Throws as the locator. */
  async ready({ signal, onHop }: Omit<LocateOptions, "anew"> = {}): Promise<DirectoryPlace> {
    const known = this.current;
    const isFresh = this.#clock.monotonicMs() < (this.#located?.untilMs ?? -Infinity);
    if (known !== undefined && (this.#locator === undefined || (isFresh && !this.#isExhausted))) {
      return known;
    }
    if (this.#locator === undefined) throw new TypeError("a server or a locator");
    const found = await this.#locator.locate({ signal, onHop, anew: this.#isExhausted });
    if (found !== this.#located) this.#take(found);
    this.#isExhausted = false;
    return this.current ?? found.places[0];
  }

  /** The server failed: the next one is asked from now on, and new ones are looked for after the last. */
  moveOn(from: DirectoryPlace): void {
    // Somebody else's call may have moved on already.
    if (this.#locator === undefined || this.current !== from) return;
    this.#at += 1;
    if (this.#at < (this.#located?.places.length ?? 0)) return;
    this.#at = 0;
    this.#isExhausted = true;
  }

  /** Whoever answers stays the one that is asked while the list still names it. */
  #take(found: Located): void {
    const { current } = this;
    const same = found.places.findIndex((one) => isSamePlace(one, current));
    this.#at = this.#isExhausted ? 0 : Math.max(0, same);
    this.#located = found;
  }
}

function isSamePlace(a: DirectoryPlace, b: DirectoryPlace | undefined): boolean {
  return a.host === b?.host && a.port === b.port && a.serverName === b.serverName;
}

/** No server can be named: for locators that found nothing. */
export function noPlace(name: string, cause?: unknown): DiscoveryError {
  const options = cause === undefined ? { upstream: name } : { upstream: name, cause };
  return new DiscoveryError("UNREACHABLE", "no directory server was found", options);
}
