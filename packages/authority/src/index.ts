// Mapping zones
export { MappingZone, openMappingZone } from "./mapping/mapping-zone.js";
export type {
  MappingZoneOptions,
  RegistrationStatus,
  SlotLookup,
  SlotSubmission,
} from "./mapping/mapping-zone.js";
export type { LoadedSlot } from "./mapping/load-slots.js";
export type { ZoneSecrets } from "./mapping/zone-keys.js";
