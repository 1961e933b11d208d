// Opens a mapping zone: keys against manifest, store against head, then the writer. Its parts know their
// own failures; here is only the order.

import { silentLogger } from "@whither/runtime";
import { openJournal } from "@whither/store";
import type { MappingZone, MappingZoneOptions } from "./mapping-zone.js";
import { ServedZone } from "./served-zone.js";
import { makeZoneKeys } from "./zone-keys.js";
import { readStoredZone } from "./zone-start.js";
import { journalPrefix } from "./zone-table.js";
import { ZoneWriter } from "./zone-writer.js";

const bucketCacheBytesDefault = 8 * 1024 * 1024;

/** Opens a zone on its store. Throws CONFIG where keys and manifest do not fit, STORE_CORRUPT. */
export async function openMappingZone(options: MappingZoneOptions): Promise<MappingZone> {
  const { store, zone, clock, logger = silentLogger, epoch = 1 } = options;
  const { bucketCacheBytes = bucketCacheBytesDefault } = options;
  const nowSeconds = clock.nowSeconds();
  const { manifest, keys: secrets } = options;
  const keys = makeZoneKeys({ zone, manifest, secrets, nowSeconds });
  const journal = await openJournal({ store, prefix: journalPrefix });
  const stored = await readStoredZone({ store, zone, kid: keys.kid, clock });
  const { pending, nextSequence } = stored;
  const writer = await ZoneWriter.open(
    { store, journal, keys, clock, logger, epoch, pending, bucketCacheBytes },
    stored,
  );
  return new ServedZone({ options, keys, writer, pending, nextSequence });
}
