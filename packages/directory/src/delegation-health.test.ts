import { expect } from "chai";
import type { SignedObject } from "@whither/protocol";
import { createFederation, EventLog, type DpLies, type Federation } from "@whither/testkit";
import { decodeHead } from "@whither/wire";
import { createDelegationHealth, type DelegationHealth } from "./delegation-health.js";
import { formatHealthTable } from "./health-table.js";

const intervalSeconds = 300;

async function watching(): Promise<{
  readonly federation: Federation;
  readonly health: DelegationHealth;
  readonly log: EventLog;
}> {
  const federation = await createFederation({ seed: 5 });
  const log = new EventLog();
  const { clock, random } = federation;
  const health = createDelegationHealth({
    anchors: federation.anchors,
    intervalSeconds,
    concurrency: 2,
    clock,
    random,
    logger: log,
    openChannel: federation.openChannel("root.example"),
  });
  health.watch(federation.directory);
  return { federation, health, log };
}

const statesOf = (health: DelegationHealth, dp: string): readonly string[] => [
  ...new Set(
    health
      .list()
      .filter(({ zone }) => zone.endsWith(`@${dp}`))
      .map(({ state, lastError }) => `${state} ${lastError ?? "-"}`),
  ),
];

describe("delegation health", () => {
  it("knows nothing before the first look, then that all is well", async () => {
    const { federation, health, log } = await watching();
    expect(new Set(health.list().map(({ state }) => state))).to.deep.equal(new Set(["unknown"]));
    await health.probe();
    expect(health.list().length).to.be.greaterThan(1);
    for (const one of health.list()) {
      expect(one, one.zone).to.include({ state: "healthy", lastError: undefined });
      expect(one.sinceSeconds).to.equal(federation.clock.nowSeconds());
      expect(one.headAgeSeconds).to.be.within(0, 600);
    }
    expect(log.events, "what was never lame is no news").to.deep.equal([]);
    await health.close();
    await federation.close();
  });

  it("sees a stopped authority, since when, and its return by itself", async () => {
    const { federation, health, log } = await watching();
    const dp = federation.dps[0]!;
    const { id } = dp.record;
    health.start();
    await federation.clock.advance(intervalSeconds * 1_000);
    expect(statesOf(health, id)).to.deep.equal(["healthy -"]);
    await dp.stop();
    await federation.clock.advance(intervalSeconds * 1_200);
    expect(statesOf(health, id)).to.deep.equal(["lame NETWORK"]);
    const since = health.list().find(({ zone }) => zone.endsWith(id))!.sinceSeconds;
    await federation.clock.advance(intervalSeconds * 1_200);
    expect(health.list().find(({ zone }) => zone.endsWith(id))!.sinceSeconds).to.equal(since);
    const lame = log.events.filter(({ event }) => event === "authority lame");
    expect(lame, "told once").to.have.length(dp.identity.zones.length);
    await dp.start({ wait: false });
    await federation.clock.advance(intervalSeconds * 1_200);
    expect(statesOf(health, id)).to.deep.equal(["healthy NETWORK"]);
    expect(log.last("authority healthy again")?.fields["zone"]).to.match(
      new RegExp(`@${id}$`, "u"),
    );
    await health.close();
    await federation.close();
  });

  const flip = (object: SignedObject): SignedObject => ({
    ...object,
    payload: object.payload.with(-1, (object.payload.at(-1) ?? 0) ^ 1),
  });
  const lies: readonly (readonly [string, DpLies])[] = [
    ["whose head nobody signed", { head: flip }],
    ["whose manifest the directory does not name", { manifest: flip }],
  ];
  for (const [title, lie] of lies) {
    it(`calls an authority lame ${title}, and no other`, async () => {
      const { federation, health } = await watching();
      const [first, second] = federation.dps.map(({ record }) => record.id);
      federation.tamper(first!, lie);
      await health.probe();
      expect(statesOf(health, first!)).to.deep.equal(["lame BOGUS"]);
      expect(statesOf(health, second!)).to.deep.equal(["healthy -"]);
      await health.close();
      await federation.close();
    });
  }

  it("calls an authority lame that shows an old head", async () => {
    const { federation, health } = await watching();
    const dp = federation.dps[0]!;
    const heads = new Map<string, SignedObject>();
    const zoneOf = (head: SignedObject): string => decodeHead(head.payload).zone;
    federation.tamper(dp.record.id, { head: (head) => (heads.set(zoneOf(head), head), head) });
    await health.probe();
    expect(statesOf(health, dp.record.id)).to.deep.equal(["healthy -"]);
    federation.tamper(dp.record.id, { head: (head) => heads.get(zoneOf(head)) ?? head });
    await federation.clock.advance(21 * 60_000);
    await health.probe();
    expect(statesOf(health, dp.record.id)).to.deep.equal(["lame STALE"]);
    await health.close();
    await federation.close();
  });

  it("keeps what it knows of authorities that a new directory still names", async () => {
    const { federation, health } = await watching();
    await health.probe();
    const before = health.list();
    health.watch(federation.directory);
    expect(health.list()).to.deep.equal(before);
    await health.close();
    await federation.close();
  });

  it("is a table", () => {
    const one = {
      prefix: "tel:+49",
      prefixes: 3,
      zone: "de@dp-a.example",
      endpoint: "127.0.0.1:7364",
      state: "lame",
      sinceSeconds: Date.UTC(2027, 0, 15) / 1000,
      lastError: "NETWORK",
      headAgeSeconds: 12,
      withdrawnAt: undefined,
    };
    const other = { ...one, prefix: "mailto:", prefixes: 1, state: "unknown", sinceSeconds: 0 };
    const table = formatHealthTable([
      { ...one, withdrawnAt: one.sinceSeconds + 3_600 },
      { ...other, lastError: undefined, headAgeSeconds: undefined },
    ] as never);
    expect(table.split("\n")).to.deep.equal([
      "PREFIX      ZONE             ENDPOINT        STATE    SINCE                 LAST ERROR  HEAD AGE  WITHDRAWN",
      "tel:+49 +2  de@dp-a.example  127.0.0.1:7364  lame     2027-01-15T00:00:00Z  NETWORK     12 s      2027-01-15T01:00:00Z",
      "mailto:     de@dp-a.example  127.0.0.1:7364  unknown  -                     -           -         -",
    ]);
  });
});
