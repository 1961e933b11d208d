// Registrar: Begin, Register and Status of the mapping zones a DP serves (protocol.md section 6). Says in which
// order things are asked; the rules are ceremony's, the writing is mapping/'s. Audience slots come later.

import {
  checkRegistration,
  decideRegistration,
  decodeRegisterRequest,
  encodeRemoval,
  makeOffer,
  settleRegistration,
  type CheckedRegistration,
  type RegistrationRequest,
  type SettledRegistration,
} from "@whither/ceremony";
import type { DirectoryFollower } from "@whither/directory";
import { DiscoveryError, isDiscoveryError, parseZoneName, type DpId } from "@whither/protocol";
import {
  implementService,
  type CallContext,
  type ServerInterceptor,
  type ServiceRegistration,
} from "@whither/rpc";
import { abortError, silentLogger, type Clock, type Logger, type Random } from "@whither/runtime";
import {
  Registrar,
  RegistrationState,
  signedObjectToWire,
  type BeginRequest,
  type RegisterRequest,
  type StatusRequest,
} from "@whither/wire";
import { mspBitsOf, nodeVerifier, type Registry, type SignatureVerifier } from "@whither/zone";
import type { Signer } from "@whither/crypto/node";
import type { MappingZone, SlotLookup } from "./mapping/mapping-zone.js";
import { createKeyedQueue, type KeyedQueue } from "./registrar-queue.js";
import { createRemovals, type Removals } from "./registrar-removals.js";

/** What a registration needs of a zone. */
export type RegistrarZone = Pick<
  MappingZone,
  "isSpent" | "lookupForRegistration" | "manifest" | "manifestSha256" | "status" | "submit" | "zone"
>;

export interface RegistrarOptions {
  readonly dpId: DpId;
  /** Each with the zone key that signs its acceptances and promises; looked at anew by every call. */
  readonly zones: Iterable<{ readonly zone: RegistrarZone; readonly signer: Signer }>;
  /** The signed directory: which zone is authoritative, and the registry of parties. */
  readonly directory: Pick<DirectoryFollower, "delegation" | "registry">;
  readonly clock: Clock;
  readonly random: Random;
  readonly verifier?: SignatureVerifier;
  readonly logger?: Logger;
  /**
   * Charges a client that proves nothing for one guess at an identifier, before its slot is looked at: the
   * answers are alike, the time they take is not. Throws LIMITED; the result gives the charge back.
   */
  readonly admitUnproved?: (client: Caller) => () => void;
  /** Admission per identity; runs around every method. */
  readonly interceptors?: readonly ServerInterceptor[];
}

type Caller = Pick<CallContext, "address" | "peer">;

interface ServedZone {
  readonly zone: RegistrarZone;
  readonly signer: Signer;
  readonly removals: Removals;
}

/** A registration that has been checked as far as that goes without its slot. */
interface Decision {
  readonly served: ServedZone;
  readonly checked: CheckedRegistration;
  readonly registry: Registry;
  readonly signal: AbortSignal;
}

/** A key begins and ends to be written to at different times: two changes may meet one registration. */
const attemptsMax = 3;

/** The Registrar service. It goes behind a listener that demands client certificates. */
export function createRegistrarService(options: RegistrarOptions): ServiceRegistration {
  const registrar = new RegistrarEngine(options);
  const { interceptors } = options;
  return implementService(
    Registrar,
    {
      begin: (request) => registrar.begin(request),
      register: (request, context) => registrar.register(request, context),
      status: (request) => registrar.status(request),
    },
    interceptors === undefined ? {} : { interceptors },
  );
}

class RegistrarEngine {
  readonly #options: RegistrarOptions;
  /** By name: they outlive a zone that is closed and opened again, as the offers do. */
  readonly #removals = new Map<string, Removals>();
  readonly #verifier: SignatureVerifier;
  readonly #logger: Logger;
  /**
   * Drawn anew by every process: an offer made before a restart is refused afterwards, so that what is
   * kept in memory about offers (removals) covers every offer that can still be used.
   */
  readonly #offerKey: Uint8Array;
  /** One registration of a CSI at a time: the second sees what the first has written. */
  readonly #queue: KeyedQueue;

  constructor(options: RegistrarOptions) {
    this.#options = options;
    this.#verifier = options.verifier ?? nodeVerifier;
    this.#logger = options.logger ?? silentLogger;
    this.#offerKey = options.random.bytes(32);
    this.#queue = createKeyedQueue();
  }

  begin(request: BeginRequest) {
    const { clock, random } = this.#options;
    const { zone } = this.#served(request.zone);
    const offer = makeOffer({
      key: this.#offerKey,
      zone: zone.zone,
      nowSeconds: clock.nowSeconds(),
      randomBytes: (length) => random.bytes(length),
    });
    return {
      zone: zone.zone,
      nonceD: offer.nonceD,
      manifestSha256: zone.manifestSha256,
      expires: BigInt(offer.expires),
    };
  }

  /** Resolves once the registration is durable. */
  async register(message: RegisterRequest, caller: Caller & Pick<CallContext, "signal">) {
    const served = this.#served(message.zone);
    const { zone } = served.zone;
    try {
      const request = decodeRegisterRequest(message);
      const settled = await this.#register(served, request, caller);
      const { acceptance, promise } = settled;
      this.#logger.info("registration accepted", { zone });
      return {
        ...(acceptance === undefined ? {} : { acceptance: signedObjectToWire(acceptance) }),
        promise: signedObjectToWire(promise),
      };
    } catch (error) {
      const code = isDiscoveryError(error) ? error.code : "INTERNAL";
      this.#logger.info("registration refused", { zone, code });
      throw error;
    }
  }

  status(request: StatusRequest) {
    const { zone } = this.#served(request.zone);
    if (request.statementSha256.length !== 32) {
      throw new DiscoveryError("INVALID_DATA", "status: expected a hash of 32 bytes");
    }
    const status = zone.status(request.statementSha256);
    switch (status.kind) {
      case "unknown":
        return { state: RegistrationState.UNKNOWN };
      case "pending":
        return { state: RegistrationState.PENDING };
      case "published":
        return { state: RegistrationState.PUBLISHED, serial: BigInt(status.serial) };
    }
  }

  /** All that needs no look at the slot comes first: who has proved nothing learns and costs nothing. */
  async #register(
    served: ServedZone,
    request: RegistrationRequest,
    caller: Caller & { readonly signal: AbortSignal },
  ): Promise<SettledRegistration> {
    const { directory, dpId, clock, admitUnproved } = this.#options;
    const { signal } = caller;
    const { manifest } = served.zone;
    await this.#requireAuthority(request, { signal });
    const registry = await directory.registry({ signal });
    const dp = registry.dp(dpId);
    if (dp === undefined)
      throw new DiscoveryError("NOT_AUTHORITATIVE", "this dp is not registered");
    const nowSeconds = clock.nowSeconds();
    const verifier = this.#verifier;
    const context = { manifest, dp, registry, nowSeconds, verifier };
    const checked = checkRegistration(request, context);
    const giveBack = checked.added === undefined ? admitUnproved?.(caller) : undefined;
    const settled = await this.#queue.run(`${request.zone} ${request.csi}`, () =>
      this.#decideAnew({ served, checked, registry, signal }),
    );
    giveBack?.(); // the holder's own change was no guess
    return settled;
  }

  /** What a change of the zone's keys overtook, between look and write, is decided again. */
  async #decideAnew(input: Decision): Promise<SettledRegistration> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#decide(input);
      } catch (error) {
        if (attempt >= attemptsMax || !isDiscoveryError(error, "CONFLICT_WRITE")) throw error;
      }
    }
  }

  async #decide(input: Decision): Promise<SettledRegistration> {
    const { served, checked, registry, signal } = input;
    const { zone, signer, removals } = served;
    const { manifest } = zone;
    // Nobody waits any more: what was asked is not done behind the client's back.
    if (signal.aborted) throw abortError(signal);
    const slot = await zone.lookupForRegistration(checked.csi, { signal });
    const nowSeconds = this.#options.clock.nowSeconds();
    const decision = decideRegistration({
      checked,
      current: currentOf({ served, checked, slot }),
      manifest,
      registry,
      nowSeconds,
      offerKey: this.#offerKey,
      isUsed: (nonceD) => zone.isSpent(nonceD),
    });
    const settled = settleRegistration({ decision, checked, manifest, signer, nowSeconds });
    if (decision.kind === "unchanged") return settled;
    const { nonceD } = checked.statement.statement;
    const statementSha256 = checked.statement.sha256;
    const base = { slot, nonceD, statementSha256, acceptedAt: nowSeconds };
    const { plaintext } = settled;
    if (decision.kind === "remove") {
      removals.requireRoom();
      await zone.submit({ ...base, content: undefined });
      removals.add(slot.idx, plaintext);
    } else {
      const bits = mspBitsOf(decision.bits);
      const registryVersion = registry.version;
      await zone.submit({ ...base, content: { plaintext, registryVersion, bits } });
      removals.delete(slot.idx);
    }
    return settled;
  }

  /** The directory decides who is asked about a CSI; a slot elsewhere would never be found. */
  async #requireAuthority(
    { csi, zone }: RegistrationRequest,
    options: { readonly signal: AbortSignal },
  ): Promise<void> {
    const { directory, dpId } = this.#options;
    const { authorities } = await directory.delegation(csi, options);
    const isNamed = authorities.some(
      (one) => one.kind === "mappings" && one.zone === zone && one.dpId === dpId,
    );
    if (isNamed) return;
    throw new DiscoveryError("NOT_AUTHORITATIVE", "the directory names others for the identifier");
  }

  #served(name: string): ServedZone {
    const wanted = parseZoneName(name);
    const { zones, clock } = this.#options;
    for (const one of zones) {
      if (one.zone.zone !== wanted) continue;
      const removals = this.#removals.get(wanted) ?? createRemovals({ clock });
      this.#removals.set(wanted, removals);
      return { ...one, removals };
    }
    throw new DiscoveryError("NOT_AUTHORITATIVE", "not a zone of ours");
  }
}

/** Plaintext of what stands: the slot, or the statement that removed it. */
function currentOf(input: {
  readonly served: ServedZone;
  readonly checked: CheckedRegistration;
  readonly slot: SlotLookup;
}): Uint8Array | undefined {
  const { served, checked, slot } = input;
  if (slot.plaintext !== undefined) return slot.plaintext;
  const removed = served.removals.get(slot.idx);
  if (removed !== undefined) return removed;
  // A removal sent again after a restart: its receipt is durable, its text is what is sent.
  const { statement, sha256 } = checked.statement;
  const isAccepted = served.zone.status(sha256).kind !== "unknown";
  return statement.items.length === 0 && isAccepted
    ? encodeRemoval(checked.statementObject)
    : undefined;
}
