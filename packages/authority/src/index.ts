// Mapping zones
export { openMappingZone } from "./mapping/open-mapping-zone.js";
export type {
  ConfiguredKeys,
  HeldRegistration,
  ListedSlot,
  MappingZone,
  MappingZoneOptions,
  PublishedMark,
  RegistrationStatus,
  SlotLookup,
  SlotSubmission,
  ZoneRegistrations,
} from "./mapping/mapping-zone.js";
export { openedSlot } from "./mapping/opened-slot.js";
export type { OpenedSlot } from "./mapping/opened-slot.js";
export type { DirectoryNames, SuccessionStatus } from "./mapping/succession-status.js";
export type { LoadedSlot } from "./mapping/load-slots.js";
export { openVault } from "./mapping/vault.js";
export type { Vault, VaultOptions, VaultRow } from "./mapping/vault.js";
export { makeZoneKeys, parseManifestFile } from "./mapping/zone-keys.js";
export type { ZoneKeys, ZoneSecrets } from "./mapping/zone-keys.js";
export { passBackup } from "./backup/backup-file.js";
export { backupZone } from "./backup/backup-zone.js";
export type { ZoneStores } from "./backup/backup-zone.js";
export { restoreZone } from "./backup/restore-zone.js";
export type { RestoredZone, RestoreTarget } from "./backup/restore-zone.js";
export { createAdmission, defaultAdmissionLimits } from "./admission.js";
export type {
  Admission,
  AdmissionLimit,
  AdmissionLimits,
  AdmissionOptions,
  AdmittedClient,
} from "./admission.js";
export { createDiscoveryProvider } from "./discovery-provider.js";
export type {
  DiscoveryProvider,
  DiscoveryProviderOptions,
  ProvidedZone,
} from "./discovery-provider.js";
export { createDiscoveryService } from "./discovery-service.js";
export type { DiscoveryServiceOptions } from "./discovery-service.js";
export { openReplicaZone } from "./replica/open-replica-zone.js";
export { openPrimaryStore } from "./replica/replica-store.js";
export type { ReplicaDisk } from "./replica/replica-store.js";
export type { ReplicaStatus, ReplicaZone, ReplicaZoneOptions } from "./replica/replica-zone.js";
export type { NamedAuthority } from "./replica/known-manifests.js";
export type { ReplicaEvaluation, ReplicaSecret } from "./replica/evaluation-keys.js";
export { followZoneVault } from "./replica/vault-follower.js";
export { createReplicationService } from "./replica/replication-service.js";
export type { ReplicationPeer, ReplicationServiceOptions } from "./replica/replication-service.js";
export type { FollowedServer } from "./replica/primary-link.js";
export { requireNoLaterEpoch } from "./zone-fence.js";
export type { FenceOptions } from "./zone-fence.js";
export { createZoneService } from "./zone-service.js";
export type { ServedZones, ZoneServiceOptions } from "./zone-service.js";
export { createRegistrarService } from "./registrar-service.js";
export type { RegistrarOptions, RegistrarZone } from "./registrar-service.js";

export { inFile, loadArtefact, partReader, rootReader } from "./directory-artefacts.js";
export type { ArtefactReader } from "./directory-artefacts.js";
export { createRateLimit } from "./request-limit.js";
export type { RateLimit, RequestLimit } from "./request-limit.js";
export { createServedFiles, readKeptArtefact, readKeptPlace } from "./served-state.js";
export type { LastServed, ServedFiles, ServedState } from "./served-state.js";
export { createDirectoryService, joinDirectories } from "./directory-service.js";
export type { DirectoryService, DirectoryServiceOptions } from "./directory-service.js";
