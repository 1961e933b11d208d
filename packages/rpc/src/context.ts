// What a handler learns about one incoming call, the same over gRPC and in memory.
// Holds facts only; limits and checks are interceptors (interceptors.ts).

/** The four shapes of an RPC, in protobuf-es's words. */
export type MethodKind = "unary" | "server_streaming" | "client_streaming" | "bidi_streaming";

/** The authenticated other end. `anonymous` is what a listener without client certificates sees. */
export type Peer =
  | {
      readonly kind: "certificate";
      /** SHA-256 of the certificate's SubjectPublicKeyInfo, 32 bytes. */
      readonly spkiSha256: Uint8Array;
      /** Subject alternative names, bare (`wire.example`, `192.0.2.1`), as the CA signed them. */
      readonly names: readonly string[];
      readonly certificateDer: Uint8Array;
    }
  | { readonly kind: "anonymous" };

/** First value per lower-case key; keys that end in `-bin` hold bytes. */
export type CallMetadata = ReadonlyMap<string, string | Uint8Array>;

export interface CallContext {
  readonly peer: Peer;
  /** IP address of the other end, without port; in memory the name it connected as. */
  readonly address: string;
  /** Aborts when the client leaves, its deadline passes, or the server closes. */
  readonly signal: AbortSignal;
  /**
   * Aborts when the server takes no new calls. A stream that a client keeps open answers what it owes and
   * ends; whoever calls next goes elsewhere, instead of staying until the drain's time is over.
   */
  readonly draining: AbortSignal;
  /** Point on the server's clock, in milliseconds, at which nobody waits any more. */
  readonly deadlineMs: number | undefined;
  readonly metadata: CallMetadata;
  /** `/whither.v1.Zone/Fetch`. */
  readonly method: string;
  readonly methodKind: MethodKind;
}

/** Key under which limits of a peer are counted: its key if it has one, else its address prefix. */
export function peerKey({ peer, address }: Pick<CallContext, "peer" | "address">): string {
  if (peer.kind === "certificate") return Buffer.from(peer.spkiSha256).toString("base64url");
  return addressPrefix(address);
}

/** IPv4 whole, IPv6 by its /64: one subscriber holds a whole /64 and would get 2^64 budgets otherwise. */
export function addressPrefix(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  const bare = address.split("%", 1)[0] ?? address;
  if (!bare.includes(":")) return bare;
  const [head = "", tail] = bare.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length);
  const groups = [...left, ...Array.from({ length: zeros }, () => "0"), ...right];
  return `${groups
    .slice(0, 4)
    .map((group) => parseInt(group, 16).toString(16))
    .join(":")}::/64`;
}
