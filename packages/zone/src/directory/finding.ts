// A finding of `zone check`: a rule, a place in a source, and what stands there. The rules are in check.ts
// (prefixes) and check-parties.ts (parties).

import type { Manifest, RootKeys, ZoneName } from "@whither/protocol";
import type { CompiledDirectory } from "./compile.js";
import type { Directory } from "./directory.js";
import type { RegistrySource } from "./registry-source.js";
import type { RootSource } from "./root-source.js";
import type { NodeTrust } from "./trust.js";

export interface Finding {
  /** An error refuses the zone; a warning wants a second look. */
  readonly severity: "error" | "warning";
  readonly rule:
    | "overlap"
    | "orphan"
    | "cycle"
    | "public-suffix"
    | "undisclosed"
    | "small-zone"
    | "expiry"
    | "policy"
    | "manifest"
    | "registry-bit"
    | "key-dropped"
    | "replica"
    | "size";
  readonly file: string;
  readonly line: number;
  /** Prefix, zone or party the finding is about. */
  readonly subject: string;
  readonly text: string;
}

export interface ZoneCheck {
  readonly root: RootSource;
  readonly registry: RegistrySource;
  readonly compiled: CompiledDirectory;
  /** Decoded manifests of zones, the newest of each; those known by hash only are absent. */
  readonly manifests: ReadonlyMap<ZoneName, Manifest>;
  /** The root key set to sign under, if it is at hand. */
  readonly rootKeys?: RootKeys | undefined;
  /** The last artefact, verified, if there is one. */
  readonly previous?: Directory<NodeTrust> | undefined;
  readonly nowSeconds: number;
}
