import { expect } from "chai";
import fc from "fast-check";
import { DiscoveryError } from "@whither/protocol";
import { createSeededRandom } from "@whither/testkit";
import { port, svcbRdata, type Params } from "./scripted-dns.test.js";
import { chooseSvcb, parseSvcb } from "./svcb.js";

const random = createSeededRandom(1);
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");
const fooExampleCom = "03 666f6f 07 6578616d706c65 03 636f6d 00";
const fooExampleOrg = "03 666f6f 07 6578616d706c65 03 6f7267 00";

describe("SVCB records", () => {
  describe("of RFC 9460 appendix D", () => {
    const vectors: readonly (readonly [text: string, rdata: string, read: object])[] = [
      ["0 foo.example.com.", `0000 ${fooExampleCom}`, { priority: 0, target: "foo.example.com" }],
      ["1 .", "0001 00", { priority: 1, target: ".", port: undefined, isUsable: true }],
      [
        "16 foo.example.com. port=53",
        `0010 ${fooExampleCom} 0003 0002 0035`,
        { priority: 16, target: "foo.example.com", port: 53 },
      ],
      [
        "1 foo.example.com. key667=hello",
        `0001 ${fooExampleCom} 029b 0005 68656c6c6f`,
        { priority: 1, target: "foo.example.com", isUsable: true },
      ],
      [
        '1 foo.example.com. ipv6hint="2001:db8::1,2001:db8::53:1"',
        `0001 ${fooExampleCom} 0006 0020 20010db8000000000000000000000001 20010db8000000000000000000530001`,
        { hints: ["2001:db8:0:0:0:0:0:1", "2001:db8:0:0:0:0:53:1"] },
      ],
      [
        "16 foo.example.org. (alpn=h2,h3-19 mandatory=ipv4hint,alpn ipv4hint=192.0.2.1)",
        `0010 ${fooExampleOrg} 0000 0004 0001 0004 0001 0009 02 6832 05 68332d3139 0004 0004 c0000201`,
        { priority: 16, target: "foo.example.org", hints: ["192.0.2.1"], isUsable: true },
      ],
    ];
    for (const [text, rdata, read] of vectors) {
      it(text, () => {
        expect(parseSvcb(hex(rdata))).to.deep.include(read);
      });
    }
  });

  const h2 = [2, 0x68, 0x32];
  const h3 = [2, 0x68, 0x33];
  const cases: readonly (readonly [title: string, params: Params, outcome: string])[] = [
    ["without parameters", [], "usable"],
    ["that speak HTTP/3 beside the default", [[1, h3]], "usable"],
    ["that speak HTTP/3 only", [[1, h3], [2, []]], "unusable"], // prettier-ignore
    ["that say no default and name it all the same", [[1, [...h3, ...h2]], [2, []]], "usable"], // prettier-ignore
    ["whose mandatory key nobody here knows", [[0, [0x02, 0x9b]], [667, [1]]], "unusable"], // prettier-ignore
    ["whose mandatory key is ours", [[0, [0, 3]], port(7363)], "usable"],
    ["whose mandatory key is missing", [[0, [0, 3]]], "malformed"],
    ["that make mandatory mandatory", [[0, [0, 0]]], "malformed"],
    ["whose mandatory keys are out of order", [[0, [0, 4, 0, 3]], port(1), [4, [1, 2, 3, 4]]], "malformed"], // prettier-ignore
    ["whose mandatory list is empty", [[0, []]], "malformed"],
    ["whose keys are out of order", [[4, [1, 2, 3, 4]], port(1)], "malformed"],
    ["that have a key twice", [port(1), port(1)], "malformed"],
    ["whose port has one octet", [[3, [1]]], "malformed"],
    ["whose port is 0", [port(0)], "unusable"],
    ["whose address has five octets", [[4, [1, 2, 3, 4, 5]]], "malformed"],
    ["whose address list is empty", [[6, []]], "malformed"],
    ["whose protocol list is cut off", [[1, [9, 0x68]]], "malformed"],
    ["whose protocol has no name", [[1, [0]]], "malformed"],
    ["that say no default and name nothing", [[2, []]], "malformed"],
  ];
  for (const [title, params, outcome] of cases) {
    it(`${title} are ${outcome}`, () => {
      const rdata = svcbRdata(1, "a.example", params);
      if (outcome === "malformed") expect(() => parseSvcb(rdata)).to.throw(DiscoveryError, /svcb:/);
      else expect(parseSvcb(rdata).isUsable).to.equal(outcome === "usable");
    });
  }

  it("whose target is no host name, compressed or cut off are malformed", () => {
    for (const rdata of ["0001 01 20 00", "0001 c00c", "0001 03 6161", "0001", ""]) {
      expect(() => parseSvcb(hex(rdata)), rdata).to.throw(DiscoveryError, /svcb:/);
    }
  });

  it("are tried by priority, equals in any order", () => {
    const set = [
      svcbRdata(2, "c.example"),
      svcbRdata(1, "a.example"),
      svcbRdata(1, "b.example"),
      svcbRdata(7, "d.example", [[0, [2, 0x9b]], [667, [1]]]), // prettier-ignore
    ];
    const seen = new Set<string>();
    for (let turn = 0; turn < 40; turn += 1) {
      const choice = chooseSvcb(set, random);
      if (choice.kind !== "endpoints") throw new Error(choice.kind);
      seen.add(choice.records.map(({ target }) => target[0]).join(""));
    }
    expect([...seen].sort()).to.deep.equal(["abc", "bac"]);
  });

  it("in AliasMode hide all others", () => {
    const alias = svcbRdata(0, "pool.example", [[3, [1]]]); // parameters of an alias are ignored
    expect(chooseSvcb([svcbRdata(1, "a.example"), alias], random)).to.deep.equal({
      kind: "alias",
      target: "pool.example",
    });
    expect(chooseSvcb([svcbRdata(0, ".")], random)).to.deep.equal({ kind: "unavailable" });
  });

  it("of which one is malformed are as if there were none", () => {
    const set = [svcbRdata(1, "a.example"), svcbRdata(1, "b.example", [[3, [1]]])];
    expect(chooseSvcb(set, random)).to.deep.equal({ kind: "unusable" });
  });

  it("fail with INVALID_DATA or are read, whatever their octets", () => {
    const real = svcbRdata(1, "a.example", [[1, h2], port(7363), [4, [192, 0, 2, 1]]]);
    const mutated = fc
      .array(fc.tuple(fc.nat(real.length - 1), fc.nat(255)), { maxLength: 4 })
      .map((changes) => {
        const octets = Buffer.from(real);
        for (const [at, value] of changes) octets[at] = value;
        return octets;
      });
    const any = fc.uint8Array({ maxLength: 300 });
    fc.assert(
      fc.property(fc.oneof(mutated, any), (octets) => {
        try {
          const { hints, target } = parseSvcb(octets);
          return hints.length <= 4 && target.length <= 255;
        } catch (error) {
          return error instanceof DiscoveryError && error.code === "INVALID_DATA";
        }
      }),
      { numRuns: 3_000 },
    );
  });
});
