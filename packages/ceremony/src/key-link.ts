// The holder's part of a key-link: the app that is there approves, the new one agrees (protocol.md section 6,
// ADR 38). How the new app asks, and how it is told, comes with contests.

import { DiscoveryError, type Csi, type SlotKeyLink } from "@whither/protocol";
import { equalBytes, keyIdOf, type RandomBytes, type Signer } from "@whither/crypto/node";
import { encodeKeyLink } from "@whither/wire";
import {
  addSignature,
  csiCommit,
  keyLinkPlace,
  openingBytes,
  signObject,
  verifyApproval,
  type SignatureVerifier,
} from "@whither/zone";

const nonceBytes = 32;

/** The old key's signature: its holder lets the new key in. Throws BAD_KEY_LINK for one key twice. */
export function approveKeyLink(of: {
  readonly csi: Csi;
  readonly holder: Signer;
  /** 32-byte Ed25519 key of the other app. */
  readonly newPublicKey: Uint8Array;
  readonly randomBytes: RandomBytes;
}): SlotKeyLink {
  const { csi, holder, newPublicKey, randomBytes } = of;
  if (equalBytes(holder.publicKey, newPublicKey)) {
    throw new DiscoveryError("BAD_KEY_LINK", "key-link: links a key to itself");
  }
  const opening = randomBytes(openingBytes);
  const payload = encodeKeyLink({
    csiCommit: csiCommit({ csi, opening }),
    oldPublicKey: holder.publicKey,
    newPublicKey,
    nonce: randomBytes(nonceBytes),
  });
  return { link: signObject({ ...keyLinkPlace, payload, signer: holder }), opening };
}

/**
 * The new key's signature beside the old one's: only both make a link. Throws as verifyApproval does, and
 * BAD_KEY_LINK for a link of another new key.
 */
export function agreeToKeyLink(of: {
  readonly approved: SlotKeyLink;
  readonly csi: Csi;
  readonly holder: Signer;
  readonly verifier: SignatureVerifier;
}): SlotKeyLink {
  const { approved, csi, holder, verifier } = of;
  const { link, opening } = approved;
  const { oldPublicKey, newPublicKey } = verifyApproval({ ...approved, csi, verifier });
  if (!equalBytes(newPublicKey, holder.publicKey)) {
    throw new DiscoveryError("BAD_KEY_LINK", "key-link: approves another key");
  }
  // What others may have signed beside it is left behind: sixteen signatures would leave no room.
  const oldKeyId = keyIdOf(oldPublicKey);
  const approval = link.signatures.find(
    ({ keyId, role }) => role === keyLinkPlace.role && equalBytes(keyId, oldKeyId),
  );
  const object = { payload: link.payload, signatures: approval === undefined ? [] : [approval] };
  return { link: addSignature(object, { ...keyLinkPlace, signer: holder }), opening };
}
