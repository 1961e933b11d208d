// One registration in one zone, from the DP's offer to its verified receipt. What may be repeated is: the
// same statement after a lost answer (the DP knows it again), a new one after an offer that has run out.

import {
  composeStatement,
  encodeRegisterRequest,
  verifyReceipt,
  type AddedMapping,
  type ComposedStatement,
  type Countersigned,
  type HolderSlot,
  type StatementWish,
} from "@whither/ceremony";
import type { Signer } from "@whither/crypto/node";
import {
  DiscoveryError,
  isDiscoveryError,
  limits,
  type Acceptance,
  type Authority,
  type Csi,
  type DpId,
  type ErrorCode,
  type Manifest,
  type MergePromise,
  type SignedObject,
  type SlotKeyLink,
  type ZoneName,
} from "@whither/protocol";
import type { Clock, Random } from "@whither/runtime";
import { RegistrationState, signedObjectFromWire } from "@whither/wire";
import type { SignatureVerifier } from "@whither/zone";
import { bounded, type DpConnections } from "./dp-connections.js";
import type { ZoneManifests } from "./zone-manifests.js";

/** What shall change in the slot; the rest of a StatementWish is the step's. */
export type SlotWish = Pick<StatementWish, "keep" | "exclusive" | "sameAppOnly" | "portedTo"> & {
  readonly preference?: number;
  readonly tags?: readonly string[];
};

export interface ZoneRegistrationInput {
  readonly authority: Authority;
  /** `not_before` of the node that names it, Unix seconds. */
  readonly namedAt: number;
  readonly csi: Csi;
  readonly holder: Signer;
  /** The mapping to add; absent: only order, tags or removal change. */
  readonly added: Countersigned | undefined;
  readonly links: readonly SlotKeyLink[];
  readonly previous: HolderSlot | undefined;
  readonly wish: SlotWish;
  readonly signal: AbortSignal | undefined;
}

export interface ZoneRegistrationContext {
  readonly connections: DpConnections;
  readonly manifests: ZoneManifests;
  readonly clock: Clock;
  readonly random: Random;
  readonly verifier: SignatureVerifier;
}

/** A registration that a DP has receipted. */
export interface ZoneRegistration {
  readonly zone: ZoneName;
  readonly dpId: DpId;
  /** type statement, as sent. */
  readonly statement: SignedObject;
  readonly statementSha256: Uint8Array;
  /** What to remember of the slot, for the next statement. */
  readonly slot: HolderSlot;
  /** Of the mapping that was added; absent if none was. */
  readonly acceptance?: Acceptance;
  readonly promise: MergePromise;
  /**
   * Resolves with the serial of the head that first held it, on the DP's word: a look-up proves it.
   * Throws BOGUS when the promise's time has passed by more than the clock tolerance.
   */
  waitPublished(options?: { readonly signal?: AbortSignal | undefined }): Promise<number>;
}

const attemptsMax = 4;
const firstPauseMs = 250;
const pauseMsMax = 15_000;
/** After these the DP may or may not have the statement: sending it again is safe and tells. */
const resend: ReadonlySet<ErrorCode> = new Set(["NETWORK", "DEADLINE", "OVERLOADED", "LIMITED"]);
/** After these another statement has to be made. */
const remake: ReadonlySet<ErrorCode> = new Set(["BAD_OFFER", "CONFLICT_WRITE"]);

/** Registers in one zone. Throws the DP's refusal, BOGUS for a wrong receipt, and transport errors. */
export async function registerInZone(
  input: ZoneRegistrationInput,
  context: ZoneRegistrationContext,
): Promise<ZoneRegistration> {
  let made: MadeStatement | undefined;
  for (let attempt = 1; ; attempt += 1) {
    try {
      made ??= await makeStatement(input, context);
      return await sendStatement(made, input, context);
    } catch (error) {
      const known = isDiscoveryError(error) ? error : undefined;
      const again = known !== undefined && (resend.has(known.code) || remake.has(known.code));
      if (!again || attempt >= attemptsMax || input.signal?.aborted === true) throw error;
      await pause(known, attempt, { ...context, signal: input.signal });
      if (remake.has(known.code)) made = undefined;
    }
  }
}

async function pause(
  failure: DiscoveryError,
  attempt: number,
  {
    clock,
    random,
    signal,
  }: Pick<ZoneRegistrationContext, "clock" | "random"> & {
    readonly signal: AbortSignal | undefined;
  },
): Promise<void> {
  const advisedMs = (failure.retryAfterSeconds ?? 0) * 1000;
  if (advisedMs > pauseMsMax) throw failure;
  // Full jitter, so that many who failed together do not come back together.
  const jitterMs = (firstPauseMs * 2 ** attempt * random.uint32()) / 2 ** 32;
  await clock.sleep(advisedMs + jitterMs, { signal });
}

interface MadeStatement {
  readonly statement: ComposedStatement;
  readonly manifest: Manifest;
}

async function makeStatement(
  input: ZoneRegistrationInput,
  { connections, manifests, clock }: ZoneRegistrationContext,
): Promise<MadeStatement> {
  const { authority, namedAt, holder, previous, added, wish, signal } = input;
  const { zone } = authority;
  const offer = await connections.registrar(authority, (client) =>
    client.begin({ zone }, bounded(signal)),
  );
  if (offer.zone !== zone) {
    throw new DiscoveryError("BOGUS", "offer: of another zone", { upstream: zone });
  }
  const named = { authority, namedAt };
  const manifest = await manifests.inEffect(named, offer.manifestSha256, { signal });
  const { preference, tags, ...rest } = wish;
  const statement = composeStatement({
    holder,
    zone,
    nonceD: offer.nonceD,
    nowSeconds: clock.nowSeconds(),
    ...(previous === undefined ? {} : { previous }),
    ...(added === undefined
      ? {}
      : {
          added: {
            mapping: added,
            ...(preference === undefined ? {} : { preference }),
            ...(tags === undefined ? {} : { tags }),
          },
        }),
    ...rest,
  });
  return { statement, manifest };
}

async function sendStatement(
  { statement, manifest }: MadeStatement,
  input: ZoneRegistrationInput,
  context: ZoneRegistrationContext,
): Promise<ZoneRegistration> {
  const { authority, csi, added, links, signal } = input;
  const { connections, clock, verifier } = context;
  const { zone, dpId } = authority;
  const request = encodeRegisterRequest({
    zone,
    csi,
    statement: statement.object,
    links,
    ...(added === undefined ? {} : { added: addedOf(added) }),
  });
  const response = await connections.registrar(authority, (client) =>
    client.register(request, bounded(signal)),
  );
  const receipt = verifyReceipt({
    manifest,
    statementSha256: statement.sha256,
    ...(added === undefined ? {} : { mappingSha256: added.mappingSha256 }),
    acceptance:
      response.acceptance === undefined ? undefined : signedObjectFromWire(response.acceptance),
    promise: signedObjectFromWire(response.promise),
    nowSeconds: clock.nowSeconds(),
    verifier,
  });
  const { promise } = receipt;
  const statementSha256 = statement.sha256;
  return {
    zone,
    dpId,
    statement: statement.object,
    statementSha256,
    slot: statement.slot,
    ...receipt,
    waitPublished: (options = {}) =>
      waitPublished({ authority, statementSha256, promise, ...options }, context),
  };
}

function addedOf({ mapping, credential, opening }: Countersigned): AddedMapping {
  return { mapping, credential, opening };
}

const pollMs = 1_000;

async function waitPublished(
  input: {
    readonly authority: Authority;
    readonly statementSha256: Uint8Array;
    readonly promise: MergePromise;
    readonly signal?: AbortSignal | undefined;
  },
  { connections, clock }: ZoneRegistrationContext,
): Promise<number> {
  const { authority, statementSha256, promise, signal } = input;
  const { zone } = authority;
  for (;;) {
    const status = await connections.registrar(authority, (client) =>
      client.status({ zone, statementSha256 }, bounded(signal)),
    );
    if (status.state === RegistrationState.PUBLISHED) return Number(status.serial);
    if (clock.nowSeconds() > promise.by + limits.clockSkewSeconds) {
      throw new DiscoveryError("BOGUS", "the dp did not keep its promise", { upstream: zone });
    }
    await clock.sleep(pollMs, { signal });
  }
}
