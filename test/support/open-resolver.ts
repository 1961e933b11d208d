// A resolver in the test's own process, on a federation of real ones, with an MSP's certificate.

import { createResolver, type Resolver, type ResolverOptions } from "@whither/resolver";
import type { FederationFiles } from "./federation.js";

export async function openResolver(
  files: FederationFiles,
  options: Partial<ResolverOptions> = {},
): Promise<Resolver> {
  return createResolver({
    anchors: files.anchors,
    directory: `127.0.0.1:${files.rootPort}`,
    identity: {
      cert: files.path("pki", "wire.example.pem"),
      key: files.path("pki", "wire.example-key.pem"),
    },
    ...options,
  });
}
