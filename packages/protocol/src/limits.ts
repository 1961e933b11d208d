// Named limits with unit and source. `protocol.md` numbers are defaults; those an operator may move
// are config fields that take their default and bounds from here.

export const limits = {
  /** `lp(x)` takes at most this many octets (protocol.md, preamble). */
  lengthPrefixedBytesMax: 1024,
  /** Canonical CSI: RFC 5321's 254 octets of address plus the longest scheme. */
  csiBytesMax: 262,
  /** Name of a zone. */
  zoneNameBytesMax: 255,
  /** Message of any RPC (section 7). */
  messageBytesMax: 4 * 1024 * 1024,
  /** Blinded elements of one Evaluate (section 5). */
  evaluateElementsMax: 512,
  /** `Bodies` hashes of one request. A verbose batch of four contacts. */
  bodiesPerRequestMax: 128,
  /** Mappings of one slot (section 4). */
  mappingsPerSlotMax: 8,
  /** Key-links of one slot, so four keys of one holder. Two verifications each, within a zone's 12 (section 7). */
  keyLinksPerSlotMax: 3,
  /** Tags of one item and their length in UTF-8 octets (section 6). */
  tagsPerItemMax: 4,
  tagBytesMax: 64,
  /** Authorities of a node, endpoints of an authority, pins of an endpoint, manifests (section 3). */
  authoritiesMax: 8,
  endpointsMax: 13,
  pinsMax: 2,
  manifestHashesMax: 2,
  /** Root key sets by which the KSKs changed, carried for readers of older anchors (section 2). */
  earlierRootKeysMax: 16,
  /** Depth of the bucket tree (section 4). */
  bucketDepthMax: 30,
  /** Bytes of one entry: idx 16, since 8, masked 12, vhash 32 (section 4). */
  entryBytes: 68,
  maskedBytes: 12,
  mspBitsPerEntry: 64,
  /** Size classes of a sealed slot body in bytes, before nonce (12) and tag (16). */
  bodyClassBytes: [1024, 2048, 4096, 8192, 16384],
  /** `pad` of a head is a multiple of this (section 4). */
  padBytes: 4096,
  /** Signatures that one signed object may carry. */
  signaturesMax: 16,

  /** Clock tolerance (section 2). */
  clockSkewSeconds: 300,
  /** Head lifetime, publication, heartbeat, promise (section 4, 6). */
  headLifetimeSeconds: 30 * 60,
  epochSeconds: 30,
  heartbeatSeconds: 10 * 60,
  promiseSeconds: 60,
  offerSeconds: 15 * 60,
  /** A first payload's established_at lies within this of now (section 6). */
  establishedSkewSeconds: 10 * 60,
  mappingLifetimeSecondsMax: 90 * 86_400,
  telCredentialLifetimeSecondsMax: 45 * 86_400,
  credentialLifetimeSecondsMax: 90 * 86_400,
  /** A later manifest that its predecessor did not sign takes effect after this (section 2). */
  manifestHoldSeconds: 72 * 3600,
  /** A zone uses a successor so long after the TTL of the node that first names it (section 2). */
  switchDelaySeconds: 3600,
  /** A VOPRF key is served so long after it has been replaced (section 4). */
  kidOverlapSeconds: 72 * 3600,

  /** Directory artefact (section 3). */
  nodeLifetimeSeconds: 7 * 86_400,
  mirrorPollSeconds: 900,
  directoryNodesMax: 1_000_000,
  registryRecordsMax: 100_000,
  /** A whole directory, as a file or a Transfer: 1,000,000 small nodes. */
  directoryBytesMax: 512 * 1024 * 1024,
  /** Parts of the directory one below the other on the way to an answer (ADR on parts): country, region, network. */
  directoryPartsMax: 3,
  /** Parts that one process walks at once, the nodes it keeps of each, and the zones whose serials it remembers. */
  partsWalkedMax: 64,
  partNodesMax: 512,
  partMarksMax: 4_096,

  /** Per query (section 7). */
  queryRpcsMax: 24,
  queryReferralsMax: 8,
  queryPortsMax: 4,
  /** Servers that one question reaches for, of the 13 that a zone may name. */
  serversPerQuestionMax: 4,
  queryVerificationsPerZone: 12,
  queryVerificationsPerMapping: 4,
  queryBytesCompactMax: 64 * 1024,
  queryBytesVerboseMax: 1024 * 1024,
  queryTimeoutMs: 7_000,
  /** Largest answers on the resolver's streams: 32 bodies of the largest class, or a bucket; 512 elements and a proof. */
  fetchAnswerBytesMax: 1024 * 1024,
  evaluateAnswerBytesMax: 64 * 1024,

  /** Per client identity (section 7). */
  clientRequestsPerSecond: 50,
  clientRequestsBurst: 125,
  clientCpuMsPerSecond: 250,
  clientCpuBurstMs: 2_000,
  publicBytesPerMinute: 64 * 1024 * 1024,
  newContactsMspBurst: 50_000,
  newContactsMspPerDay: 10_000,
  newContactsClientBurst: 2_000,
  newContactsClientPerDay: 20,
  inFlightPerPeerMax: 64,
  waitersPerKeyMax: 256,

  /** Places of one page of a zone's slots, for its operator. */
  listedSlotsMax: 10_000,

  /** Replicas (section 4, "Stored"): what follows a zone over the network. */
  /** Slots of a zone that is followed: 20 M take 1.4 GB of entries. */
  transferSlotsMax: 20_000_000,
  /** Changes sent epoch by epoch; a secondary further behind takes the whole tree. */
  transferChangesMax: 65_536,
  /** Transfers at once, over all clients and for one address. */
  transfersMax: 8,
  transfersPerAddressMax: 2,
  /** Longest silence of a transfer's other end. */
  transferStallMs: 60_000,
  /** Longest transfer: 10 GB at the public rate of 64 MiB a minute. */
  transferTimeoutMs: 4 * 3_600_000,
  /** Streams of a vault at once; what waits for one that reads slowly. */
  vaultStreamsMax: 8,
  vaultChangesWaitingMax: 16_384,
  /** Own secondaries of a zone. */
  replicationPeersMax: 64,
  /** Streams of Watch at once, over all clients and for one address. */
  watchersMax: 10_000,
  watchersPerAddressMax: 32,
  /** Pause between two messages of Watch at most: as heads come anyway. Lost connections are the transport's. */
  watchKeepAliveSeconds: 10 * 60,

  /** Zones that a resolver listens to, those used latest. */
  watchedZonesMax: 64,

  /** Cache (section 8). */
  cacheBytes: 64 * 1024 * 1024,
  mappingTtlSecondsMin: 5,
  mappingTtlSecondsMax: 3_600,
  absenceTtlSecondsMax: 60,
  absenceTtlSecondsZoneMax: 300,
  directoryTtlSecondsMax: 86_400,
  /** A node that holds an authority back: who walks hears of its return as soon (ADR on withdrawal). */
  withdrawnTtlSeconds: 300,
  failureTtlSecondsMin: 5,
  /** Of the caches in a file from one run to the next. */
  keptCacheBytesMax: 64 * 1024 * 1024,
  failureTtlSecondsMax: 300,
  headStaleSeconds: 15 * 60,
  /** Serve-stale: after so long, for so long after expiry, with this lifetime (section 8, RFC 8767). */
  staleAfterMs: 1_800,
  staleSecondsMax: 86_400,
  staleTtlSeconds: 30,
  /** Prefetch: in this last part of the lifetime, after so many hits (section 8). */
  prefetchLastShare: 0.1,
  prefetchHitsMin: 2,
  /** Resolutions in the background of one resolver, and those of them that are prefetches. */
  renewalsMax: 256,
  prefetchesMax: 32,

  /** Finding servers through the DNS (section 3; RFC 9460, RFC 2782). */
  /** DNS Flag Day 2020: crosses today's networks without fragments. */
  dnsUdpBytesMax: 1_232,
  /** A response over TCP: 13 servers with everything that describes them, several times over. */
  dnsTcpBytesMax: 16 * 1024,
  /** CNAME and AliasMode together. */
  dnsAliasesMax: 8,
  /** Name servers that one question is put to: resolv.conf names as many. */
  dnsNameServersMax: 3,
  /** A first try's time, doubled for the second, and all questions of one search together. */
  dnsTimeoutMs: 1_000,
  dnsSearchTimeoutMs: 5_000,
  /** Datagrams for one question that are no response to it: then somebody guesses, and TCP is asked. */
  dnsForeignPacketsMax: 16,
  /** Of one name and family; in all for one search. */
  dnsAddressesPerName: 2,
  dnsAddressesMax: 16,
  /** A fresh absence of such records (RFC 2308 section 5). */
  dnsAbsenceSecondsMax: 300,

  /** Entries that hide the wanted one in a verbose request, itself included (section 5). */
  decoyBodies: 32,
} as const;
