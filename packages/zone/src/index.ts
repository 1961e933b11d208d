export { createRegistry, isAccredited } from "./registry.js";
export type { Registry } from "./registry.js";
export { nodeVerifier, payloadSha256, signObject, addSignature, verifySigned } from "./signed.js";
export type { SignaturePlace, SignatureVerifier } from "./signed.js";

export { verifyAcceptance, verifyPromise } from "./registration/acceptance.js";
export type { AcceptanceCheck, PromiseCheck } from "./registration/acceptance.js";
export { csiCommit, openingBytes, verifyCommit } from "./registration/commit.js";
export { verifyCredential } from "./registration/credential.js";
export type { CredentialCheck, VerifiedCredential } from "./registration/credential.js";
export {
  includesKey,
  joinedKey,
  joinKeys,
  keyLinkPlace,
  verifyApproval,
  verifyKeyLink,
} from "./registration/key-link.js";
export type { KeyLinkCheck } from "./registration/key-link.js";
export { checkContent, readMapping, verifyMapping, verifyMspSide } from "./registration/mapping.js";
export type { MappingCheck, PlacedMapping, UnverifiedMapping } from "./registration/mapping.js";
export { slotBits, verifySlot, verifySlotBits } from "./registration/slot-verify.js";
export type {
  DroppedMapping,
  SlotCheck,
  VerifiedMapping,
  VerifiedSlot,
} from "./registration/slot-verify.js";
export { checkNamedMappings, verifyStatement } from "./registration/statement.js";
export type { StatementCheck, VerifiedStatement } from "./registration/statement.js";

// Mapping zones
export {
  bitPositionsOf,
  mspBitsOf,
  maskMspBits,
  openPublicSlot,
  sealPublicSlot,
  slotIndex,
  slotInput,
  slotSecret,
  unmaskMspBits,
} from "./mapping/slot.js";
export type { MaskPlace, SlotPlace, SlotSecret } from "./mapping/slot.js";
export {
  decodeEntry,
  encodeEntry,
  entryBytes,
  findEntry,
  idxBytes,
  vhashAt,
} from "./mapping/entry.js";
export type { Entry } from "./mapping/entry.js";
export {
  bucketHash,
  bucketIndex,
  bucketPrefix,
  checkOrder,
  isBucketPrefix,
  padEntries,
  prefixOfBucket,
  sortEntries,
  verifyBucket,
} from "./mapping/bucket.js";
export type { BucketPlace, VerifiedBucket } from "./mapping/bucket.js";
export { BucketTree, depthFor, innerHash, nextDepth, rootOverPath } from "./mapping/tree.js";
export { changeBytes, changesRoot, decodeChanges } from "./mapping/changeset.js";
export type { AppliedChange, SlotChange } from "./mapping/changeset.js";
export {
  applyEpoch,
  changesPerEpochMax,
  emptyTree,
  fillEmpty,
  putBucket,
  rebuildTree,
} from "./mapping/epoch.js";
export type { ChangedBucket, EpochOutcome, StoredBucket, ZoneTree } from "./mapping/epoch.js";
export { headMarkOf, verifyHead, verifyHeadSequence } from "./mapping/head.js";
export type { HeadMark } from "./mapping/head.js";
export { checkManifestTimes, verifyDirectoryManifest, verifyManifest } from "./mapping/manifest.js";
export { judgeSuccession } from "./mapping/manifest-succession.js";
export type {
  ManifestHistory,
  NamedManifest,
  Succession,
  WaitingManifest,
} from "./mapping/manifest-succession.js";

// Directory zones
export { formatAnchors, parseAnchors } from "./directory/anchors.js";
export type { Anchors } from "./directory/anchors.js";
export {
  artefactMessages,
  checkFurther,
  decodeArtefact,
  differenceMessages,
  encodeArtefact,
  encodeTransfer,
  frameMessages,
  openArtefact,
  openArtefactTrust,
  openPartArtefact,
  openPartArtefactTrust,
  transferHead,
  transferMessages,
  verifyArtefact,
  verifyPartArtefact,
} from "./directory/artefact.js";
export type { ArtefactCheck, PartArtefactCheck, VerifiedArtefact } from "./directory/artefact.js";
export { compileDirectory } from "./directory/compile.js";
export type { CompiledDirectory, ManifestPayloads, NodeDraft } from "./directory/compile.js";
export { delegationOf } from "./directory/delegation.js";
export type { Delegation, PlacedNode } from "./directory/delegation.js";
export { differenceOf, DifferenceVerifier, touchedBetween } from "./directory/difference.js";
export type { DirectoryDifference, Touched } from "./directory/difference.js";
export {
  directoryHistoryHead,
  DirectoryHistory,
  parseDirectoryHistory,
} from "./directory/history.js";
export type { DirectoryPlace } from "./directory/history.js";
export { createDirectory } from "./directory/directory.js";
export type {
  Directory,
  DirectoryObjects,
  Referral,
  SignedNode,
  SignedRecord,
} from "./directory/directory.js";
export {
  childLabel,
  deniesAsSibling,
  deniesByItself,
  verifyReferral,
} from "./directory/referral.js";
export type { ReferralCheck, VerifiedReferral } from "./directory/referral.js";
export { verifyPartTrust } from "./directory/part-trust.js";
export type {
  PartDelegation,
  PartTrust,
  PartTrustCheck,
  PartVoucher,
} from "./directory/part-trust.js";
export { compareParties } from "./directory/record-order.js";
export { atRegisteredEndpoints } from "./directory/registered.js";
export { parseRegistrySource } from "./directory/registry-source.js";
export type { RegistrySource, ZoneSource } from "./directory/registry-source.js";
export { parseRootSource } from "./directory/root-source.js";
export type { EntryContent, RootEntry, RootSource } from "./directory/root-source.js";
export { ksksOf, openRootKeys } from "./directory/root-ksks.js";
export type { RootKsks } from "./directory/root-ksks.js";
export { checkBits, signDirectory, signPart, signRootKeys } from "./directory/sign.js";
export type { SignDirectoryOptions, SignPartOptions } from "./directory/sign.js";
export {
  checkPeriod,
  compareMarks,
  isEarly,
  isLate,
  markOf,
  rootPlace,
  verifyTrust,
} from "./directory/trust.js";
export type {
  DirectoryMark,
  DirectoryTrust,
  NodeTrust,
  TrustCheck,
  ZoneMark,
} from "./directory/trust.js";
export {
  directoryDigest,
  DirectoryVerifier,
  verifyDirectory,
  verifyNode,
  verifyRecord,
} from "./directory/verify.js";
export type { ObjectCheck, PartsCheck } from "./directory/verify.js";
export { formatSourceIssue, SourceError } from "./directory/yaml-source.js";
export type { SourceIssue } from "./directory/yaml-source.js";
export { checkDirectory } from "./directory/check.js";
export type { Finding, ZoneCheck } from "./directory/finding.js";
export { onlineKeyPeriod, signWithdrawals, withdrawnZonesOf } from "./directory/withdraw.js";
export type { WithdrawalSigning, WithdrawnZones } from "./directory/withdraw.js";
