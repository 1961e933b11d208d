// The error registry over the wire: what comes back is what was sent, bounded, whoever sent it.
import { create, toBinary } from "@bufbuild/protobuf";
import { expect } from "chai";
import fc from "fast-check";
import { DiscoveryError, errorRegistry } from "@whither/protocol";
import type { ErrorCode } from "@whither/protocol";
import { ErrorDetailSchema } from "@whither/wire";
import { errorOfStatus, fromErrorDetail, furtherErrors, joinErrors, statusOf } from "./errors.js";

const codes = Object.keys(errorRegistry) as ErrorCode[];
const upstream = "dp.example:7354";

const received = (error: DiscoveryError): DiscoveryError => {
  const { code, text, details } = statusOf(error);
  return errorOfStatus({ code, text, details }, upstream)!;
};

describe("errors over the wire", () => {
  it("keeps code, number and retryability of every registry entry", () => {
    for (const code of codes) {
      const back = received(new DiscoveryError(code, "as sent"));
      expect(back, code).to.include({
        code,
        number: errorRegistry[code].number,
        retryable: errorRegistry[code].retryable,
        text: "as sent",
        upstream,
      });
    }
  });

  it("keeps the errors that accompany one, in order, eight at most", () => {
    const others = Array.from(
      { length: 12 },
      (_each, index) => new DiscoveryError("STALE", `n ${index}`),
    );
    const back = received(joinErrors(new DiscoveryError("UNREACHABLE", "none"), others));
    expect(back.code).to.equal("UNREACHABLE");
    expect(furtherErrors(back).map(({ text }) => text)).to.deep.equal([
      "n 0",
      "n 1",
      "n 2",
      "n 3",
      "n 4",
      "n 5",
      "n 6",
    ]);
  });

  it("names the server beside a party that the server blames", () => {
    const detail = create(ErrorDetailSchema, { number: 6, upstream: "dp-b" });
    expect(fromErrorDetail(detail, upstream).upstream).to.equal(`dp-b via ${upstream}`);
  });

  it("reads a number it does not know as INTERNAL", () => {
    const detail = create(ErrorDetailSchema, { number: 65_000, text: "new" });
    expect(fromErrorDetail(detail, upstream).code).to.equal("INTERNAL");
  });

  it("bounds texts in octets, keeps characters whole and drops control characters", () => {
    const { text } = received(new DiscoveryError("STALE", "\u001b[31m" + "ü".repeat(80)));
    expect(text).to.equal(" [31m" + "ü".repeat(29));
    expect(text).to.not.include("\uFFFD");
  });

  it("replaces half a character, on which the library's status header would throw", () => {
    const { text } = statusOf(new DiscoveryError("STALE", "a\ud800b"));
    expect(text).to.equal("a\ufffdb");
  });

  it("survives any trailer, with texts inside their bounds", () => {
    const hostile = fc.record({
      number: fc.nat({ max: 2 ** 31 }),
      text: fc.string({ maxLength: 600, unit: "binary" }),
      upstream: fc.string({ maxLength: 600, unit: "binary" }),
      retryAfterS: fc.nat({ max: 2 ** 31 }),
    });
    const trailer = fc.oneof(
      fc.uint8Array({ maxLength: 2000 }),
      hostile.map((fields) => toBinary(ErrorDetailSchema, create(ErrorDetailSchema, fields))),
    );
    fc.assert(
      fc.property(
        fc.array(trailer, { maxLength: 20 }),
        fc.integer({ min: 1, max: 30 }),
        (details, code) => {
          const error = errorOfStatus({ code, text: "x", details }, upstream)!;
          for (const each of [error, ...furtherErrors(error)]) {
            expect(Buffer.byteLength(each.text)).to.be.at.most(64);
            expect(Buffer.byteLength(each.upstream ?? "")).to.be.at.most(255 + 5 + upstream.length);
            expect(each.retryAfterSeconds ?? 0).to.be.at.most(86_400);
          }
          expect(furtherErrors(error).length).to.be.at.most(7);
        },
      ),
    );
  });

  const bare: readonly (readonly [number, string, ErrorCode])[] = [
    [1, "Cancelled", "CANCELLED"],
    [4, "Deadline exceeded", "DEADLINE"],
    [8, "Received message larger than max (5 vs 4)", "TOO_LARGE"],
    [8, "Bandwidth exhausted", "LIMITED"],
    [12, "no such method", "NOT_AVAILABLE"],
    [14, "connect ECONNREFUSED", "NETWORK"],
    [16, "", "UNAUTHENTICATED"],
    [2, "tel:+15550100", "INTERNAL"],
    [99, "", "INTERNAL"],
  ];
  for (const [code, text, expected] of bare) {
    it(`reads status ${code} "${text}" without a trailer as ${expected}, in its own words`, () => {
      const error = errorOfStatus({ code, text, details: [] }, upstream)!;
      expect(error).to.include({ code: expected, upstream });
      if (text !== "") expect(error.text).to.not.include(text);
    });
  }

  it("has no error for status OK, whatever trailers it has", () => {
    expect(errorOfStatus({ code: 0, text: "", details: ["x"] }, upstream)).to.equal(undefined);
  });
});
