export {
  compareBytes,
  concatBytes,
  equalBytes,
  lp,
  uint16Bytes,
  uint32Bytes,
  uint64Bytes,
  uint8Bytes,
  utf8,
  wipe,
} from "./bytes.js";
export type { RandomBytes } from "./bytes.js";
export {
  fromBase64,
  fromBase64Url,
  fromHex,
  toBase64,
  toBase64Url,
  toHex,
} from "./text-encodings.js";
export type { Hash, HkdfExpandInput, HkdfInput } from "./hashes.js";
export { roles } from "@whither/protocol";
export type { Role } from "@whither/protocol";
export { signedTypes } from "./signature-input.js";
export type { SignatureInput, SignedType } from "./signature-input.js";
export {
  generateSecretKey,
  importPublicKey,
  publicKeyBytes,
  secretKeyBytes,
  signatureBytes,
} from "./ed25519.js";
export type { SignatureCheck, Signer } from "./ed25519.js";
export {
  decodePrivateKeyPem,
  decodeVaultKey,
  decodeVoprfKey,
  encodePrivateKeyPem,
  encodeVaultKey,
  encodeVoprfKey,
  formatPin,
  formatPublicKey,
  parsePin,
  parsePublicKey,
} from "./key-identities.js";
export {
  decodeHpkeKeyPem,
  encodeHpkeKeyPem,
  formatHpkePublicKey,
  generateHpkeKey,
  hpkePublicKeyOf,
  importHpkePublicKey,
} from "./hpke-keys.js";
export { aeadKeyBytes, aeadNonceBytes, aeadTagBytes } from "./aead.js";
export type { Aead, OpenInput, SealInput } from "./aead.js";
export type { BodySealing, OpenBodyInput, SealBodyInput } from "./body.js";
export {
  elementBytes,
  joinElements,
  proofBytes,
  scalarBytes,
  splitElements,
  voprfOutputBytes,
  voprfSeedBytes,
} from "./voprf.js";
export type {
  BlindedBatch,
  EvaluateInput,
  EvaluatedBatch,
  FinalizeInput,
  Voprf,
  VoprfKeyPair,
} from "./voprf.js";
export { portableVoprf } from "./voprf-portable.js";
export { openAead, sealAead } from "./node/aead.js";
export { permuteBlocks } from "./node/blocks.js";
export { openBody, sealBody, signatureInput } from "./node/bound.js";
export { createSigner, keyIdOf, publicKeyOf, verifyEd25519 } from "./node/ed25519.js";
export {
  hkdf,
  hkdfExpand,
  hkdfExtract,
  hmacSha256,
  sha256,
  sha384,
  sha512,
} from "./node/hashes.js";
export { loadSodiumVoprf } from "./node/voprf-sodium.js";
