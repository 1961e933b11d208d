// A TCP link that fails on demand, in front of a real daemon. It carries octets and knows nothing of TLS, as a router
// does: what is cut, held or slowed here, both ends see as they would see it on a bad network.

import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import type { Clock } from "@whither/runtime";

/** What one direction of a link does to the octets it carries. */
export type LinkFault =
  /** Every chunk waits so long before it goes on. */
  | { readonly kind: "delay"; readonly ms: number }
  | { readonly kind: "bandwidth"; readonly bytesPerSecond: number }
  /** One octet at a time, each in a segment of its own, with this pause after it. */
  | { readonly kind: "drip"; readonly everyMs: number }
  /** Nothing passes and nothing is lost: a partition, or an end that does not read. Whatever waits goes on at `heal`. */
  | { readonly kind: "hold" }
  /** `hold`, once the direction has carried so many octets. */
  | { readonly kind: "stall"; readonly afterBytes: number }
  /** Half-open: read, acknowledged and lost. Such a connection is of no use later and is reset at `heal`. */
  | { readonly kind: "swallow" }
  /** The connection ends once the direction has carried so many octets. */
  | { readonly kind: "cut"; readonly afterBytes: number; readonly how: "fin" | "reset" };

/** As the client of the link sees it. */
export type Direction = "toServer" | "toClient";

export interface FaultProxyOptions {
  readonly upstreamPort: number;
  /** Where clients find it; one that the system chooses unless told. */
  readonly port?: number;
  /** For delays and rates. */
  readonly clock: Clock;
}

export class FaultProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #options: FaultProxyOptions;
  readonly #connections: FaultyConnection[] = [];
  readonly #faults = new Map<Direction, LinkFault>();
  readonly #waiters = new Set<() => void>();

  private constructor(options: FaultProxyOptions) {
    this.#options = options;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (client) =>
      this.#accept(client),
    );
  }

  static async start(options: FaultProxyOptions): Promise<FaultProxy> {
    const proxy = new FaultProxy(options);
    proxy.#server.listen(options.port ?? 0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port; // it listens on TCP
  }

  /** All that were made, in order; those that have ended too. */
  get connections(): readonly FaultyConnection[] {
    return this.#connections;
  }

  get open(): readonly FaultyConnection[] {
    return this.#connections.filter(({ isOpen }) => isOpen);
  }

  /** Lays a fault on the connections there are and on those to come; on both directions unless told. */
  fault(fault: LinkFault, direction?: Direction): void {
    for (const one of directionsOf(direction)) {
      this.#faults.set(one, fault);
      for (const connection of this.open) connection.fault(fault, one);
    }
  }

  /** Whether octets stand before a fault that lets nothing pass. */
  get isWaiting(): boolean {
    return this.open.some(({ isWaiting }) => isWaiting);
  }

  /** The link is whole again. */
  heal(): void {
    this.#faults.clear();
    for (const connection of this.open) connection.heal();
  }

  /** Ends every connection now. */
  cut(how: "fin" | "reset"): void {
    for (const connection of this.open) connection.cut(how);
  }

  /** Resolves once it holds; looked at whenever something passes or a connection begins or ends. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => void this.#waiters.add(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.cut("reset");
    await closed;
  }

  #accept(client: Socket): void {
    const server = connect({
      port: this.#options.upstreamPort,
      host: "127.0.0.1",
      allowHalfOpen: true,
      noDelay: true,
    });
    const { clock } = this.#options;
    const onEvent = (): void => {
      for (const wake of this.#waiters) wake();
      this.#waiters.clear();
    };
    const connection = new FaultyConnection({ client, server, clock, onEvent });
    for (const [direction, fault] of this.#faults) connection.fault(fault, direction);
    this.#connections.push(connection);
    connection.start();
    onEvent();
  }
}

/** One client's connection and the one to the daemon that belongs to it. */
export class FaultyConnection {
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #clock: Clock;
  readonly #onEvent: () => void;
  readonly #faults = new Map<Direction, LinkFault>();
  readonly #carried = { toServer: 0, toClient: 0 };
  /** Aborted whenever the faults change: what waits looks again. */
  #change = new AbortController();
  #open = 2;
  #hasLost = false;
  #waiting = 0;

  constructor(of: {
    readonly client: Socket;
    readonly server: Socket;
    readonly clock: Clock;
    readonly onEvent: () => void;
  }) {
    this.#client = of.client;
    this.#server = of.server;
    this.#clock = of.clock;
    this.#onEvent = of.onEvent;
    for (const socket of [of.client, of.server]) {
      socket.on("error", () => this.cut("reset")); // of one end is the end of both
      socket.on("close", () => {
        this.#open -= 1;
        this.#onEvent();
      });
    }
  }

  /** Octets passed on so far. */
  get carried(): Readonly<Record<Direction, number>> {
    return this.#carried;
  }

  get isOpen(): boolean {
    return this.#open > 0;
  }

  /** Whether octets stand before a fault that lets nothing pass. */
  get isWaiting(): boolean {
    return this.#waiting > 0;
  }

  /** Whether octets were swallowed. */
  get hasLost(): boolean {
    return this.#hasLost;
  }

  start(): void {
    void this.#pump("toServer", this.#client, this.#server);
    void this.#pump("toClient", this.#server, this.#client);
  }

  fault(fault: LinkFault, direction?: Direction): void {
    for (const one of directionsOf(direction)) this.#faults.set(one, fault);
    this.#changed();
  }

  heal(): void {
    this.#faults.clear();
    if (this.#hasLost) this.cut("reset");
    else this.#changed();
  }

  cut(how: "fin" | "reset"): void {
    for (const socket of [this.#client, this.#server]) {
      if (how === "fin") socket.destroy();
      else socket.resetAndDestroy();
    }
    this.#changed();
  }

  #changed(): void {
    const before = this.#change;
    this.#change = new AbortController();
    before.abort();
  }

  async #pump(direction: Direction, from: Socket, to: Socket): Promise<void> {
    try {
      for await (const chunk of from.iterator({ destroyOnReturn: false })) {
        // A socket without an encoding gives Buffers.
        await this.#pass({ direction, from, to, octets: chunk as Buffer });
      }
      while (this.#faults.get(direction)?.kind === "hold") await this.#pause();
      to.end();
    } catch {
      this.cut("reset"); // a socket that failed has said so to both ends
    }
  }

  /** One chunk, under the fault of the moment; the rest of it under the next one. */
  async #pass(of: {
    readonly direction: Direction;
    readonly from: Socket;
    readonly to: Socket;
    readonly octets: Buffer;
  }): Promise<void> {
    const { direction, from, to } = of;
    let rest = of.octets;
    while (rest.length > 0 && !from.destroyed && !to.destroyed) {
      const fault = this.#faults.get(direction);
      const carried = this.#carried[direction];
      const step = stepOf({ fault, length: rest.length, carried });
      if (step.cut !== undefined && step.bytes === 0) {
        this.cut(step.cut);
        return;
      }
      if (step.beforeMs > 0) await this.#pause(step.beforeMs);
      if (this.#faults.get(direction) !== fault) continue; // it changed meanwhile
      if (step.bytes === 0) {
        this.#waiting += 1;
        this.#onEvent();
        await this.#pause();
        this.#waiting -= 1;
        continue;
      }
      if (step.isLost) this.#hasLost = true;
      else await write(to, rest.subarray(0, step.bytes));
      rest = rest.subarray(step.bytes);
      this.#carried[direction] += step.isLost ? 0 : step.bytes;
      this.#onEvent();
      if (step.afterMs > 0) await this.#pause(step.afterMs);
    }
  }

  /** Until the faults change, or so long. */
  async #pause(ms?: number): Promise<void> {
    const { signal } = this.#change;
    if (this.#client.destroyed && this.#server.destroyed) return;
    if (ms !== undefined) await this.#clock.sleep(ms, { signal }).catch(() => undefined);
    else await once(signal, "abort");
  }
}

interface Step {
  /** How many octets go now; none: wait for a change. */
  readonly bytes: number;
  readonly beforeMs: number;
  readonly afterMs: number;
  readonly isLost: boolean;
  readonly cut?: "fin" | "reset";
}

function stepOf(of: {
  readonly fault: LinkFault | undefined;
  readonly length: number;
  readonly carried: number;
}): Step {
  const { fault, length, carried } = of;
  const step: Step = { bytes: length, beforeMs: 0, afterMs: 0, isLost: false };
  switch (fault?.kind) {
    case undefined:
      return step;
    case "delay":
      return { ...step, beforeMs: fault.ms };
    case "bandwidth": {
      // A tenth of a second's worth at a time: a rate, not bursts of a second.
      const bytes = Math.min(length, Math.max(1, Math.floor(fault.bytesPerSecond / 10)));
      return { ...step, bytes, afterMs: (bytes * 1_000) / fault.bytesPerSecond };
    }
    case "drip":
      return { ...step, bytes: 1, afterMs: fault.everyMs };
    case "hold":
      return { ...step, bytes: 0 };
    case "stall":
      return { ...step, bytes: Math.min(length, Math.max(0, fault.afterBytes - carried)) };
    case "swallow":
      return { ...step, isLost: true };
    case "cut": {
      const bytes = Math.min(length, Math.max(0, fault.afterBytes - carried));
      return { ...step, bytes, cut: fault.how };
    }
  }
}

function write(socket: Socket, octets: Buffer): Promise<void> {
  return new Promise((resolve, reject) =>
    socket.write(octets, (error) => (error ? reject(error) : resolve())),
  );
}

function directionsOf(direction: Direction | undefined): readonly Direction[] {
  return direction === undefined ? ["toServer", "toClient"] : [direction];
}
