// The onion: order, refusals, and counts that come back to where they were.
import { expect } from "chai";
import { DiscoveryError, isDiscoveryError } from "@whither/protocol";
import { createManualClock } from "../test/manual-clock.js";
import { addressPrefix, peerKey } from "./context.js";
import type { CallContext, Peer } from "./context.js";
import {
  compose,
  identityInterceptor,
  inFlightInterceptor,
  metricsInterceptor,
} from "./interceptors.js";
import type { CallSample, ServerInterceptor } from "./interceptors.js";

const certificate = (fill: number): Extract<Peer, { kind: "certificate" }> => ({
  kind: "certificate",
  spkiSha256: new Uint8Array(32).fill(fill),
  names: [],
  certificateDer: new Uint8Array(),
});

const context = (peer: Peer, address = "192.0.2.1"): CallContext => ({
  peer,
  address,
  signal: new AbortController().signal,
  draining: new AbortController().signal,
  deadlineMs: undefined,
  metadata: new Map(),
  method: "/whither.test.Echo/Unary",
  methodKind: "unary",
});

const codeOf = async (work: Promise<void>): Promise<string> => {
  try {
    await work;
    return "OK";
  } catch (error) {
    return isDiscoveryError(error) ? error.code : "another error";
  }
};

describe("interceptors", () => {
  it("run from the first of the list inwards, and see the way back in reverse", async () => {
    const seen: string[] = [];
    const layer =
      (name: string): ServerInterceptor =>
      async (given, next) => {
        seen.push(`${name} in`);
        await next(given);
        seen.push(`${name} out`);
      };
    await compose([layer("a"), layer("b")], () => {
      seen.push("handler");
      return Promise.resolve();
    })(context({ kind: "anonymous" }));
    expect(seen).to.deep.equal(["a in", "b in", "handler", "b out", "a out"]);
  });

  it("identity refuses anonymous peers and those not admitted", async () => {
    const admit = identityInterceptor({ admit: ({ spkiSha256 }) => spkiSha256[0] === 1 });
    const done = (): Promise<void> => Promise.resolve();
    expect(await codeOf(admit(context(certificate(1)), done))).to.equal("OK");
    expect(await codeOf(admit(context(certificate(2)), done))).to.equal("PROHIBITED");
    expect(await codeOf(admit(context({ kind: "anonymous" }), done))).to.equal("UNAUTHENTICATED");
  });

  it("in-flight limits count each peer apart and give back on success and failure", async () => {
    const limit = inFlightInterceptor({ perPeerMax: 2 });
    const release: ((error?: Error) => void)[] = [];
    const open = (fill: number): Promise<string> =>
      codeOf(
        limit(
          context(certificate(fill)),
          () =>
            new Promise((resolve, reject) => {
              release.push((error) => (error === undefined ? resolve() : reject(error)));
            }),
        ),
      );
    const first = open(1);
    const second = open(1);
    expect(await open(1)).to.equal("LIMITED");
    const otherPeer = open(2);
    release[0]?.();
    release[1]?.(new DiscoveryError("STALE", "x"));
    expect([await first, await second]).to.deep.equal(["OK", "STALE"]);
    const third = open(1);
    for (const end of release) end();
    expect([await third, await otherPeer]).to.deep.equal(["OK", "OK"]);
  });

  it("metrics report code and duration, INTERNAL for what is no DiscoveryError", async () => {
    const clock = createManualClock();
    const samples: CallSample[] = [];
    const metrics = metricsInterceptor({ clock, onCall: (sample) => samples.push(sample) });
    const given = context({ kind: "anonymous" });
    await metrics(given, () => clock.advance(25));
    await codeOf(metrics(given, () => Promise.reject(new DiscoveryError("BLOCKED", "x"))));
    await codeOf(metrics(given, () => Promise.reject(new TypeError("x"))));
    expect(samples.map(({ code, durationMs }) => [code, durationMs])).to.deep.equal([
      ["OK", 25],
      ["BLOCKED", 0],
      ["INTERNAL", 0],
    ]);
  });
});

describe("the key under which a peer is counted", () => {
  const table: readonly (readonly [string, string])[] = [
    ["192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:db8:1:2::9", "2001:db8:1:2::/64"],
    ["2001:0db8:0001:0002::", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
  ];
  for (const [address, expected] of table) {
    it(`takes ${address} as ${expected}`, () => expect(addressPrefix(address)).to.equal(expected));
  }

  it("is the key of the certificate wherever the peer connects from", () => {
    const a = peerKey(context(certificate(1), "192.0.2.1"));
    expect(a).to.equal(peerKey(context(certificate(1), "2001:db8::1")));
    expect(a).to.not.equal(peerKey(context(certificate(2), "192.0.2.1")));
  });
});
