// The identifiers of `csi/v1`: the registry of the three schemes, and its functions by name. What each
// does stands in registry.ts and prefix-space.ts; what a canonical form is stands in the scheme's file.

import { acct } from "./acct.js";
import { mailto } from "./mailto.js";
import { createCsiRegistry } from "./registry.js";
import { tel } from "./tel.js";

export const csiRegistry = createCsiRegistry([tel, mailto, acct]);

export const { parseCsi, csiScheme, csiLabels, csiProofMethods } = csiRegistry;
export const { parsePrefix, prefixLabels, prefixOf, prefixesOfCsi, parentPrefix } = csiRegistry;
export const { prefixDepth, isWithin, isCsiWithin, comparePrefixes, disclosureLimit } = csiRegistry;
/** Whether the text is a canonical CSI already. Annotated: assertions need an explicit type. */
export const isCanonicalCsi: typeof csiRegistry.isCanonicalCsi = csiRegistry.isCanonicalCsi;
