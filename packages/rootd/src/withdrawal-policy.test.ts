import { expect } from "chai";
import fc from "fast-check";
import { parseZoneName, type ErrorCode, type ZoneName } from "@whither/protocol";
import {
  findingsOf,
  judgeRound,
  resumeWithdrawals,
  withdrawnMax,
  type Finding,
  type Judgement,
  type ProbeRound,
  type WithdrawalRules,
  type WithdrawalState,
} from "./withdrawal-policy.js";

const rules: WithdrawalRules = {
  afterSeconds: 3_600,
  returnAfterSeconds: 900,
  sharePercent: 25,
  intervalSeconds: 300,
};
const names = "abcdefgh".split("").map((letter) => parseZoneName(`${letter}@dp-${letter}.example`));
const [a, b, c] = names as [ZoneName, ZoneName, ZoneName];
const start = 1_800_000_000;

/** Rounds of probes, one an interval, of zones that all stand together unless told. */
class Rounds {
  state: WithdrawalState;
  nowSeconds = start;
  last: Judgement | undefined;
  readonly #delegations: ProbeRound["delegations"];
  readonly #rules: WithdrawalRules;

  constructor(
    given: {
      readonly state?: WithdrawalState;
      readonly delegations?: ProbeRound["delegations"];
      readonly rules?: WithdrawalRules;
    } = {},
  ) {
    this.state = given.state ?? new Map();
    this.#delegations = given.delegations ?? [names];
    this.#rules = given.rules ?? rules;
  }

  /** One round in which these are lame, those unclear, and all others healthy. */
  next(
    lame: readonly ZoneName[],
    by: { readonly unclear?: readonly ZoneName[]; readonly seconds?: number } = {},
  ): Judgement {
    this.nowSeconds += by.seconds ?? this.#rules.intervalSeconds;
    const finding = (zone: ZoneName): Finding => {
      if (by.unclear?.includes(zone) === true) return { verdict: "unclear" };
      return lame.includes(zone) ? { verdict: "lame", why: "NETWORK" } : { verdict: "healthy" };
    };
    const found = new Map(names.map((zone) => [zone, finding(zone)]));
    const { nowSeconds } = this;
    const round = { nowSeconds, found, delegations: this.#delegations };
    const judged = judgeRound(this.state, round, this.#rules);
    this.state = judged.state;
    this.last = judged;
    return judged;
  }

  /** Until something changes; the number of rounds that took. */
  untilChange(lame: readonly ZoneName[], roundsMax = 100): number {
    for (let rounds = 1; rounds <= roundsMax; rounds += 1) {
      const { withdrawn, returned } = this.next(lame);
      if (withdrawn.length + returned.length > 0) return rounds;
    }
    return Infinity;
  }

  get withdrawn(): readonly ZoneName[] {
    return [...this.state].flatMap(([zone, { withdrawal }]) =>
      withdrawal === undefined ? [] : [zone],
    );
  }
}

describe("the withdrawal of an authority", () => {
  it("comes when every probe of the whole period failed, and says why", () => {
    const rounds = new Rounds();
    expect(rounds.untilChange([a]), "the first failure, then an hour of them").to.equal(13);
    expect(rounds.last?.withdrawn).to.deep.equal([{ zone: a, why: "NETWORK" }]);
    expect(rounds.state.get(a)?.withdrawal).to.deep.equal({
      at: rounds.nowSeconds,
      why: "NETWORK",
    });
    expect(rounds.untilChange([a]), "once").to.equal(Infinity);
  });

  it("is put off for the whole period by one probe that succeeds, or says nothing", () => {
    for (const unclear of [[], [a]]) {
      const rounds = new Rounds();
      for (let n = 0; n < 12; n += 1) rounds.next([a]);
      rounds.next([], { unclear });
      expect(rounds.untilChange([a])).to.equal(13);
    }
  });

  it("needs probes all over the period: a process that slept through it has seen nothing", () => {
    const rounds = new Rounds();
    rounds.next([a]);
    rounds.next([a], { seconds: 86_400 });
    expect(rounds.withdrawn).to.deep.equal([]);
    expect(rounds.untilChange([a]), "six probes").to.equal(4);
    const short = new Rounds({ rules: { ...rules, afterSeconds: 1 } });
    expect(short.untilChange([a]), "never after fewer than three").to.equal(3);
  });

  it("never takes the last authority of a prefix, and not one that stands alone everywhere", () => {
    const alone = new Rounds({ delegations: [[a], [b, c]] });
    expect(alone.untilChange([a])).to.equal(Infinity);
    expect(alone.last?.spared).to.deep.equal(new Map([[a, "last"]]));
    const pair = new Rounds({ delegations: [[b, c]] });
    expect(pair.untilChange([b, c]), "nobody healthy beside either").to.equal(Infinity);
    const both = new Rounds({ delegations: [[a], [a, b]] });
    expect(both.untilChange([a]), "where another stands beside it").to.equal(13);
  });

  it("stops at the share, and is suspended for all while more look lame than that", () => {
    expect([0, 3, 4, 8].map((count) => withdrawnMax(count, rules))).to.deep.equal([0, 0, 1, 2]);
    const rounds = new Rounds();
    expect(rounds.untilChange([a, b, c]), "likelier that we are cut off").to.equal(Infinity);
    expect(rounds.last?.suspended).to.deep.equal({ lame: 3, max: 2 });
    expect(rounds.untilChange([a]), "and the time of that counts for nobody").to.equal(13);
  });

  it("counts those that are on their way back: they are not asked yet", () => {
    const returning = new Rounds({
      rules: { ...rules, sharePercent: 13, returnAfterSeconds: 1_000_000 },
      state: resumeWithdrawals(new Map([[a, 1]])),
    });
    expect(returning.untilChange([b]), "one of eight is the share").to.equal(Infinity);
    expect(returning.last?.spared).to.deep.equal(new Map([[b, "share"]]));
    const pair = new Rounds({
      delegations: [[a, b]],
      rules: { ...rules, returnAfterSeconds: 1_000_000 },
      state: resumeWithdrawals(new Map([[a, 1]])),
    });
    expect(pair.untilChange([b]), "nobody would be left to ask").to.equal(Infinity);
    expect(pair.last?.spared).to.deep.equal(new Map([[b, "last"]]));
  });

  it("counts those withdrawn before among the lame ones", () => {
    const rounds = new Rounds({
      state: resumeWithdrawals(new Map([a, b].map((zone) => [zone, 1]))),
    });
    expect(rounds.untilChange([a, b, c])).to.equal(Infinity);
    expect(rounds.last?.suspended).to.deep.equal({ lame: 3, max: 2 });
    expect(rounds.withdrawn).to.deep.equal([a, b]);
  });
});

describe("the return of an authority", () => {
  const resumed = () => new Rounds({ state: resumeWithdrawals(new Map([[a, start]])) });

  it("comes by itself when every probe of its period succeeded, over a restart too", () => {
    const rounds = resumed();
    expect(rounds.untilChange([])).to.equal(4);
    expect(rounds.last?.returned).to.deep.equal([a]);
    expect(rounds.withdrawn).to.deep.equal([]);
  });

  it("waits anew after a failure in between", () => {
    const rounds = resumed();
    for (const lame of [[], [], [], [a]]) rounds.next(lame);
    expect(rounds.untilChange([])).to.equal(4);
  });

  it("comes also while so many others are lame that nobody is withdrawn", () => {
    const rounds = resumed();
    expect(rounds.untilChange([b, c, ...names.slice(4)])).to.equal(4);
    expect(rounds.last?.suspended).to.not.equal(undefined);
  });

  it("is forgotten with an authority that the directory names no more", () => {
    const { state } = judgeRound(
      resumeWithdrawals(new Map([[a, start]])),
      { nowSeconds: start, found: new Map([[b, { verdict: "healthy" }]]), delegations: [[b]] },
      rules,
    );
    expect([...state.keys()]).to.deep.equal([b]);
  });
});

describe("whatever the probes find", () => {
  const history = fc.record({
    delegations: fc.array(fc.subarray(names, { minLength: 1 }), { minLength: 1, maxLength: 4 }),
    sharePercent: fc.integer({ min: 1, max: 50 }),
    /** Phases of some rounds each, in which these are lame, and those unclear. */
    phases: fc.array(
      fc.record({
        lame: fc.subarray(names, { maxLength: 4 }),
        unclear: fc.subarray(names, { maxLength: 1 }),
        rounds: fc.integer({ min: 1, max: 16 }),
      }),
      { minLength: 1, maxLength: 12 },
    ),
  });

  it("somebody healthy stays, the share holds, and nobody flaps faster than the periods", () => {
    fc.assert(
      fc.property(history, ({ delegations, sharePercent, phases }) => {
        const rounds = new Rounds({ delegations, rules: { ...rules, sharePercent } });
        const max = withdrawnMax(names.length, { sharePercent });
        const changedAt = new Map<ZoneName, number>();
        const failedSince = new Map<ZoneName, number>();
        for (const { lame, unclear, rounds: count } of phases) {
          const isLame = (zone: ZoneName) => lame.includes(zone) && !unclear.includes(zone);
          for (let n = 0; n < count; n += 1) {
            const { withdrawn, returned, suspended } = rounds.next(lame, { unclear });
            const { nowSeconds } = rounds;
            for (const zone of names) {
              if (!isLame(zone)) failedSince.delete(zone);
              else if (!failedSince.has(zone)) failedSince.set(zone, nowSeconds);
            }
            expect(rounds.withdrawn.length).to.be.at.most(max);
            expect(suspended === undefined || withdrawn.length === 0).to.equal(true);
            expect(suspended !== undefined).to.equal(names.filter(isLame).length > max);
            for (const { zone } of withdrawn) {
              const healthy = (other: ZoneName) =>
                !lame.includes(other) &&
                !unclear.includes(other) &&
                !rounds.withdrawn.includes(other);
              expect(delegations.some((set) => set.includes(zone) && set.some(healthy))).to.equal(
                true,
              );
              expect(nowSeconds - failedSince.get(zone)!).to.be.at.least(rules.afterSeconds);
              const since = nowSeconds - (changedAt.get(zone) ?? -Infinity);
              expect(since, "after a return").to.be.at.least(rules.afterSeconds);
              changedAt.set(zone, nowSeconds);
            }
            for (const zone of returned) {
              expect(isLame(zone)).to.equal(false);
              const since = nowSeconds - changedAt.get(zone)!;
              expect(since, "after a withdrawal").to.be.at.least(rules.returnAfterSeconds);
              changedAt.set(zone, nowSeconds);
            }
          }
        }
        // And always an end of it: all healthy again, all back.
        for (let n = 0; n < 4; n += 1) rounds.next([]);
        expect(rounds.withdrawn).to.deep.equal([]);
      }),
      { numRuns: 200 },
    );
  });
});

describe("what a round found of a zone", () => {
  const row = (state: "healthy" | "lame" | "unknown", lastError?: ErrorCode) => ({
    prefix: "tel:+49" as never,
    prefixes: 1,
    zone: a,
    endpoint: "x:1",
    state,
    sinceSeconds: 1,
    lastError,
    headAgeSeconds: undefined,
    withdrawnAt: undefined,
  });
  const cases: readonly (readonly [string, readonly ReturnType<typeof row>[], string])[] = [
    [
      "lame when all its servers are",
      [row("lame", "NETWORK"), row("lame", "STALE")],
      "lame NETWORK",
    ],
    [
      "healthy with one good server",
      [row("lame", "NETWORK"), row("healthy", "NETWORK")],
      "healthy",
    ],
    ["unclear while one was not asked", [row("lame", "NETWORK"), row("unknown")], "unclear"],
    ["unclear where it spoke, and refused to say more", [row("lame", "LIMITED")], "unclear"],
    ["unclear where the clock may be ours", [row("lame", "CLOCK_SKEW")], "unclear"],
  ];
  for (const [title, rows, expected] of cases) {
    it(`is ${title}`, () => {
      const finding = findingsOf(rows).get(a);
      expect(Object.values(finding ?? {}).join(" ")).to.equal(expected);
    });
  }
});
