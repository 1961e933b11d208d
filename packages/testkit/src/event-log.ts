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

export class EventLog implements Logger {
  readonly events: LoggedEvent[] = [];

  debug(event: string, fields: LogFields = {}): void {
    this.events.push({ level: "debug", event, fields });
  }
  info(event: string, fields: LogFields = {}): void {
    this.events.push({ level: "info", event, fields });
  }
  warn(event: string, fields: LogFields = {}): void {
    this.events.push({ level: "warn", event, fields });
  }
  error(event: string, fields: LogFields = {}): void {
    this.events.push({ level: "error", event, fields });
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
    const from = this.events.length;
    for (let turn = 0; turn < turnsMax; turn += 1) {
      const found = this.events.slice(from).find(({ event }) => names.includes(event));
      if (found !== undefined) return found;
      await clock.advance(0);
    }
    throw new Error(`none of these events came: ${names.join(", ")}`);
  }
}
