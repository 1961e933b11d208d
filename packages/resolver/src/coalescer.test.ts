import { expect } from "chai";
import { DiscoveryError } from "@whither/protocol";
import { Coalescer } from "./coalescer.js";
import { codeOf } from "./scripted-zone.test.js";

function setUp() {
  const coalescer = new Coalescer<string>();
  const fetches: {
    signal: AbortSignal;
    resolve: (v: string) => void;
    reject: (e: Error) => void;
  }[] = [];
  const fetch = (signal: AbortSignal) =>
    new Promise<string>((resolve, reject) => fetches.push({ signal, resolve, reject }));
  const wait = (key = "k", signal = new AbortController().signal) =>
    coalescer.run(key, fetch, { signal });
  return { coalescer, fetches, wait };
}

describe("coalescer", () => {
  it("fetches once for all waiters of a key, anew for another key and after the end", async () => {
    const { coalescer, fetches, wait } = setUp();
    const both = [wait(), wait()];
    const other = wait("other");
    expect(fetches).to.have.length(2);
    fetches[0]!.resolve("one");
    fetches[1]!.resolve("two");
    expect(await Promise.all([...both, other])).to.deep.equal(["one", "one", "two"]);
    expect(coalescer.size).to.equal(0);
    void wait();
    expect(fetches).to.have.length(3);
  });

  it("gives every waiter the failure, and forgets it", async () => {
    const { coalescer, fetches, wait } = setUp();
    const both = [codeOf(wait()), codeOf(wait())];
    fetches[0]!.reject(new DiscoveryError("BOGUS", "scripted"));
    expect(await Promise.all(both)).to.deep.equal(["BOGUS", "BOGUS"]);
    expect(coalescer.size).to.equal(0);
  });

  it("keeps the fetch while anyone waits, and cancels it when the last one leaves", async () => {
    const { coalescer, fetches, wait } = setUp();
    const [one, other] = [new AbortController(), new AbortController()];
    const outcomes = [codeOf(wait("k", one.signal)), codeOf(wait("k", other.signal))];
    one.abort();
    expect(await outcomes[0]).to.equal("CANCELLED");
    expect(fetches[0]!.signal.aborted).to.equal(false);
    other.abort();
    expect(await outcomes[1]).to.equal("CANCELLED");
    expect(fetches[0]!.signal.aborted).to.equal(true);
    expect(coalescer.size).to.equal(0);
    void wait();
    expect(fetches).to.have.length(2);
  });

  it("starts nothing for a caller who has left already", async () => {
    const { fetches, wait } = setUp();
    expect(await codeOf(wait("k", AbortSignal.abort()))).to.equal("CANCELLED");
    expect(fetches).to.have.length(0);
  });
});
