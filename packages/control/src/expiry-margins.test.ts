import { expect } from "chai";
import { createSimulatedClock, EventLog } from "@whither/testkit";
import { expiryMarginSeconds, expiryState, logExpiries } from "./expiry-margins.js";
import type { ExpiryFact } from "./facts.js";

const day = 86_400;

describe("ends of keys and certificates", () => {
  it("are soon within the margin of their kind, and over from their second on", () => {
    const now = 1_800_000_000;
    for (const what of Object.keys(expiryMarginSeconds) as ExpiryFact["what"][]) {
      const margin = expiryMarginSeconds[what];
      const at = (leftSeconds: number) => expiryState({ what, notAfter: now + leftSeconds }, now);
      expect([at(margin + 1), at(margin), at(1), at(0), at(-day)], what).to.deep.equal([
        ...["ok", "soon", "soon"],
        ...["ended", "ended"],
      ]);
    }
  });

  it("are told of once a day while they near, again when they are over, and no more when replaced", async () => {
    const clock = createSimulatedClock();
    const logger = new EventLog();
    const start = clock.nowSeconds();
    const certificate = (days: number): ExpiryFact => ({
      what: "tls certificate",
      subject: "a.pem",
      notAfter: start + days * day,
    });
    let facts: readonly ExpiryFact[] = [
      certificate(16),
      { what: "zone key", subject: "de@dp-a.example", notAfter: start + 365 * day },
      { what: "head", subject: "de@dp-a.example", notAfter: start + 60 },
    ];
    const told = () =>
      ["expires soon", "expired"].map(
        (event) => logger.events.filter((one) => one.event === event).length,
      );
    using watch = logExpiries({ expiries: () => facts, clock, logger });
    expect(told()).to.deep.equal([0, 0]);
    await clock.advance(2 * day * 1_000);
    expect(told(), "14 days before").to.deep.equal([1, 0]);
    expect(logger.last("expires soon")?.fields).to.include({ subject: "a.pem" });
    await clock.advance(day * 1_000);
    expect(told()).to.deep.equal([2, 0]);
    facts = [certificate(397)];
    await clock.advance(2 * day * 1_000);
    expect(told(), "replaced").to.deep.equal([2, 0]);
    facts = [certificate(5)];
    await clock.advance(day * 1_000);
    expect(told(), "a wrong one instead").to.deep.equal([2, 1]);
    watch[Symbol.dispose]();
    await clock.advance(10 * day * 1_000);
    expect(told(), "closed").to.deep.equal([2, 1]);
  });
});
