// One run of `whither`: its words, its surroundings, and what tests hand in instead of the network.

import type { OpenChannel } from "@whither/directory";
import type { Resolver } from "@whither/resolver";
import type { Clock } from "@whither/runtime";
import type { ClientConfig } from "./client-config.js";
import type { Fetch } from "./setup/anchors-source.js";
import type { Terminal } from "./terminal.js";

/** The part of a resolver that `whither` uses; tests hand in canned answers. */
export type AskedResolver = Pick<Resolver, "lookup" | "lookupAll" | "close">;

export type OpenResolver = (options: {
  readonly config: ClientConfig;
  readonly mirror: boolean;
}) => Promise<AskedResolver>;

export interface WhitherRun {
  readonly args: readonly string[];
  readonly terminal: Terminal;
  readonly clock?: Clock;
  /** Tests hand in canned answers. */
  readonly openResolver?: OpenResolver;
  /** How setup reaches a directory and downloads anchors; tests hand in their own. */
  readonly openChannel?: OpenChannel;
  readonly fetch?: Fetch;
}
