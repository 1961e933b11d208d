// Where a directory is, from the words of a configuration: a server, a file, or a domain whose servers the DNS names.

import { getServers } from "node:dns";
import type { DirectorySource } from "@whither/directory";
import { DiscoveryError } from "@whither/protocol";
import {
  parseDomain,
  parseHostPort,
  parseNameServer,
  type Clock,
  type HostPort,
  type Random,
} from "@whither/runtime";
import { DnsClient } from "./dns/client.js";
import { DirectoryLocation } from "./dns/directory-location.js";
import { createDnsExchange, type DnsExchange } from "./dns/exchange.js";

export interface DirectorySourceOptions {
  /** IP addresses and ports; those of this machine unless told. */
  readonly nameServers?: readonly HostPort[] | undefined;
  readonly clock: Clock;
  readonly random: Random;
  /** Sockets of this machine unless told. */
  readonly dnsExchange?: DnsExchange | undefined;
}

const dnsScheme = "dns:";

/**
 * `host:port` of a public port, `dns:example.org`, or the path of a signed artefact. Throws CONFIG for a domain
 * that is none.
 */
export function parseDirectorySource(
  text: string,
  options: DirectorySourceOptions,
): DirectorySource {
  if (text.startsWith(dnsScheme)) {
    const domain = parseDomain(text.slice(dnsScheme.length));
    if (domain === undefined) {
      throw new DiscoveryError("CONFIG", "directory: expected a domain in lower case after dns:");
    }
    const client = createDnsClient(options);
    return { kind: "located", locator: new DirectoryLocation({ ...options, domain, client }) };
  }
  const server = text.includes("/") ? undefined : parseHostPort(text);
  return server === undefined ? { kind: "file", path: text } : { kind: "server", ...server };
}

export function createDnsClient(options: DirectorySourceOptions): DnsClient {
  const { nameServers = [], clock, random, dnsExchange: exchange } = options;
  return new DnsClient({
    servers: nameServers.length === 0 ? systemNameServers : () => nameServers,
    exchange: exchange ?? createDnsExchange(random),
    clock,
    random,
  });
}

/** Of resolv.conf, as Node read it when it started. A link-local one, with its scope as text, is passed over. */
function systemNameServers(): readonly HostPort[] {
  return getServers().flatMap((text) => parseNameServer(text) ?? []);
}
