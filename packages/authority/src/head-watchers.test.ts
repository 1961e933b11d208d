import { expect } from "chai";
import { DiscoveryError } from "@whither/protocol";
import { HeadWatchers } from "./head-watchers.js";

const head = (byte: number): Uint8Array => Uint8Array.of(byte);
const never = (): AbortSignal => new AbortController().signal;
const context = (address = "192.0.2.1", draining = never()) => ({
  ...{ address, draining },
  signal: never(),
});

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "ok";
  } catch (error) {
    if (error instanceof DiscoveryError) return error.code;
    throw error;
  }
}

describe("watchers of heads", () => {
  it("hear of the present head and of each new one", async () => {
    const watchers = new HeadWatchers();
    const stream = watchers.watch(head(1), context());
    expect((await stream.next()).value).to.deep.equal(head(1));
    watchers.push(head(2));
    expect((await stream.next()).value).to.deep.equal(head(2));
    const next = stream.next();
    watchers.push(head(3));
    expect((await next).value).to.deep.equal(head(3));
    await stream.return();
    expect(watchers.size).to.equal(0);
  });

  it("are let go when they do not take what is pushed", async () => {
    const watchers = new HeadWatchers();
    const stream = watchers.watch(head(1), context());
    await stream.next();
    watchers.push(head(2));
    watchers.push(head(3));
    expect(await codeOf(stream.next())).to.equal("OVERLOADED");
    expect(watchers.size).to.equal(0);
  });

  it("leave when their call ends, and all of them when the service does", async () => {
    const watchers = new HeadWatchers();
    const leaving = new AbortController();
    const left = watchers.watch(head(1), { ...context(), signal: leaving.signal });
    const stays = watchers.watch(head(1), context("192.0.2.2"));
    await left.next();
    await stays.next();
    const last = left.next();
    leaving.abort();
    expect((await last).done).to.equal(true);
    expect(watchers.size).to.equal(1);
    const end = stays.next();
    watchers.close();
    expect((await end).done).to.equal(true);
    expect(await codeOf(watchers.watch(head(1), context()).next())).to.equal("OVERLOADED");
  });

  it("leave when the server drains, and so do those who come then", async () => {
    const watchers = new HeadWatchers();
    const draining = new AbortController();
    const stream = watchers.watch(head(1), context("192.0.2.1", draining.signal));
    await stream.next();
    const last = stream.next();
    draining.abort();
    expect((await last).done).to.equal(true);
    const late = watchers.watch(head(1), context("192.0.2.1", draining.signal));
    expect((await late.next()).value).to.deep.equal(head(1));
    expect((await late.next()).done).to.equal(true);
    expect(watchers.size).to.equal(0);
  });

  it("are bounded for one address", async () => {
    const watchers = new HeadWatchers();
    for (let one = 0; one < 32; one++) await watchers.watch(head(1), context()).next();
    expect(await codeOf(watchers.watch(head(1), context()).next())).to.equal("OVERLOADED");
    expect(await codeOf(watchers.watch(head(1), context("192.0.2.2")).next())).to.equal("ok");
  });
});
