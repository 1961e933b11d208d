import { expect } from "chai";
import { DiscoveryError } from "@whither/protocol";
import type { DuplexListener } from "@whither/rpc";
import { createSeededRandom, createSimulatedClock } from "@whither/testkit";
import { CorrelatedStream, type CorrelatedStreamOptions } from "./correlated-stream.js";
import { codeOf } from "./scripted-zone.test.js";

interface Opened {
  readonly listener: DuplexListener<Uint8Array>;
  readonly sent: { readonly id: bigint; readonly request: number }[];
  cancelled: boolean;
}

/** A stream whose messages are two numbers: id and content; content 255 is a failure, 254 is malformed. */
function setUp(more: Partial<CorrelatedStreamOptions<number, number>> = {}) {
  const streams: Opened[] = [];
  const stream = new CorrelatedStream<number, number>({
    upstream: "dp:1",
    messageBytesMax: 1_000,
    clock: createSimulatedClock(),
    open: (listener) => {
      const opened: Opened = { listener, sent: [], cancelled: false };
      streams.push(opened);
      return {
        send: ([id = 0, request = 0]: Uint8Array) =>
          opened.sent.push({ id: BigInt(id), request }) > 0,
        end: () => undefined,
        cancel: () => {
          opened.cancelled = true;
        },
        pause: () => undefined,
        resume: () => undefined,
      };
    },
    encode: (id, request) => Uint8Array.of(Number(id), request),
    decode: ([id = 0, value = 0]) => {
      if (value === 254) throw new RangeError("malformed");
      return {
        id: BigInt(id),
        result: value === 255 ? new DiscoveryError("BLOCKED", "no") : value,
      };
    },
    ...more,
  });
  const request = (value: number, signal = new AbortController().signal) =>
    stream.request(value, { signal }).then(({ response }) => response);
  const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
  return { stream, streams, request, turn };
}

describe("correlated stream", () => {
  it("answers in any order on one stream, opened when it is first needed", async () => {
    const { streams, request, turn } = setUp();
    expect(streams).to.have.length(0);
    const both = [request(7), request(8)];
    await turn();
    streams[0]!.listener.onMessage(Uint8Array.of(2, 80));
    streams[0]!.listener.onMessage(Uint8Array.of(1, 70));
    expect(await Promise.all(both)).to.deep.equal([70, 80]);
    expect(streams).to.have.length(1);
  });

  it("fails one request with its own error, and ignores the answer whose caller has left", async () => {
    const { streams, request, turn } = setUp();
    const controller = new AbortController();
    const left = codeOf(request(6, controller.signal));
    const one = codeOf(request(7));
    await turn();
    controller.abort();
    streams[0]!.listener.onMessage(Uint8Array.of(1, 1));
    streams[0]!.listener.onMessage(Uint8Array.of(2, 255));
    expect([await left, await one]).to.deep.equal(["CANCELLED", "BLOCKED"]);
    expect(streams[0]!.cancelled).to.equal(false);
  });

  it("answers what has been asked when it is retired, whatever waits for room, and then ends", async () => {
    const { stream, streams, request, turn } = setUp({ inFlightMax: 1 });
    const both = [request(7), request(8)];
    let settled = 0;
    await turn();
    stream.retire(() => (settled += 1));
    streams[0]!.listener.onMessage(Uint8Array.of(1, 70));
    expect([settled, streams[0]!.cancelled]).to.deep.equal([0, false]);
    streams[0]!.listener.onMessage(Uint8Array.of(2, 80));
    expect(await Promise.all(both)).to.deep.equal([70, 80]);
    expect([settled, streams[0]!.cancelled]).to.deep.equal([1, true]);
    expect(await codeOf(request(9))).to.equal("CANCELLED");
  });

  it("is settled at once when nobody waits, or when the last who did has left or was failed", async () => {
    const idle = setUp();
    let settled = 0;
    idle.stream.retire(() => (settled += 1));
    expect(settled).to.equal(1);

    const left = setUp();
    const controller = new AbortController();
    const gone = codeOf(left.request(7, controller.signal));
    await left.turn();
    left.stream.retire(() => (settled += 1));
    controller.abort();
    expect([await gone, settled]).to.deep.equal(["CANCELLED", 2]);

    const broken = setUp();
    const failed = codeOf(broken.request(7));
    await broken.turn();
    broken.stream.retire(() => (settled += 1));
    broken.streams[0]!.listener.onClose(undefined);
    expect([await failed, settled]).to.deep.equal(["NETWORK", 3]);

    const closed = setUp();
    const cut = codeOf(closed.request(7));
    await closed.turn();
    closed.stream.retire(() => (settled += 1));
    closed.stream.close();
    expect([await cut, settled], "who closes it knows").to.deep.equal(["CANCELLED", 3]);
  });

  it("gives a stream up that answers what nobody asked, or twice", async () => {
    for (const answers of [[9], [0], [1, 1]]) {
      const { streams, request, turn } = setUp();
      const both = [codeOf(request(7)), codeOf(request(8))];
      await turn();
      for (const id of answers) streams[0]!.listener.onMessage(Uint8Array.of(id, 1));
      expect((await Promise.all(both))[1]).to.equal("INVALID_DATA");
      expect(streams[0]!.cancelled).to.equal(true);
    }
  });

  it("gives a stream up on which too many answers are owed to callers who have left", async () => {
    const { streams, request, turn } = setUp({ inFlightMax: 2, unansweredMax: 3 });
    for (let n = 0; n < 4; n++) {
      const controller = new AbortController();
      const left = codeOf(request(n, controller.signal));
      await turn();
      controller.abort();
      expect(await left).to.equal("CANCELLED");
    }
    expect(streams[0]!.cancelled).to.equal(true);
    const next = request(9);
    await turn();
    streams[1]!.listener.onMessage(Uint8Array.of(5, 90));
    expect(await next).to.equal(90);
  });

  it("takes a stream for dead that was silent for 1.5 s when a caller leaves, not one that is slow", async () => {
    const clock = createSimulatedClock();
    let silences = 0;
    const { streams, request, turn } = setUp({ clock, onSilent: () => (silences += 1) });
    const callers = [new AbortController(), new AbortController(), new AbortController()];
    const codes = callers.map(({ signal }, n) => codeOf(request(n + 1, signal)));
    await turn();
    await clock.advance(1_499);
    streams[0]!.listener.onMessage(Uint8Array.of(1, 10));
    await clock.advance(1_499);
    callers[1]!.abort();
    expect([streams[0]!.cancelled, silences]).to.deep.equal([false, 0]);
    const last = codeOf(request(4));
    await turn();
    await clock.advance(1_500);
    callers[2]!.abort();
    expect(await Promise.all(codes)).to.deep.equal(["ok", "CANCELLED", "CANCELLED"]);
    expect(await last).to.equal("NETWORK");
    expect([streams[0]!.cancelled, silences]).to.deep.equal([true, 1]);
    const again = request(5);
    await turn();
    expect(streams).to.have.length(2);
    streams[1]!.listener.onMessage(Uint8Array.of(Number(streams[1]!.sent[0]!.id), 50));
    expect(await again).to.equal(50);
  });

  it("fails all with NETWORK or the stream's error when it breaks, and opens a new one", async () => {
    for (const [error, code] of [
      [undefined, "NETWORK"],
      [new DiscoveryError("PIN_MISMATCH", "other key"), "PIN_MISMATCH"],
      // Nobody here gave up: the server reset the stream.
      [new DiscoveryError("CANCELLED", "the call was cancelled"), "NETWORK"],
      [new DiscoveryError("DEADLINE", "no answer"), "NETWORK"],
    ] as const) {
      const { streams, request, turn } = setUp();
      const both = [codeOf(request(7)), codeOf(request(8))];
      await turn();
      streams[0]!.listener.onClose(error);
      expect(await Promise.all(both)).to.deep.equal([code, code]);
      const again = request(9);
      await turn();
      // What the old stream still says does not count.
      streams[0]!.listener.onMessage(Uint8Array.of(3, 1));
      streams[1]!.listener.onMessage(Uint8Array.of(3, 90));
      expect(await again).to.equal(90);
    }
  });

  it("owes nobody on a new stream what was owed on the old one", async () => {
    const { streams, request, turn } = setUp();
    const controller = new AbortController();
    const left = codeOf(request(6, controller.signal));
    await turn();
    controller.abort();
    expect(await left).to.equal("CANCELLED");
    streams[0]!.listener.onClose(undefined);
    const one = codeOf(request(7));
    await turn();
    streams[1]!.listener.onMessage(Uint8Array.of(1, 60));
    expect(await one).to.equal("INVALID_DATA");
    expect(streams[1]!.cancelled).to.equal(true);
  });

  it("gives a stream up that sends what cannot be parsed", async () => {
    const { streams, request, turn } = setUp();
    const one = codeOf(request(7));
    await turn();
    streams[0]!.listener.onMessage(Uint8Array.of(1, 254));
    expect(await one).to.equal("INVALID_DATA");
    expect(streams[0]!.cancelled).to.equal(true);
  });

  it("keeps no more than its window in flight, and frees a place when a caller leaves", async () => {
    const { streams, request, turn } = setUp({ inFlightMax: 2 });
    const controller = new AbortController();
    const left = codeOf(request(1, controller.signal));
    void request(2);
    void request(3);
    void request(4);
    await turn();
    const sent = () => streams[0]!.sent.map((one) => one.request);
    expect(sent()).to.deep.equal([1, 2]);
    controller.abort();
    expect(await left).to.equal("CANCELLED");
    expect(sent()).to.deep.equal([1, 2, 3]);
    streams[0]!.listener.onMessage(Uint8Array.of(2, 1));
    expect(sent()).to.deep.equal([1, 2, 3, 4]);
  });

  it("does not send what was taken back in the same turn", async () => {
    const { streams, request, turn } = setUp();
    const controller = new AbortController();
    const left = codeOf(request(1, controller.signal));
    controller.abort();
    await turn();
    expect([await left, streams.length]).to.deep.equal(["CANCELLED", 0]);
    expect(await codeOf(request(1, AbortSignal.abort()))).to.equal("CANCELLED");
  });

  it("shuffles the requests of a turn, each exactly once, ids ascending", async () => {
    const { streams, request, turn } = setUp({ shuffle: createSeededRandom(5) });
    const values = Array.from({ length: 40 }, (_, i) => i);
    for (const value of values) void request(value);
    await turn();
    const { sent } = streams[0]!;
    expect(sent.map((one) => one.request)).not.to.deep.equal(values);
    expect(sent.map((one) => one.request).toSorted((a, b) => a - b)).to.deep.equal(values);
    expect(sent.map(({ id }) => id)).to.deep.equal(values.map((i) => BigInt(i + 1)));
  });

  it("fails everything with CANCELLED when it is closed, later requests too", async () => {
    const { stream, streams, request, turn } = setUp();
    const one = codeOf(request(7));
    await turn();
    stream.close();
    expect(await one).to.equal("CANCELLED");
    expect(streams[0]!.cancelled).to.equal(true);
    expect(await codeOf(request(8))).to.equal("CANCELLED");
  });

  it("gives a stream up whose answer is over its size limit", async () => {
    const { streams, request, turn } = setUp({ messageBytesMax: 2 });
    const asked = codeOf(request(7));
    await turn();
    streams[0]!.listener.onMessage(Uint8Array.of(1, 7, 0));
    expect(await asked).to.equal("TOO_LARGE");
    expect(streams[0]!.cancelled).to.equal(true);
  });
});
