// The fourth message of a registration, holder to DP, between its wire form and what the steps work on
// (protocol.md section 6). Shape and bounds only; nothing here is verified.

import {
  DiscoveryError,
  isCanonicalCsi,
  limits,
  parseZoneName,
  type Csi,
  type SignedObject,
  type SlotKeyLink,
  type ZoneName,
} from "@whither/protocol";
import { openingBytes } from "@whither/zone";
import {
  keyLinksFromWire,
  keyLinksToWire,
  signedObjectFromWire,
  signedObjectToWire,
  type RegisterRequest,
  type WireSignedObject,
} from "@whither/wire";

/** A mapping to be added, with what proves it. */
export interface AddedMapping {
  /** type mapping, signed by MSP and holder. */
  readonly mapping: SignedObject;
  /** type credential. */
  readonly credential: SignedObject;
  /** 32 bytes that open the csi_commit of both. */
  readonly opening: Uint8Array;
}

export interface RegistrationRequest {
  readonly zone: ZoneName;
  readonly csi: Csi;
  /** type statement, signed by the holder. */
  readonly statement: SignedObject;
  /** Absent: only order, tags or removal change. */
  readonly added?: AddedMapping;
  /** Links that the slot does not have yet, in the order in which they join keys to the statement's. Absent: none. */
  readonly links?: readonly SlotKeyLink[];
}

/** The fields of a RegisterRequest message. */
export interface RegisterRequestFields {
  readonly zone: string;
  readonly csi: string;
  readonly opening?: Uint8Array;
  readonly credential?: WireSignedObject;
  readonly slot: {
    readonly case: "public";
    readonly value: {
      readonly mapping?: WireSignedObject;
      readonly statement: WireSignedObject;
      readonly links: { readonly link: WireSignedObject; readonly opening: Uint8Array }[];
    };
  };
}

export function encodeRegisterRequest(request: RegistrationRequest): RegisterRequestFields {
  const { zone, csi, added } = request;
  const statement = signedObjectToWire(request.statement);
  const links = keyLinksToWire(request.links ?? []);
  const unproved = { statement, links };
  if (added === undefined) return { zone, csi, slot: { case: "public", value: unproved } };
  return {
    zone,
    csi,
    opening: added.opening,
    credential: signedObjectToWire(added.credential),
    slot: {
      case: "public",
      value: { ...unproved, mapping: signedObjectToWire(added.mapping) },
    },
  };
}

/** A payload above this would fit no slot; it is refused before anything is hashed. */
const payloadBytesMax = Math.max(...limits.bodyClassBytes);

/**
 * Reads a RegisterRequest. Throws INVALID_CSI unless the CSI is canonical, NOT_AVAILABLE for an audience
 * registration, BAD_OPENING, TOO_LARGE or INVALID_DATA. Opening and credential without a mapping are ignored.
 */
export function decodeRegisterRequest(message: RegisterRequest): RegistrationRequest {
  if (message.slot.case === "audience") {
    throw new DiscoveryError("NOT_AVAILABLE", "audience slots are not available yet");
  }
  if (message.slot.case !== "public") {
    throw new DiscoveryError("INVALID_DATA", "register: expected a public or audience slot");
  }
  const zone = parseZoneName(message.zone);
  const { csi, opening } = message;
  if (!isCanonicalCsi(csi)) throw new DiscoveryError("INVALID_CSI", "identifier is not canonical");
  const { value } = message.slot;
  const statement = bounded(value.statement);
  const links = keyLinksFromWire(value.links).map(({ link, opening: own }) => ({
    link: detached(link),
    opening: own,
  }));
  if (value.mapping === undefined) return { zone, csi, statement, links };
  if (opening.length !== openingBytes) {
    throw new DiscoveryError("BAD_OPENING", `opening: expected ${openingBytes} bytes`);
  }
  const mapping = bounded(value.mapping);
  const credential = bounded(message.credential);
  return { zone, csi, statement, links, added: { mapping, credential, opening: opening.slice() } };
}

function bounded(object: WireSignedObject | undefined): SignedObject {
  return detached(signedObjectFromWire(object));
}

/** Copied, so that a stored record does not keep the whole message alive. */
function detached({ payload, signatures }: SignedObject): SignedObject {
  if (payload.length > payloadBytesMax) {
    throw new DiscoveryError("TOO_LARGE", `payload: at most ${payloadBytesMax} bytes`);
  }
  return { payload: payload.slice(), signatures };
}
