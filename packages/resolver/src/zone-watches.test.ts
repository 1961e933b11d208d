// Zone.Watch in a resolver: what a push does, and what streams that break, say nothing or lie cannot do.

import { expect } from "chai";
import { DiscoveryError, limits, parseCsi } from "@whither/protocol";
import { makeRegistrationParties } from "@whither/testkit";
import { signedObjectToWire, type ZoneWatchResponseSchema } from "@whither/wire";
import { nodeVerifier } from "@whither/zone";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { codeOf, contactOf, ScriptedZone, scriptedWorld } from "./scripted-zone.test.js";

const parties = makeRegistrationParties();
const { csi, nowSeconds } = parties;
const nobody = parseCsi("+14155550199");
type Push = MessageInitShape<typeof ZoneWatchResponseSchema>;

/** One stream of Watch as its server holds it. */
class Stream {
  readonly #waiting: Push[] = [];
  #wake = (): void => undefined;
  #end: DiscoveryError | undefined;
  isLeft = false;
  taken = 0;

  push(...pushes: readonly Push[]): void {
    this.#waiting.push(...pushes);
    this.#wake();
  }

  break(): void {
    this.#end = new DiscoveryError("NETWORK", "scripted");
    this.#wake();
  }

  async *run(signal: AbortSignal): AsyncGenerator<Push> {
    signal.addEventListener("abort", () => this.#wake());
    try {
      while (!signal.aborted && this.#end === undefined) {
        const next = this.#waiting.shift();
        if (next === undefined) await new Promise<void>((resolve) => (this.#wake = resolve));
        else {
          this.taken += 1;
          yield next;
        }
      }
      if (this.#end !== undefined) throw this.#end;
    } finally {
      this.isLeft = true;
    }
  }
}

/** A known contact, and a resolver that listens. */
async function listening(fillers = 40) {
  const zone = new ScriptedZone({ parties, contacts: [contactOf(parties)], fillers });
  const streams: Stream[] = [];
  zone.lies.watch = (signal) => {
    const stream = new Stream();
    streams.push(stream);
    return stream.run(signal);
  };
  const done = { verifications: 0 };
  const world = await scriptedWorld({
    zones: [zone],
    watch: true,
    verifier: {
      verify: (check) => {
        done.verifications += 1;
        return nodeVerifier.verify(check);
      },
    },
  });
  await world.resolver.lookup(csi);
  await world.clock.settle();
  const kinds = () => zone.asked.splice(0).map(({ kind }) => kind);
  kinds();
  let at = nowSeconds;
  /** Publishes, and tells the newest stream. */
  const push = async (change: () => void, told: Push = {}) => {
    await world.clock.advance(30_000);
    at += 30;
    change();
    zone.publish(at);
    streams
      .at(-1)!
      .push({ head: signedObjectToWire(zone.signedHead), changedBuckets: [0], ...told });
    await world.clock.settle();
  };
  const first = { head: signedObjectToWire(zone.signedHead), allChanged: true };
  streams[0]!.push(first);
  await world.clock.settle();
  return { zone, streams, kinds, push, done, ...world };
}

describe("a resolver that listens to the zones in use", () => {
  it("asks for a changed bucket when it is next wanted, not for its head, and not before", async () => {
    const { zone, resolver, kinds, push } = await listening();
    await push(() => zone.remove(csi));
    expect(kinds()).to.deep.equal([]);
    expect((await resolver.lookup(csi)).status).to.equal("none");
    expect(kinds()).to.deep.equal(["bucket"]);
  });

  it("finds who has just registered, whose absence it held", async () => {
    const { zone, resolver, kinds, push } = await listening();
    expect((await resolver.lookup(nobody)).status).to.equal("none");
    const theirs = contactOf({ ...parties, csi: nobody });
    await push(() => zone.publish(nowSeconds + 1, [theirs]));
    kinds();
    expect((await resolver.lookup(nobody)).status).to.equal("found");
  });

  it("keeps what did not change", async () => {
    const { zone, resolver, kinds, push } = await listening(600);
    const count = 2 ** zone.head.b;
    expect(count).to.be.greaterThan(1);
    for (let n = 0; n < count; n++) {
      await push(() => undefined, { changedBuckets: [n] });
      await resolver.lookup(csi);
    }
    expect(kinds()).to.deep.equal(["bucket"]);
  });

  it("keeps everything at a heartbeat, and nothing after a head that it missed", async () => {
    const { resolver, kinds, push, zone } = await listening();
    await push(() => undefined, { changedBuckets: [] });
    await resolver.lookup(csi);
    expect(kinds()).to.deep.equal([]);
    await push(() => zone.publish(nowSeconds + 31), { changedBuckets: [] });
    await resolver.lookup(csi);
    expect(kinds()).to.deep.equal(["bucket"]);
  });

  it("shows the old answer, marked, where the new one cannot be had", async () => {
    const { zone, resolver, push } = await listening();
    await push(() => undefined);
    zone.lies.fail = () => new DiscoveryError("NOT_AUTHORITATIVE", "lame");
    const answer = await resolver.lookup(csi);
    expect([answer.status, answer.warnings.map(({ code }) => code)]).to.deep.equal([
      "found",
      ["STALE"],
    ]);
  });

  it("is not begun unless told to", async () => {
    const zone = new ScriptedZone({ parties, contacts: [contactOf(parties)] });
    let streams = 0;
    zone.lies.watch = (signal) => {
      streams += 1;
      return new Stream().run(signal);
    };
    const { resolver, clock } = await scriptedWorld({ zones: [zone] });
    await resolver.lookup(csi);
    await clock.advance(1_000);
    expect(streams).to.equal(0);
  });

  it("leaves its streams when it is closed", async () => {
    const { resolver, streams, clock } = await listening();
    await resolver.close();
    await clock.settle();
    expect(streams.map(({ isLeft }) => isLeft)).to.deep.equal([true]);
  });
});

describe("a stream of Watch", () => {
  const hourMs = 3_600_000;

  it("that breaks at once is tried ever more rarely: 18 times in an hour", async () => {
    const { zone, streams, clock } = await listening();
    zone.lies.watch = (signal) => {
      const stream = new Stream();
      streams.push(stream);
      stream.break();
      return stream.run(signal);
    };
    streams[0]!.break();
    streams.length = 0;
    for (let n = 0; n < 60; n++) await clock.advance(hourMs / 60);
    expect(streams.length).to.be.within(15, 18);
  });

  it("that a server does not have is asked for 14 times in an hour", async () => {
    const { zone, streams, clock } = await listening();
    let asked = 0;
    zone.lies.watch = () => {
      asked += 1;
      throw new DiscoveryError("NOT_AVAILABLE", "scripted");
    };
    streams[0]!.break();
    for (let n = 0; n < 60; n++) await clock.advance(hourMs / 60);
    expect(asked).to.be.within(10, 14);
  });

  it("that is silent is left after two keep-alives and a half for another; answers end as they would", async () => {
    const { streams, clock, resolver, kinds } = await listening();
    const silenceMs = 2.5 * limits.watchKeepAliveSeconds * 1_000;
    await clock.advance(silenceMs - 1_000);
    expect(streams[0]!.isLeft).to.equal(false);
    await clock.advance(10_000);
    expect([streams[0]!.isLeft, streams.length]).to.deep.equal([true, 2]);
    await resolver.lookup(csi);
    expect(kinds()).to.deep.equal([]);
    await clock.advance(hourMs);
    const known = resolver.lookup(csi);
    await clock.settle();
    await clock.advance(2_000);
    expect((await known).status).to.equal("found");
  });

  it("that floods is cut after 16 messages, whatever they say, and costs as many verifications at most", async () => {
    const { zone, streams, clock, done, resolver } = await listening();
    const before = done.verifications;
    const heads = Array.from({ length: 500 }, (_, n) => {
      const object = zone.sign({ ...zone.head, serial: 100 + n });
      const [signature] = object.signatures;
      const bad = signature!.signature.slice();
      bad[0]! ^= 1;
      return signedObjectToWire({ ...object, signatures: [{ ...signature!, signature: bad }] });
    });
    streams[0]!.push(...heads.map((head) => ({ head, allChanged: true })));
    await clock.settle();
    await clock.advance(100);
    expect(streams[0]!.isLeft).to.equal(true);
    expect(done.verifications - before).to.be.at.most(16);
    expect((await resolver.lookup(csi)).status).to.equal("found");
  });

  const lies: readonly (readonly [string, (zone: ScriptedZone) => Push])[] = [
    [
      "another key's",
      (zone) => ({
        head: signedObjectToWire({
          ...zone.signedHead,
          payload: zone.sign({ ...zone.head, serial: 9 }).payload,
        }),
      }),
    ],
    [
      "another zone's",
      (zone) => ({
        head: signedObjectToWire(
          zone.sign({ ...zone.head, serial: 9, zone: "x@dp-x.example" as never }),
        ),
      }),
    ],
    [
      "an ended one's",
      (zone) => ({
        head: signedObjectToWire(
          zone.sign({
            ...zone.head,
            serial: 9,
            time: nowSeconds - 9_000,
            notAfter: nowSeconds - 7_200,
          }),
        ),
      }),
    ],
    ["no", () => ({})],
    ["an unreadable", () => ({ head: { payload: Uint8Array.of(1, 2, 3), signatures: [] } })],
  ];
  for (const [title, lie] of lies) {
    it(`with ${title} head changes nothing`, async () => {
      const { zone, streams, clock, resolver, kinds } = await listening();
      streams[0]!.push({ allChanged: true, ...lie(zone) });
      await clock.settle();
      await resolver.lookup(csi);
      expect([kinds(), resolver.evidence()]).to.deep.equal([[], []]);
    });
  }

  it("with an older head changes nothing, and is no evidence of anything", async () => {
    const { zone, streams, clock, resolver, kinds, push } = await listening();
    const old = signedObjectToWire(zone.signedHead);
    await push(() => undefined);
    await resolver.lookup(csi);
    kinds();
    streams[0]!.push({ head: old, allChanged: true });
    await clock.settle();
    await resolver.lookup(csi);
    expect([kinds(), resolver.evidence()]).to.deep.equal([[], []]);
  });

  it("is not believed: a newer head that was only pushed turns nobody's answer into a rollback", async () => {
    const { zone, resolver, push } = await listening();
    const [head, signed] = [zone.head, zone.signedHead];
    await push(() => undefined);
    zone.serveAgain(head, signed); // as a replica would that is behind
    expect(await codeOf(resolver.lookup(csi, { refresh: true }))).to.equal("ok");
  });
});
