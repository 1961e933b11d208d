import { expect } from "chai";
import { DiscoveryError, errorRegistry, type ErrorCode } from "@whither/protocol";
import { statusOfFailure } from "./exit-status.js";
import { formatFailure } from "./failure-text.js";

const codes = Object.keys(errorRegistry) as ErrorCode[]; // keys of the const object

describe("a failure that ends a command", () => {
  const rows: readonly (readonly [ErrorCode, number])[] = [
    ["CONFIG", 2],
    ["NOT_AVAILABLE", 2],
    ["INVALID_CSI", 2],
    ["BOGUS", 3],
    ["ROLLBACK", 3],
    ["FORKED", 3],
    ["CLOCK_SKEW", 3],
    ["LIMITED", 4],
    ["UNAUTHENTICATED", 4],
    ["INCUMBENT", 4],
    ["NOT_REACHABLE_HERE", 4],
    ["BAD_OPENING", 4],
    ["UNREACHABLE", 5],
    ["DEADLINE", 5],
    ["PIN_MISMATCH", 5],
  ];
  for (const [code, status] of rows) {
    it(`${code} exits with ${status}`, () => {
      expect(statusOfFailure(new DiscoveryError(code, "text"))).to.equal(status);
    });
  }

  it("never exits with 0 or 1, which are answers", () => {
    for (const code of codes) {
      expect(statusOfFailure(new DiscoveryError(code, "text"))).to.be.within(2, 5);
    }
  });

  it("is told with code, number and a hint of what to do", () => {
    for (const code of codes) {
      const text = formatFailure(new DiscoveryError(code, "what failed", { upstream: "dp:1" }));
      const { number } = errorRegistry[code];
      expect(text).to.match(/^error: [^\n]+\nhint: [^\n]+\n$/);
      expect(text).to.contain(`${code} (${number}): what failed (dp:1)`);
    }
  });

  it("of one's own file names the file, one line each", () => {
    const cause = new Error("a.pem cannot be read (ENOENT)");
    expect(formatFailure(new DiscoveryError("CONFIG", "a file is missing", { cause }))).to.match(
      /^error: a file is missing: a\.pem cannot be read \(ENOENT\)\nhint: /,
    );
  });
});
