import { expect } from "chai";
import fc from "fast-check";
import {
  asciiHost,
  disclosedHostLabels,
  hostLabels,
  hostOfLabels,
  isHost,
  isPublicSuffix,
  parseHost,
  registrableDomain,
} from "./host.js";

function registrable(text: string): string | undefined {
  try {
    return registrableDomain(parseHost(text));
  } catch {
    return undefined;
  }
}

// Values of the public suffix list's own test file, tests/test_psl.txt (public domain, CC0;
// https://publicsuffix.org/list/): name and registrable domain. Without `null` and the unlisted `local`.
const listed: readonly (readonly [string, string | undefined])[] = [
  ["COM", undefined],
  ["example.COM", "example.com"],
  ["WwW.example.COM", "example.com"],
  [".com", undefined],
  [".example", undefined],
  [".example.com", undefined],
  [".example.example", undefined],
  ["example", undefined],
  ["example.example", "example.example"],
  ["b.example.example", "example.example"],
  ["a.b.example.example", "example.example"],
  ["biz", undefined],
  ["domain.biz", "domain.biz"],
  ["b.domain.biz", "domain.biz"],
  ["a.b.domain.biz", "domain.biz"],
  ["com", undefined],
  ["example.com", "example.com"],
  ["b.example.com", "example.com"],
  ["a.b.example.com", "example.com"],
  ["uk.com", undefined],
  ["example.uk.com", "example.uk.com"],
  ["b.example.uk.com", "example.uk.com"],
  ["a.b.example.uk.com", "example.uk.com"],
  ["test.ac", "test.ac"],
  ["mm", undefined],
  ["c.mm", undefined],
  ["b.c.mm", "b.c.mm"],
  ["a.b.c.mm", "b.c.mm"],
  ["jp", undefined],
  ["test.jp", "test.jp"],
  ["www.test.jp", "test.jp"],
  ["ac.jp", undefined],
  ["test.ac.jp", "test.ac.jp"],
  ["www.test.ac.jp", "test.ac.jp"],
  ["kyoto.jp", undefined],
  ["test.kyoto.jp", "test.kyoto.jp"],
  ["ide.kyoto.jp", undefined],
  ["b.ide.kyoto.jp", "b.ide.kyoto.jp"],
  ["a.b.ide.kyoto.jp", "b.ide.kyoto.jp"],
  ["c.kobe.jp", undefined],
  ["b.c.kobe.jp", "b.c.kobe.jp"],
  ["a.b.c.kobe.jp", "b.c.kobe.jp"],
  ["city.kobe.jp", "city.kobe.jp"],
  ["www.city.kobe.jp", "city.kobe.jp"],
  ["ck", undefined],
  ["test.ck", undefined],
  ["b.test.ck", "b.test.ck"],
  ["a.b.test.ck", "b.test.ck"],
  ["www.ck", "www.ck"],
  ["www.www.ck", "www.ck"],
  ["us", undefined],
  ["test.us", "test.us"],
  ["www.test.us", "test.us"],
  ["ak.us", undefined],
  ["test.ak.us", "test.ak.us"],
  ["www.test.ak.us", "test.ak.us"],
  ["k12.ak.us", undefined],
  ["test.k12.ak.us", "test.k12.ak.us"],
  ["www.test.k12.ak.us", "test.k12.ak.us"],
  ["食狮.com.cn", "食狮.com.cn"],
  ["食狮.公司.cn", "食狮.公司.cn"],
  ["www.食狮.公司.cn", "食狮.公司.cn"],
  ["shishi.公司.cn", "shishi.公司.cn"],
  ["公司.cn", undefined],
  ["食狮.中国", "食狮.中国"],
  ["www.食狮.中国", "食狮.中国"],
  ["shishi.中国", "shishi.中国"],
  ["中国", undefined],
  ["xn--85x722f.com.cn", "xn--85x722f.com.cn"],
  ["xn--85x722f.xn--55qx5d.cn", "xn--85x722f.xn--55qx5d.cn"],
  ["www.xn--85x722f.xn--55qx5d.cn", "xn--85x722f.xn--55qx5d.cn"],
  ["shishi.xn--55qx5d.cn", "shishi.xn--55qx5d.cn"],
  ["xn--55qx5d.cn", undefined],
  ["xn--85x722f.xn--fiqs8s", "xn--85x722f.xn--fiqs8s"],
  ["www.xn--85x722f.xn--fiqs8s", "xn--85x722f.xn--fiqs8s"],
  ["shishi.xn--fiqs8s", "shishi.xn--fiqs8s"],
  ["xn--fiqs8s", undefined],
];

describe("registrable domain", () => {
  for (const [name, domain] of listed) {
    it(`of ${name} is ${domain ?? "none"}`, () => {
      expect(registrable(name)).to.equal(domain === undefined ? undefined : parseHost(domain));
    });
  }

  it("is what a directory may be told, or the whole host where there is none", () => {
    for (const [host, count] of [
      ["example.org", 2],
      ["a.b.example.org", 2],
      ["a.example.co.uk", 3],
      ["co.uk", 2],
      ["c.mm", 2],
      ["www.ck", 2],
      ["a.www.ck", 2],
      ["localhost", 1],
    ] as const) {
      expect(disclosedHostLabels(hostLabels(host)), host).to.equal(count);
    }
  });

  it("is none for a public suffix, also of the private section", () => {
    for (const suffix of ["com", "co.uk", "uk.com", "github.io", "xn--fiqs8s", "b.mm"]) {
      expect(isPublicSuffix(suffix), suffix).to.equal(true);
      expect(registrableDomain(suffix), suffix).to.equal(undefined);
    }
    for (const host of ["example.com", "www.ck", "gmail.com"]) {
      expect(isPublicSuffix(host), host).to.equal(false);
    }
  });
});

describe("parseHost", () => {
  it("is idempotent and gives 1..253 octets of A-labels", () => {
    const unit = fc.constantFrom(
      ...Array.from("abz019-.\u00fc\u00df\u4f8b\u05d0\u0301\uff0e\u200d"),
      "xn--",
      "bcher-kva",
    );
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit, maxLength: 30 }), fc.domain()), (text) => {
        let host: string;
        try {
          host = parseHost(text);
        } catch {
          expect(isHost(text)).to.equal(false);
          return;
        }
        expect(parseHost(host)).to.equal(host);
        expect(isHost(host)).to.equal(true);
        expect(host).to.match(/^(?=.{1,253}$)[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*$/);
        expect(hostOfLabels(hostLabels(host))).to.equal(host);
      }),
      { numRuns: 1000 },
    );
  });

  it("gives what UTS 46 gives, by whichever way", () => {
    const unit = fc.constantFrom(...Array.from("aabbcz09-.."), "--", "xn--", "a".repeat(62));
    const attempt = (parse: (text: string) => string, text: string): string | undefined => {
      try {
        return parse(text);
      } catch {
        return undefined;
      }
    };
    let accepted = 0;
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 12 }), (text) => {
        const named = `${text}.example`;
        const host = attempt(parseHost, named);
        if (host !== undefined) accepted += 1;
        expect(host).to.equal(attempt(asciiHost, named));
      }),
      { numRuns: 3000 },
    );
    expect(accepted).to.be.greaterThan(300);
  });

  it("knows a canonical host from one that merely parses", () => {
    expect(isHost("example.org")).to.equal(true);
    for (const text of [
      "Example.org",
      "example.org.",
      "b\u00fccher.example",
      "127.0.0.1",
      "",
      "a..b",
    ]) {
      expect(isHost(text), text).to.equal(false);
    }
  });
});
