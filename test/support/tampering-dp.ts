// A discovery provider that lies: it has the DP's own certificate and stands where the directory says, passes
// everything on to the honest daemon, and changes one bit of every bucket it hands out.

import { readFile } from "node:fs/promises";
import {
  createRpcServer,
  decodeMessage,
  encodeMessage,
  implementService,
  openChannel,
  openRawDuplex,
  notAvailable,
} from "@whither/rpc";
import { FetchResponseSchema, Zone } from "@whither/wire";

export interface TamperingDp extends AsyncDisposable {
  /** Buckets that were changed so far. */
  tampered(): number;
}

/** Listens on `port` and forwards to the honest public listener on `upstreamPort`. */
export async function startTamperingDp(options: {
  readonly port: number;
  readonly upstreamPort: number;
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly caFile: string;
}): Promise<TamperingDp> {
  const [certPem, keyPem, caPem] = await Promise.all(
    [options.certificateFile, options.keyFile, options.caFile].map((path) =>
      readFile(path, "utf8"),
    ),
  );
  if (certPem === undefined || keyPem === undefined || caPem === undefined) throw new TypeError();
  const upstream = openChannel({ host: "127.0.0.1", port: options.upstreamPort, caPem });
  let tampered = 0;
  const change = (bytes: Uint8Array): Uint8Array => {
    const response = decodeMessage(FetchResponseSchema, bytes);
    if (response.response.case !== "bucket") return bytes;
    const { entries } = response.response.value;
    entries[0] = (entries[0] ?? 0) ^ 1;
    tampered += 1;
    return encodeMessage(FetchResponseSchema, response);
  };
  const server = createRpcServer({
    identity: { certPem, keyPem },
    clients: { kind: "none" },
    services: [
      implementService(Zone, {
        transfer: notAvailable,
        watch: notAvailable,
        fetch: {
          rawCallback: (_context, stream) => {
            const honest = openRawDuplex(
              { channel: upstream, method: Zone.method.fetch },
              {
                onMessage: (bytes) => void stream.send(change(bytes)),
                onClose: () => stream.end(),
              },
            );
            stream.onMessage((bytes) => void honest.send(bytes));
            stream.onEnd(() => honest.end());
          },
        },
        bucket: notAvailable,
        bodies: notAvailable,
        getHead: notAvailable,
        getManifest: notAvailable,
      }),
    ],
  });
  await server.listen({ host: "127.0.0.1", port: options.port });
  return {
    tampered: () => tampered,
    async [Symbol.asyncDispose]() {
      await server.close();
      upstream.close();
    },
  };
}
