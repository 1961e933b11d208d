import { expect } from "chai";
import metadata from "libphonenumber-js/max/metadata";
import { callingCodeOf, callingCodes } from "./calling-codes.js";

describe("calling codes", () => {
  it("are those that the numbering metadata knows", () => {
    const known = [
      ...Object.keys(metadata.country_calling_codes),
      ...Object.keys(metadata.nonGeographic),
    ];
    expect(callingCodes).to.deep.equal([...new Set(known)].sort());
  });

  it("hold the non-geographic codes", () => {
    expect(callingCodes).to.include.members("800 808 870 878 881 882 883 888 979".split(" "));
  });

  it("are free of prefixes of each other", () => {
    for (const code of callingCodes) {
      expect(callingCodes.filter((other) => other.startsWith(code))).to.deep.equal([code]);
    }
  });

  it("are found at the head of a number", () => {
    expect(callingCodeOf("4930901820")).to.equal("49");
    expect(callingCodeOf("14155550123")).to.equal("1");
    expect(callingCodeOf("3531234567")).to.equal("353");
    expect(callingCodeOf("2101234567")).to.equal(undefined);
    expect(callingCodeOf("")).to.equal(undefined);
    expect(callingCodeOf("35")).to.equal(undefined);
  });
});
