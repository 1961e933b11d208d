// Branded strings and numbers that must not be swapped for one another. Each is made only by its
// `parseX` or by a strict codec; a bare string stops at the edge of the program.

declare const brand: unique symbol;
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** Canonical cross-service identifier, `csi/v1`: a URI string in NFC (`tel:+49…`, `mailto:…`, `acct:…`). */
export type Csi = Brand<string, "Csi">;
/** Prefix of the identifier space that can be delegated: `.`, `tel:`, `tel:+49`, `mailto:com`. */
export type Prefix = Brand<string, "Prefix">;
/** Zone name: `.` (root directory) or `name@dp_id`. At most 255 octets. */
export type ZoneName = Brand<string, "ZoneName">;
/** Discovery provider, its registry id: a lower-case host-like name of 1..253 octets. */
export type DpId = Brand<string, "DpId">;
/** Messaging service provider, its registry id: a lower-case domain name of 1..253 octets. */
export type MspId = Brand<string, "MspId">;
/** Prover, its registry id: a lower-case host-like name of 1..253 octets. */
export type ProverId = Brand<string, "ProverId">;
