export { checkRegistration, decideRegistration } from "./dp.js";
export type { CheckedRegistration, DpContext, RegistrationDecision } from "./dp.js";
export { countersignDraft, requestDraft, verifyReceipt } from "./holder.js";
export type { Countersigned, DraftPending, HolderContext } from "./holder.js";
export { agreeToKeyLink, approveKeyLink } from "./key-link.js";
export { answerDraft, openDraft } from "./msp.js";
export type { DraftRequest, DraftState } from "./msp.js";
export { checkOffer, makeOffer, offerBytes, offerKeyBytes } from "./offer.js";
export type { Offer } from "./offer.js";
export { encodeRemoval, settleRegistration } from "./receipt.js";
export type { SettledRegistration } from "./receipt.js";
export { decodeRegisterRequest, encodeRegisterRequest } from "./register-request.js";
export type {
  AddedMapping,
  RegisterRequestFields,
  RegistrationRequest,
} from "./register-request.js";
export { readStandingSlot } from "./standing-slot.js";
export type { StandingMapping, StandingSlot } from "./standing-slot.js";
export { composeStatement, holderSlotOf } from "./statement.js";
export type { ComposedStatement, HolderItem, HolderSlot, StatementWish } from "./statement.js";
