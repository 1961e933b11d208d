import { expect } from "chai";
import { DiscoveryError, limits, parseCsi, parsePrefix, parseZoneName } from "@whither/protocol";
import { WorkBudget } from "./budget.js";
import { Coalescer } from "./coalescer.js";
import { Trace, type ZoneQuery } from "./query.js";
import { codeOf } from "./scripted-zone.test.js";
import { sharedFetch } from "./shared-fetch.js";

/** A query, and how many of its RPCs are spent. */
function makeQuery(spent = 0) {
  const budget = new WorkBudget({ bytesPerZoneMax: 1_000 });
  const counted = { rpcs: spent };
  const zone = budget.zone();
  if (spent > 0) zone("rpc", spent);
  const query: ZoneQuery = {
    csi: parseCsi("+14155550123"),
    form: "verbose",
    signal: new AbortController().signal,
    trace: new Trace(),
    patient: false,
    checkingDisabled: false,
    refresh: false,
    realm: "",
    early: false,
    namedAt: 0,
    zone: parseZoneName("us@dp-a.example"),
    prefix: parsePrefix("tel:+1"),
    spend: (kind, n = 1) => {
      zone(kind, n);
      if (kind === "rpc") counted.rpcs += n;
    },
  };
  return { query, counted };
}

function setUp() {
  const flights = new Coalescer<string>();
  const ends: { resolve: (value: string) => void; reject: (error: Error) => void }[] = [];
  const ask = ({ query }: ReturnType<typeof makeQuery>) =>
    sharedFetch(query, {
      flights,
      key: "k",
      told: "nothing",
      fetch: () => new Promise<string>((resolve, reject) => ends.push({ resolve, reject })),
    });
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  return { ask, ends, settle };
}

describe("a fetch that queries share", () => {
  it("is paid by who begins it, and by nobody who joins", async () => {
    const { ask, ends } = setUp();
    const [first, second] = [makeQuery(), makeQuery()];
    const both = [ask(first), ask(second)];
    ends[0]!.resolve("one");
    expect((await Promise.all(both)).map(({ isOwn }) => isOwn)).to.deep.equal([true, false]);
    expect([first.counted.rpcs, second.counted.rpcs]).to.deep.equal([1, 0]);
  });

  it("is there for a query that has nothing left to spend", async () => {
    const { ask, ends } = setUp();
    const joined = [ask(makeQuery()), ask(makeQuery(limits.queryRpcsMax))];
    ends[0]!.resolve("one");
    expect((await Promise.all(joined)).map(({ value }) => value)).to.deep.equal(["one", "one"]);
  });

  const spent = new DiscoveryError("BUDGET", "query: no rpc left");
  const endings: readonly [string, DiscoveryError][] = [
    ["BUDGET", spent],
    [
      "NETWORK for want of budget",
      new DiscoveryError("NETWORK", "scripted", { cause: new AggregateError([spent]) }),
    ],
  ];
  for (const [title, error] of endings) {
    it(`that ends with ${title} fails who began it; the first who joined begins another, for the rest too`, async () => {
      const { ask, ends, settle } = setUp();
      const queries = [makeQuery(), makeQuery(), makeQuery()];
      const [own, ...joined] = queries.map(ask);
      ends[0]!.reject(error);
      expect(await codeOf(own!)).to.equal(error.code);
      await settle();
      expect(ends).to.have.length(2);
      ends[1]!.resolve("two");
      expect((await Promise.all(joined)).map(({ value }) => value)).to.deep.equal(["two", "two"]);
      expect(queries.map(({ counted }) => counted.rpcs)).to.deep.equal([1, 1, 0]);
      expect(queries[1]!.query.trace.hops).to.deep.equal([]);
    });
  }

  it("gives its servers' failures to everybody", async () => {
    const { ask, ends } = setUp();
    const both = [codeOf(ask(makeQuery())), codeOf(ask(makeQuery()))];
    ends[0]!.reject(new DiscoveryError("NETWORK", "scripted"));
    expect(await Promise.all(both)).to.deep.equal(["NETWORK", "NETWORK"]);
  });

  it("is not begun by who cannot pay, and leaves nothing behind", async () => {
    const { ask, ends } = setUp();
    expect(await codeOf(ask(makeQuery(limits.queryRpcsMax)))).to.equal("BUDGET");
    expect(ends).to.have.length(0);
    const next = ask(makeQuery());
    ends[0]!.resolve("one");
    expect((await next).value).to.equal("one");
  });
});
