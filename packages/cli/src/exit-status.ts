// Exit status of a failure that ends a command of `whither`: the same numbers as for an answer.

import { errorRegistry, type DiscoveryError, type ErrorCode } from "@whither/protocol";
import { failureStatus, type FailureStatus } from "@whither/resolver";
import { exitStatuses } from "./ask/report.js";

/** Wrong from the start: nothing was asked. */
const usage: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "CONFIG",
  "NOT_AVAILABLE",
  "INVALID_CSI",
]);

/** Where the codes of the registration's rules begin. */
const firstRegistrationNumber = errorRegistry.BAD_OFFER.number;

/** A DP or MSP that refuses a registration is a refusal, not a forgery. */
export function failureClass(error: DiscoveryError): FailureStatus {
  return error.number >= firstRegistrationNumber ? "refused" : failureStatus(error);
}

/** 2 usage, 3 bogus, 4 refused, 5 unreachable. Never 1, which says "proven absent". */
export function statusOfFailure(error: DiscoveryError): number {
  return usage.has(error.code) ? exitStatuses.usage : exitStatuses[failureClass(error)];
}
