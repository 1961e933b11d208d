export { agreeToKeyLink, approveKeyLink } from "@whither/ceremony";
export { accountsOf, parseAccounts, readAccountsFile } from "./accounts-file.js";
export { formatHolderMemory, parseHolderMemory } from "./holder-memory.js";
export type { HolderMemory } from "./holder-memory.js";
export { createMsp } from "./msp.js";
export type { Accounts, DraftSource, MspOptions } from "./msp.js";
export { createRegistrant, registerCsi } from "./registrant.js";
export type {
  ChangedSlots,
  ChangeOptions,
  CsiRegistration,
  Registrant,
  RegistrantOptions,
  RegisterOptions,
} from "./registrant.js";
export type { SlotWish, ZoneRegistration } from "./zone-registration.js";
