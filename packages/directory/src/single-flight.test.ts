import { expect } from "chai";
import { SingleFlight } from "./single-flight.js";

describe("single flight", () => {
  it("serves a whole address book that waits for one answer", async () => {
    const flights = new SingleFlight<number>();
    let starts = 0;
    let land = (_value: number): void => undefined;
    const start = (): Promise<number> => {
      starts += 1;
      return new Promise((resolve) => (land = resolve));
    };
    const waiting = Array.from({ length: 2_000 }, () => flights.run("registry", start));
    land(7);
    expect(new Set(await Promise.all(waiting))).to.deep.equal(new Set([7]));
    expect(starts).to.equal(1);
  });

  it("does not abort work that is over", async () => {
    const flights = new SingleFlight<number>();
    const begun: AbortSignal[] = [];
    const start = (signal: AbortSignal): Promise<number> => {
      begun.push(signal);
      return Promise.resolve(7);
    };
    expect(await flights.run("registry", start)).to.equal(7);
    expect(await flights.run("registry", start)).to.equal(7);
    expect(begun.map(({ aborted }) => aborted)).to.deep.equal([false, false]);
  });

  it("goes on when the first leaves, and ends when the last one does", async () => {
    const flights = new SingleFlight<number>();
    const begun: AbortSignal[] = [];
    const start = (signal: AbortSignal): Promise<number> => {
      begun.push(signal);
      return new Promise(() => undefined);
    };
    const [one, two] = [new AbortController(), new AbortController()];
    const runs = [one, two].map(({ signal }) => flights.run("registry", start, { signal }));
    const outcomes = Promise.allSettled(runs);
    one.abort();
    await Promise.allSettled([runs[0]]);
    expect(begun.map(({ aborted }) => aborted)).to.deep.equal([false]);
    two.abort();
    const failures = (await outcomes).map(({ status }) => status);
    expect(failures).to.deep.equal(["rejected", "rejected"]);
    expect(begun.map(({ aborted }) => aborted)).to.deep.equal([true]);
  });
});
