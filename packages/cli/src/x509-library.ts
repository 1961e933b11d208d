// Loads @peculiar/x509. Its dependency container insists on a reflect polyfill that nothing here needs:
// three functions that know nothing satisfy it.

const none = (): undefined => undefined;
if (!("getMetadata" in Reflect)) {
  Object.assign(Reflect, { getMetadata: none, getOwnMetadata: none, defineMetadata: none });
}

export const x509 = await import("@peculiar/x509");
