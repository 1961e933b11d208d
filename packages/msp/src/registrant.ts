// The holder's app at work: gets a draft from the MSP, countersigns it once, and places it in every zone that
// the directory names for the CSI (protocol.md section 6). Owns its connections; remembers nothing else.

import {
  countersignDraft,
  requestDraft,
  type Countersigned,
  type HolderContext,
} from "@whither/ceremony";
import type { Signer } from "@whither/crypto/node";
import { ManifestMemory, type DirectoryFollower, type OpenChannel } from "@whither/directory";
import {
  DiscoveryError,
  type Csi,
  type SignedObject,
  type SlotKeyLink,
  type ZoneName,
} from "@whither/protocol";
import { openChannel as openGrpcChannel, type TlsIdentity } from "@whither/rpc";
import { systemClock, systemRandom, type Clock, type Random } from "@whither/runtime";
import { nodeVerifier, type SignatureVerifier } from "@whither/zone";
import { DpConnections } from "./dp-connections.js";
import type { HolderMemory } from "./holder-memory.js";
import type { DraftSource } from "./msp.js";
import {
  registerInZone,
  type SlotWish,
  type ZoneRegistration,
  type ZoneRegistrationContext,
} from "./zone-registration.js";
import { ZoneManifests, type NamedAuthority } from "./zone-manifests.js";

/** Of a registrant that knows no anchors. */
const noKsks = () => ({ keys: [], threshold: 1 });

export interface RegistrantOptions {
  /** The signed directory; stays the caller's to close. */
  readonly directory: Pick<DirectoryFollower, "delegation" | "registry">;
  /** PEM bundle of the only CAs trusted: `tls_ca` of the anchors. */
  readonly caPem: string;
  /** Client certificate of the app or its MSP. */
  readonly identity: TlsIdentity;
  /**
   * Which manifests of zones were in effect, over restarts: one that its predecessor did not sign waits 72 h. Stays the
   * caller's to close. Without it the first that this registrant meets of a zone counts, and no signature of root KSKs.
   */
  readonly manifests?: Pick<ManifestMemory, "judge" | "named">;
  /** Default: TLS over gRPC. */
  readonly openChannel?: OpenChannel;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly verifier?: SignatureVerifier;
}

/** What concerns any change of a CSI's public slots. */
export interface ChangeOptions extends SlotWish {
  readonly csi: Csi;
  readonly holder: Signer;
  /** What stands, as the last registration returned it: without it everything not named again is dropped. */
  readonly previous?: HolderMemory;
  /** Links that join the holder's key to those of the slots: then the mappings of both may stand (`agreeToKeyLink`). */
  readonly links?: readonly SlotKeyLink[];
  /** Only these zones of those that the directory names. */
  readonly zones?: readonly ZoneName[];
  readonly signal?: AbortSignal;
}

export interface RegisterOptions extends ChangeOptions {
  /** type credential, for the holder's key. */
  readonly credential: SignedObject;
  /** 32 bytes that open the credential's csi_commit. */
  readonly opening: Uint8Array;
  readonly msp: DraftSource;
}

export interface ChangedSlots {
  /** Zones whose DP has receipted the change, in the directory's order; at least one. */
  readonly registered: readonly ZoneRegistration[];
  /** Zones where it failed, and why. */
  readonly failed: readonly { readonly zone: ZoneName; readonly error: DiscoveryError }[];
  /** `previous` with what has been registered: to be given to the next change. */
  readonly memory: HolderMemory;
}

export interface CsiRegistration extends ChangedSlots {
  /** type mapping, signed by MSP and holder: valid with any DP. */
  readonly mapping: SignedObject;
}

export interface Registrant extends Disposable {
  /**
   * Registers a CSI with an MSP in every zone of the CSI. Throws NOT_REACHABLE_HERE, what the draft lacks
   * (BAD_MAPPING …), UNASSIGNED, and the first zone's failure when no zone took it.
   */
  register(options: RegisterOptions): Promise<CsiRegistration>;
  /** Changes order, tags, flags and destination, or removes mappings (`keep`). Throws as `register`. */
  change(options: ChangeOptions): Promise<ChangedSlots>;
  /**
   * Another client certificate while registrations run: what begins from now on shows it. Throws CONFIG for one that is
   * not its key's or is outside its time; the one in use then stays.
   */
  replaceIdentity(identity: TlsIdentity): void;
  close(): void;
}

export function createRegistrant(options: RegistrantOptions): Registrant {
  const { directory, caPem, identity, openChannel = openGrpcChannel } = options;
  const { clock = systemClock, random = systemRandom, verifier = nodeVerifier } = options;
  const connections = new DpConnections({ openChannel, caPem, identity, clock });
  const manifests = new ZoneManifests({
    memory: options.manifests ?? ManifestMemory.ofProcess({ clock, ksks: noKsks }),
    fetch: (authority, sha256, bounds) => connections.manifest(authority, sha256, bounds),
    clock,
    verifier,
  });
  const context: ZoneRegistrationContext = { connections, manifests, clock, random, verifier };
  const close = (): void => connections[Symbol.dispose]();
  return {
    async register(given) {
      const { csi, signal } = given;
      // The directory first: an MSP need not sign for a CSI that nobody serves.
      const authorities = await authoritiesOf(directory, { csi, signal, zones: given.zones });
      const added = await obtainMapping(given, { directory, clock, random, verifier });
      const changed = await inEveryZone({ given, authorities, added }, context);
      return { ...changed, mapping: added.mapping };
    },
    async change(given) {
      const { csi, signal } = given;
      const authorities = await authoritiesOf(directory, { csi, signal, zones: given.zones });
      return await inEveryZone({ given, authorities, added: undefined }, context);
    },
    replaceIdentity: (next) => connections.replaceIdentity(next),
    close,
    [Symbol.dispose]: close,
  };
}

/**
 * One registration over connections of its own, which its result holds for waitPublished until it is closed.
 * For more than one keep a registrant.
 */
export async function registerCsi(
  options: RegistrantOptions & RegisterOptions,
): Promise<CsiRegistration & Disposable> {
  const registrant = createRegistrant(options);
  try {
    const registration = await registrant.register(options);
    return { ...registration, [Symbol.dispose]: () => registrant.close() };
  } catch (error) {
    registrant.close();
    throw error;
  }
}

async function authoritiesOf(
  directory: RegistrantOptions["directory"],
  input: {
    readonly csi: Csi;
    readonly signal: AbortSignal | undefined;
    readonly zones: readonly ZoneName[] | undefined;
  },
): Promise<readonly NamedAuthority[]> {
  const { csi, signal, zones } = input;
  const { authorities, notBefore: namedAt } = await directory.delegation(csi, { signal });
  const serving = authorities.filter(({ kind }) => kind === "mappings");
  if (serving.length === 0) throw new DiscoveryError("UNASSIGNED", "nobody serves that prefix");
  const chosen = serving.filter(({ zone }) => zones?.includes(zone) ?? true);
  if (chosen.length > 0) return chosen.map((authority) => ({ authority, namedAt }));
  throw new DiscoveryError("NOT_AUTHORITATIVE", "the directory names other zones");
}

async function obtainMapping(
  given: RegisterOptions,
  context: Pick<RegistrantOptions, "directory"> &
    Pick<ZoneRegistrationContext, "clock" | "random" | "verifier">,
): Promise<Countersigned> {
  const { csi, opening, credential, holder, msp, signal } = given;
  const { directory, clock, random, verifier } = context;
  const registry = await directory.registry({ signal });
  const step = (): HolderContext => ({
    holder,
    registry,
    verifier,
    nowSeconds: clock.nowSeconds(),
  });
  const randomBytes = (length: number): Uint8Array => random.bytes(length);
  const pending = requestDraft({ ...step(), csi, opening, credential, mspId: msp.id, randomBytes });
  const draft = await msp.draft(pending.request, { signal });
  return countersignDraft({ ...step(), pending, draft });
}

async function inEveryZone(
  work: {
    readonly given: ChangeOptions;
    readonly authorities: readonly NamedAuthority[];
    readonly added: Countersigned | undefined;
  },
  context: ZoneRegistrationContext,
): Promise<ChangedSlots> {
  const { given, authorities, added } = work;
  const { csi, holder, signal, previous, links = [] } = given;
  const wish = wishOf(given);
  const outcomes = await Promise.allSettled(
    authorities.map(({ authority, namedAt }) =>
      registerInZone(
        {
          authority,
          namedAt,
          csi,
          holder,
          added,
          links,
          wish,
          signal,
          previous: previous?.get(authority.zone),
        },
        context,
      ),
    ),
  );
  const registered: ZoneRegistration[] = [];
  const failed: { zone: ZoneName; error: DiscoveryError }[] = [];
  for (const [place, outcome] of outcomes.entries()) {
    const zone = authorities[place]?.authority.zone;
    if (zone === undefined) continue; // one outcome per authority
    if (outcome.status === "fulfilled") registered.push(outcome.value);
    else if (outcome.reason instanceof DiscoveryError) failed.push({ zone, error: outcome.reason });
    else throw outcome.reason;
  }
  const [failure] = failed;
  if (registered.length === 0 && failure !== undefined) throw failure.error;
  const memory = new Map([...(previous ?? []), ...registered.map(memoryOf)]);
  return { registered, failed, memory };
}

const memoryOf = ({ zone, slot }: ZoneRegistration) => [zone, slot] as const;

function wishOf(given: ChangeOptions): SlotWish {
  const { keep, exclusive, sameAppOnly, portedTo, preference, tags } = given;
  return {
    ...(keep === undefined ? {} : { keep }),
    ...(exclusive === undefined ? {} : { exclusive }),
    ...(sameAppOnly === undefined ? {} : { sameAppOnly }),
    ...(portedTo === undefined ? {} : { portedTo }),
    ...(preference === undefined ? {} : { preference }),
    ...(tags === undefined ? {} : { tags }),
  };
}
