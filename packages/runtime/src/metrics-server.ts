// The metrics page: plain HTTP on a loopback address, GET /metrics and nothing else.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { isIPv4 } from "node:net";
import { DiscoveryError } from "@whither/protocol";
import type { HostPort } from "./config-fields.js";
import { errnoOf } from "./files.js";
import type { Metrics } from "./metrics.js";

export interface MetricsServer extends AsyncDisposable {
  /** The port it listens on; of use where 0 was asked for. */
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Serves `metrics` at `http://host:port/metrics`. Only loopback addresses: the page is not
 * authenticated (Req 23). Throws CONFIG for another host, NETWORK when the port is taken.
 */
export async function serveMetrics(
  options: HostPort & { readonly metrics: Metrics },
): Promise<MetricsServer> {
  const { host, port, metrics } = options;
  if (!isLoopback(host)) {
    throw new DiscoveryError("CONFIG", "metrics: expected a loopback address");
  }
  const server = createServer((request, response) => {
    const path = (request.url ?? "").split("?", 1)[0];
    if (path !== "/metrics") return void response.writeHead(404).end();
    if (request.method !== "GET" && request.method !== "HEAD") {
      return void response.writeHead(405, { allow: "GET, HEAD" }).end();
    }
    metrics.text().then(
      (text) => response.writeHead(200, { "content-type": metrics.contentType }).end(text),
      () => response.writeHead(500).end(),
    );
  });
  server.headersTimeout = 5_000;
  server.requestTimeout = 5_000;
  server.maxConnections = 16;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => {
      const text = `metrics: cannot listen (${errnoOf(error) ?? "unknown"})`;
      reject(new DiscoveryError("NETWORK", text, { cause: error }));
    });
    server.listen({ host, port }, resolve);
  });
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  const address = server.address() as AddressInfo; // a server listening on host and port has one
  return { port: address.port, close, [Symbol.asyncDispose]: close };
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIPv4(host) && host.startsWith("127."));
}
