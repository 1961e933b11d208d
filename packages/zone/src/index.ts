export { createRegistry, isAccredited } from "./registry.js";
export type { Registry } from "./registry.js";
export { nodeVerifier, payloadSha256, signObject, addSignature, verifySigned } from "./signed.js";
export type { SignaturePlace, SignatureVerifier } from "./signed.js";
