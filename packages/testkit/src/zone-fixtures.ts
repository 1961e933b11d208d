// A mapping zone in memory with the parties of registration-fixtures, for tests of what is built on one:
// services, resolver, failures. The zone is the real one; only clock, randomness and disk are not.

import {
  openMappingZone,
  type MappingZone,
  type PublishedMark,
  type Vault,
  type ZoneSecrets,
} from "@whither/authority";
import { loadSodiumVoprf, type Voprf } from "@whither/crypto/node";
import type { SignedObject } from "@whither/protocol";
import { createInlineVoprf, type Clock, type Logger, type Random } from "@whither/runtime";
import { createMemoryStore, type Store } from "@whither/store";
import { encodeManifest } from "@whither/wire";
import type { RegistrationParties } from "./registration-fixtures.js";

export interface TestZoneOptions {
  readonly parties: RegistrationParties;
  readonly clock: Clock;
  readonly random: Random;
  /** A new one in memory unless told. */
  readonly store?: Store;
  readonly vault?: Vault;
  readonly logger?: Logger;
  readonly epoch?: number;
  /** Another manifest than the parties'. */
  readonly manifest?: SignedObject;
  /** Other keys than the parties'. */
  readonly keys?: ZoneSecrets;
  readonly followsDirectory?: boolean;
  readonly published?: PublishedMark;
}

/** Opens the parties' zone; evaluations run on the caller's thread. */
export async function openTestZone(options: TestZoneOptions): Promise<MappingZone> {
  const { parties, clock, random, logger, epoch, followsDirectory } = options;
  const voprf = await testVoprf();
  return openMappingZone({
    store: options.store ?? createMemoryStore(),
    zone: parties.zone,
    manifest: options.manifest ?? { payload: encodeManifest(parties.manifest), signatures: [] },
    keys: options.keys ?? {
      signer: parties.zoneSigner,
      voprfSecretKey: parties.voprfKeys.secretKey,
    },
    voprf: createInlineVoprf(voprf, random),
    clock,
    random,
    vault: options.vault,
    ...(logger === undefined ? {} : { logger }),
    ...(epoch === undefined ? {} : { epoch }),
    published: options.published,
    ...(followsDirectory === undefined ? {} : { followsDirectory }),
  });
}

let loading: Promise<Voprf> | undefined;

function testVoprf(): Promise<Voprf> {
  return (loading ??= loadSodiumVoprf());
}
