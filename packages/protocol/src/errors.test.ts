import { expect } from "chai";
import { DiscoveryError, errorCodeOfNumber, errorRegistry, isDiscoveryError } from "./errors.js";

describe("error registry", () => {
  const entries = Object.entries(errorRegistry);

  it("gives every code a number of its own, ours from 49152", () => {
    const numbers = entries.map(([, entry]) => entry.number);
    expect(new Set(numbers).size).to.equal(numbers.length);
    const rfc8914 = [3, 6, 7, 8, 9, 12, 15, 18, 20, 22, 23, 24];
    expect(numbers.filter((number) => number < 49_152).sort((a, b) => a - b)).to.deep.equal(
      rfc8914,
    );
    expect(Math.max(...numbers)).to.be.below(65_536);
  });

  it("finds a code by its number, and none for an unknown one", () => {
    for (const [code, { number }] of entries) expect(errorCodeOfNumber(number)).to.equal(code);
    expect(errorCodeOfNumber(1)).to.equal(undefined);
  });

  it("carries number, retryability, upstream and cause", () => {
    const cause = new Error("socket closed");
    const error = new DiscoveryError("NETWORK", "connection lost", {
      upstream: "dp-a.example",
      retryAfterSeconds: 5,
      cause,
    });
    expect(error).to.include({
      code: "NETWORK",
      number: 23,
      retryable: true,
      upstream: "dp-a.example",
      retryAfterSeconds: 5,
      cause,
    });
    expect(error.message).to.equal("NETWORK: connection lost");
    const bare = new DiscoveryError("BOGUS", "x");
    expect([bare.upstream, bare.retryAfterSeconds, bare.cause]).to.deep.equal([
      undefined,
      undefined,
      undefined,
    ]);
  });

  it("narrows by class and code", () => {
    const error: unknown = new DiscoveryError("BOGUS", "bad proof");
    expect(isDiscoveryError(error)).to.equal(true);
    expect(isDiscoveryError(error, "BOGUS")).to.equal(true);
    expect(isDiscoveryError(error, "STALE")).to.equal(false);
    expect(isDiscoveryError(new Error("BOGUS"))).to.equal(false);
  });
});
