// A logger that keeps events instead of writing them, so that a test can wait for one and look at it.

import type { LogFields, Logger } from "@whither/runtime";
import type { SimulatedClock } from "./clock.js";

export interface LoggedEvent {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly event: string;
  readonly fields: LogFields;
}

/** Turns of the event loop to wait for an event before the test is told that it does not come. */
const turnsMax = 5_000;

/** A simulation of weeks logs for ever; a test looks at what has just happened. */
const eventsMax = 2_048;

export class EventLog implements Logger {
  /** The newest, at least `eventsMax` of them. */
  readonly events: LoggedEvent[] = [];
  #dropped = 0;

  debug(event: string, fields: LogFields = {}): void {
    this.#keep({ level: "debug", event, fields });
  }
  info(event: string, fields: LogFields = {}): void {
    this.#keep({ level: "info", event, fields });
  }
  warn(event: string, fields: LogFields = {}): void {
    this.#keep({ level: "warn", event, fields });
  }
  error(event: string, fields: LogFields = {}): void {
    this.#keep({ level: "error", event, fields });
  }
  child(): Logger {
    return this;
  }

  /** The last event of that name. */
  last(event: string): LoggedEvent | undefined {
    return this.events.findLast((one) => one.event === event);
  }

  /** Waits, without moving time, until one of these events comes that was not there before the call. */
  async settled(clock: SimulatedClock, names: readonly string[]): Promise<LoggedEvent> {
    const from = this.#dropped + this.events.length;
    for (let turn = 0; turn < turnsMax; turn += 1) {
      const found = this.events
        .slice(Math.max(0, from - this.#dropped))
        .find(({ event }) => names.includes(event));
      if (found !== undefined) return found;
      await clock.advance(0);
    }
    throw new Error(`none of these events came: ${names.join(", ")}`);
  }

  #keep(event: LoggedEvent): void {
    this.events.push(event);
    if (this.events.length >= 2 * eventsMax)
      this.#dropped += this.events.splice(0, eventsMax).length;
  }
}
