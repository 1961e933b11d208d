// The watch of a replica on the server it follows: one at a time. What is pushed is not believed here.

import { isDiscoveryError, type SignedObject, type ZoneName } from "@whither/protocol";
import { signedObjectFromWire, type ZoneWatchResponse } from "@whither/wire";
import type { FollowedServer, PrimaryLink } from "./primary-link.js";

export interface PrimaryWatchOptions {
  readonly link: PrimaryLink;
  readonly zone: ZoneName;
  /** A signed head, unverified. */
  readonly onPush: (pushed: SignedObject) => void;
  /** Nothing is pushed any more. */
  readonly onEnd: () => void;
}

interface Watch {
  readonly server: FollowedServer;
  readonly controller: AbortController;
  readonly over: Promise<void>;
  isHeard: boolean;
}

export class PrimaryWatch implements AsyncDisposable {
  readonly #options: PrimaryWatchOptions;
  #watch: Watch | undefined;

  constructor(options: PrimaryWatchOptions) {
    this.#options = options;
  }

  /** Whether a server has said that it will push. */
  get isStanding(): boolean {
    return this.#watch?.isHeard === true;
  }

  /** From now on on this server. */
  on(server: FollowedServer): void {
    const before = this.#watch;
    if (before !== undefined && isSame(before.server, server)) return;
    before?.controller.abort();
    const controller = new AbortController();
    const over = Promise.resolve().then(() => this.#listen(watch));
    const watch: Watch = { server, controller, over, isHeard: false };
    this.#watch = watch;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const watch = this.#watch;
    this.#watch = undefined;
    watch?.controller.abort();
    await watch?.over;
  }

  async #listen(watch: Watch): Promise<void> {
    const { link, zone } = this.#options;
    const { signal } = watch.controller;
    try {
      for await (const message of link.watch(watch.server, { zone, signal })) {
        watch.isHeard = true;
        this.#hear(message);
      }
    } catch (error) {
      if (!isDiscoveryError(error)) throw error;
    }
    if (this.#watch !== watch) return;
    this.#watch = undefined;
    this.#options.onEnd();
  }

  #hear({ head }: Pick<ZoneWatchResponse, "head">): void {
    if (head === undefined) return; // it only says that it is there
    this.#options.onPush(signedObjectFromWire(head));
  }
}

function isSame(one: FollowedServer, other: FollowedServer): boolean {
  return one.host === other.host && one.port === other.port;
}
