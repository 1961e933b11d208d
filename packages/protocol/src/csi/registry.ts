// The scheme registry: everything that identifiers of all schemes have in common (protocol.md
// section 1, `csi/v1`). Adding a scheme is one file and one element in the list given here.

import type { Csi } from "../brands.js";
import { isDiscoveryError } from "../errors.js";
import { limits } from "../limits.js";
import { createPrefixSpace } from "../prefix-space.js";
import type { PrefixSpace } from "../prefix-space.js";
import { invalidCsi, utf8Length } from "./scheme.js";
import type { CsiScheme } from "./scheme.js";

/** Longest text that is looked at, in UTF-16 units: a canonical CSI with every octet escaped. */
const inputCharsMax = 1024;

export interface ParseCsiOptions {
  /** ISO 3166-1 alpha-2 region of numbers in national form, either case. */
  readonly defaultRegion?: string;
}

export interface CsiRegistry extends PrefixSpace {
  /** Registered schemes, `tel`, in the order of registration. */
  readonly csiSchemes: readonly string[];
  /**
   * Canonical form of a URI (canonical or not), a number with `+`, an e-mail address, or a number in
   * national form with `defaultRegion`. Throws INVALID_CSI; its text never repeats the input.
   */
  readonly parseCsi: (text: string, options?: ParseCsiOptions) => Csi;
  /** Whether the text is exactly what `parseCsi` would return for it. Never throws. */
  readonly isCanonicalCsi: (text: string) => text is Csi;
  /** Scheme of a CSI, without the colon. */
  readonly csiScheme: (csi: Csi) => string;
  /**
   * Delegation labels without the scheme, highest first: the digits of a number from left to right,
   * the labels of a domain from right to left. The part before `@` is in none of them.
   */
  readonly csiLabels: (csi: Csi) => readonly string[];
  /** Methods by which possession of this CSI can be proved, as prover records name them. */
  readonly csiProofMethods: (csi: Csi) => readonly string[];
}

/** A registry of these schemes. Two schemes of one name are a TypeError. */
export function createCsiRegistry(schemes: readonly CsiScheme[]): CsiRegistry {
  const byName = new Map(schemes.map((scheme) => [scheme.scheme, scheme]));
  if (byName.size !== schemes.length) throw new TypeError("two schemes have one name");
  const schemeOf = (csi: Csi): CsiScheme => schemeOfText(byName, csi);
  const parseCsi = (text: string, options: ParseCsiOptions = {}): Csi =>
    parseWith(schemes, { text, options });
  return {
    csiSchemes: [...byName.keys()],
    parseCsi,
    isCanonicalCsi: (text): text is Csi => {
      try {
        return parseCsi(text) === text;
      } catch (error) {
        if (isDiscoveryError(error, "INVALID_CSI")) return false;
        throw error;
      }
    },
    csiScheme: (csi) => schemeOf(csi).scheme,
    csiLabels: (csi) => schemeOf(csi).labels(bodyOf(csi)),
    csiProofMethods: (csi) => schemeOf(csi).proofMethods,
    ...createPrefixSpace(byName),
  };
}

interface ParseRequest {
  readonly text: string;
  readonly options: ParseCsiOptions;
}

function parseWith(schemes: readonly CsiScheme[], { text, options }: ParseRequest): Csi {
  if (text.length > inputCharsMax) throw invalidCsi("the identifier is too long");
  const trimmed = text.trim();
  if (trimmed === "") throw invalidCsi("the identifier is empty");
  const name = /^([a-z][a-z0-9+.-]*):/i.exec(trimmed)?.[1]?.toLowerCase();
  const scheme = schemes.find((one) => (name ? one.scheme === name : one.claims(trimmed)));
  if (scheme === undefined) {
    throw invalidCsi(
      name === undefined
        ? "not a number with +, an e-mail address or a URI"
        : "the scheme is not supported",
    );
  }
  const body = scheme.parse({
    form: name === undefined ? "bare" : "uri",
    text: name === undefined ? trimmed : trimmed.slice(name.length + 1),
    ...options,
  });
  const csi = `${scheme.scheme}:${body}`;
  // A combining mark behind an escape such as %3D would compose with its last digit.
  if (csi.normalize("NFC") !== csi)
    throw invalidCsi("a combining mark follows a special character");
  if (utf8Length(csi) > limits.csiBytesMax) throw invalidCsi("the identifier is too long");
  return csi as Csi; // the one constructor of the brand: canonical by what stands above
}

function schemeOfText(byName: ReadonlyMap<string, CsiScheme>, text: string): CsiScheme {
  const scheme = byName.get(text.slice(0, text.indexOf(":")));
  if (scheme === undefined)
    throw new TypeError("a CSI of a scheme that this registry does not have");
  return scheme;
}

function bodyOf(csi: Csi): string {
  return csi.slice(csi.indexOf(":") + 1);
}
