export { createNodeClock, createSimulatedClock } from "./clock.js";
export type { NodeClock, SimulatedClock, SimulatedClockOptions } from "./clock.js";
export { createSeededRandom } from "./random.js";
export type { SeededRandom } from "./random.js";

export {
  codeOf,
  fixedBytes,
  fixedSigner,
  flipSignature,
  makeAcceptance,
  makeCredential,
  makeKeyLink,
  makeMapping,
  makeRegistrationParties,
  makeSlot,
  makeStatement,
  malleateSignature,
  outcomeOf,
  smallOrderPublicKey,
  smallOrderSigner,
} from "./registration-fixtures.js";
export type {
  MappingKnobs,
  RegistrationParties,
  RegistrationPartiesOptions,
  SlotFixture,
} from "./registration-fixtures.js";

export {
  directoryFixtureSeconds,
  makeDirectoryObjects,
  makeRootFixture,
  prefixesFixture,
  registryFixtureText,
  resignDirectory,
  rootSourceText,
} from "./directory-fixtures.js";
export type { DirectoryFixtureOptions, RootFixture } from "./directory-fixtures.js";

export { makePartFixture, makePartObjects, registryTextOf, resignPart } from "./part-fixtures.js";
export type {
  PartFixture,
  PartFixtureOptions,
  PartObjects,
  PartSourceOptions,
} from "./part-fixtures.js";
export { unverifiedPart } from "./federation-directory.js";

export { makeTranscript, transcriptText } from "./transcript.js";
export type { Transcript } from "./transcript.js";

export { openTestZone } from "./zone-fixtures.js";
export type { TestZoneOptions } from "./zone-fixtures.js";

export { fillerBodyBytes, generateFillers, makeRealSlots } from "./generator.js";
export type { FillerOptions, RealSlot } from "./generator.js";

export { shareVerdicts } from "./shared-verdicts.js";
export { EventLog } from "./event-log.js";
export type { LoggedEvent } from "./event-log.js";
export { createFederation, Federation } from "./federation.js";
export type { FederationOptions, FederationResolverOptions } from "./federation.js";
export { FederationDp } from "./federation-dp.js";
export type { FederationZone } from "./federation-dp.js";
export type { DirectoryLies, DpLies } from "./federation-lies.js";
export { peerNamed } from "./federation-parties.js";
export type {
  DpIdentity,
  DpSpec,
  MspSpec,
  ProverSpec,
  ReplicaSpec,
  Signing,
  ZoneIdentity,
  ZoneSpec,
} from "./federation-parties.js";
export { FederationPeople } from "./federation-people.js";
export type {
  CredentialOptions,
  Person,
  Registration,
  RegistrationOptions,
} from "./federation-people.js";
export { testIdentity } from "./federation-identity.js";
export {
  directoryWorldAddress,
  makeArtefact,
  makeDirectoryWorld,
  outcomeOfLater,
} from "./directory-world.js";
export type { DirectoryWorld, DirectoryWorldOptions } from "./directory-world.js";
