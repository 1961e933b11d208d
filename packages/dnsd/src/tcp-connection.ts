// One connection of DNS over TCP (RFC 7766): messages behind a length of two octets, pipelined, answered in any order.
// Bounded in queries under way, in octets that wait for a slow reader, and in time.

import type { Duplex } from "node:stream";
import type { Clock, Scheduled } from "@whither/runtime";
import type { Front } from "./front.js";

/** RFC 7766 section 6.2.3: seconds rather than minutes. */
export const idleMs = 10_000;
export const pipelinedMax = 64;
/** Responses that a client does not read. */
export const unreadBytesMax = 256 * 1024;
const lengthBytes = 2;

export class TcpConnection {
  readonly #stream: Duplex;
  readonly #front: Pick<Front, "handle">;
  readonly #client: string;
  readonly #clock: Clock;
  #received: Buffer = Buffer.alloc(0);
  #underWay = 0;
  /** We take no more, or the client sends no more. */
  #isEnding = false;
  #hasClientEnded = false;
  #idle: Scheduled | undefined;

  constructor(
    stream: Duplex,
    of: { readonly front: Pick<Front, "handle">; readonly client: string; readonly clock: Clock },
  ) {
    this.#stream = stream;
    this.#front = of.front;
    this.#client = of.client;
    this.#clock = of.clock;
    stream.on("data", (chunk: Buffer) => {
      // A message has at most 65,537 octets with its length, and is taken out as soon as it is whole.
      this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
      this.#take();
    });
    stream.on("end", () => {
      this.#hasClientEnded = true;
      this.#endIfDone();
    });
    stream.on("error", () => stream.destroy());
    stream.once("close", () => this.#idle?.cancel());
    this.#watch();
  }

  /** No further query; what is under way is still answered. */
  end(): void {
    this.#isEnding = true;
    this.#endIfDone();
  }

  destroy(): void {
    this.#stream.destroy();
  }

  #take(): void {
    // What comes behind a query that ended the connection is not looked at.
    while (!this.#isEnding && !this.#stream.destroyed && this.#underWay < pipelinedMax) {
      const message = this.#next();
      if (message === undefined) break;
      this.#watch();
      this.#answer(message);
    }
    if (this.#underWay >= pipelinedMax) this.#stream.pause();
  }

  /** A client that has closed its half still gets what it asked for. */
  #endIfDone(): void {
    if ((this.#isEnding || this.#hasClientEnded) && this.#underWay === 0) this.#stream.end();
  }

  #next(): Buffer | undefined {
    if (this.#received.length < lengthBytes) return undefined;
    const end = lengthBytes + this.#received.readUInt16BE(0);
    if (this.#received.length < end) return undefined;
    const message = this.#received.subarray(lengthBytes, end);
    this.#received = this.#received.subarray(end);
    return message;
  }

  #answer(message: Buffer): void {
    const handled = this.#front.handle(message, { client: this.#client, transport: "tcp" });
    // Over TCP the sender is who it says: what gets no response there gets no further hearing.
    if (handled === undefined) this.#stream.destroy();
    else if (handled instanceof Promise) {
      this.#underWay += 1;
      void handled.then((response) => {
        this.#underWay -= 1;
        this.#send(response);
        if (this.#stream.isPaused()) this.#stream.resume();
        this.#take();
        this.#endIfDone();
      });
    } else this.#send(handled);
  }

  #send(response: Buffer): void {
    if (this.#stream.destroyed) return;
    const framed = Buffer.allocUnsafe(lengthBytes + response.length);
    framed.writeUInt16BE(response.length, 0);
    response.copy(framed, lengthBytes);
    this.#stream.write(framed);
    if (this.#stream.writableLength > unreadBytesMax) this.#stream.destroy();
  }

  /** Neither a client that sends nothing nor one that sends a query octet by octet keeps a place. */
  #watch(): void {
    this.#idle?.cancel();
    this.#idle = this.#clock.schedule(idleMs, () => {
      if (this.#underWay > 0) this.#watch();
      else this.#stream.destroy();
    });
  }
}
