// Opens what is published: the operator's directory as it is, or with withdrawals where those are configured.

import { createServedFiles, rootReader } from "@whither/authority";
import type { Clock, Logger } from "@whither/runtime";
import type { Anchors } from "@whither/zone";
import type { RootdConfig } from "./config.js";
import { loadDirectory, readOnlineKey } from "./load-directory.js";
import { openPublication, type Publication } from "./publication.js";
import { openWithdrawingPublication } from "./withdrawing-publication.js";
import { createWithdrawals, withdrawalRules, type Withdrawals } from "./withdrawals.js";

export interface Publishing {
  readonly publication: Publication;
  /** Undefined: nothing is withdrawn. */
  readonly withdrawals: Withdrawals | undefined;
}

/** Throws CONFIG, what verifying and signing throw, STORE, STORE_CORRUPT. */
export async function startPublishing(options: {
  /** In force. */
  readonly config: () => RootdConfig;
  readonly anchors: Anchors;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Another directory is served, for withdrawals. */
  readonly onPublished: () => void;
}): Promise<Publishing> {
  const { anchors, clock, logger, onPublished } = options;
  const config = options.config();
  const { stateDirectory, withdrawal } = config;
  const given = await loadDirectory({ ...config, clock });
  const files = createServedFiles({ stateDirectory, reader: rootReader(anchors), logger });
  if (withdrawal === undefined || stateDirectory === undefined) {
    return { publication: await openPublication({ given, files }), withdrawals: undefined };
  }
  const signer = await readOnlineKey(withdrawal.zskKeyFile);
  const opening = { given, files, stateDirectory, anchors, signer, clock, logger };
  const publication = await openWithdrawingPublication(opening);
  const rules = () => {
    const { health, withdrawal: now = withdrawal } = options.config();
    return withdrawalRules(now, health);
  };
  const withdrawals = createWithdrawals({ publication, rules, clock, logger, onPublished });
  return { publication, withdrawals };
}
