import { encode, type Answer } from "dns-packet";
import { expect } from "chai";
import fc from "fast-check";
import { DiscoveryError } from "@whither/protocol";
import { isResponseTo, makeQuery, readResponse } from "./message.js";
import { answersOf, port, svcbRdata } from "./scripted-dns.test.js";

const question = { name: "_whither._tcp.example.org", type: "SVCB" } as const;
const query = makeQuery(question, 0xbeef);
const answers = answersOf([
  [question.name, 300, "SVCB", svcbRdata(1, "a.example", [port(7363)])],
  ["long.example", 5, "CNAME", "short.example"],
  ["short.example", 50, "A", "192.0.2.1"],
  ["short.example", 40, "A", "192.0.2.2"],
]);
const respond = (to: Buffer): Buffer => {
  const response = answers(to);
  if (response === undefined) throw new Error("no response");
  return response;
};
const good = respond(query.packet);
const changed = (change: (packet: Buffer) => void): Buffer => {
  const packet = Buffer.from(good);
  change(packet);
  return packet;
};

describe("messages of the DNS", () => {
  it("are ours with id, question and direction of the query", () => {
    expect(isResponseTo(query, good)).to.equal(true);
    const shouted = changed((p) => p.write("_WHITHER", 13, "latin1"));
    expect(isResponseTo(query, shouted), "letters in another case").to.equal(true);
    const foreign: readonly (readonly [string, Buffer])[] = [
      ["another id", changed((p) => p.writeUInt16BE(0xbeee, 0))],
      ["a query", query.packet],
      ["another opcode", changed((p) => p.writeUInt16BE(p.readUInt16BE(2) | 0x2800, 2))],
      ["no question", changed((p) => p.writeUInt16BE(0, 4))],
      ["two questions", changed((p) => p.writeUInt16BE(2, 4))],
      ["another name", changed((p) => p.write("x", 14, "latin1"))],
      ["another type", changed((p) => p.writeUInt16BE(1, 12 + 27))],
      ["another class", changed((p) => p.writeUInt16BE(3, 12 + 29))],
      ["half a question", good.subarray(0, 30)],
      ["nothing", Buffer.alloc(0)],
    ];
    for (const [title, packet] of foreign) {
      expect(isResponseTo(query, packet), title).to.equal(false);
    }
  });

  it("say what is there, for the least time on the way", () => {
    const read = readResponse(question, good);
    expect(read).to.include({ rcode: 0, name: question.name, ttlSeconds: 300, aliases: 0 });
    expect(read.records).to.have.length(1);
    const a = { name: "Long.Example", type: "A" } as const;
    const chain = readResponse(a, respond(makeQuery(a, 1).packet));
    expect(chain).to.deep.include({ name: "short.example", aliases: 1, ttlSeconds: 5 });
    expect(chain.records).to.deep.equal([
      { type: "A", address: "192.0.2.1" },
      { type: "A", address: "192.0.2.2" },
    ]);
  });

  it("say what is not there, for as long as RFC 2308 has it", () => {
    const other = { name: "nobody.example", type: "SVCB" } as const;
    const read = readResponse(other, respond(makeQuery(other, 1).packet));
    expect(read).to.deep.include({ rcode: 3, records: [], ttlSeconds: 60 });
  });

  it("with aliases that never end are refused", () => {
    const loop: Answer[] = ["a", "b"].map((name, i, all) => ({
      name: `${name}.example`,
      type: "CNAME",
      ttl: 1,
      data: `${all[1 - i] ?? ""}.example`,
    }));
    const a = { name: "a.example", type: "A" } as const;
    const packet = encode({ type: "response", id: 1, questions: [a], answers: loop });
    expect(() => readResponse(a, packet)).to.throw(DiscoveryError, /too many aliases/);
  });

  it("with data beyond their end are refused", () => {
    const cut = changed((p) => p.writeUInt16BE(0xffff, 12 + 31 + 2 + question.name.length + 8));
    expect(() => readResponse(question, cut)).to.throw(DiscoveryError);
    expect(() => readResponse(question, good.subarray(0, -1))).to.throw(DiscoveryError);
  });

  it("are read or refused with INVALID_DATA, whatever was done to them", () => {
    const change = fc.oneof(
      fc.record({ at: fc.nat(good.length - 1), value: fc.nat(255) }),
      // A pointer, anywhere: to itself, forward, in a circle.
      fc.record({ at: fc.nat(good.length - 2), pointer: fc.nat(good.length) }),
    );
    fc.assert(
      fc.property(
        fc.array(change, { minLength: 1, maxLength: 6 }),
        fc.nat(good.length),
        (changes, cut) => {
          const packet = changed((p) => {
            for (const one of changes) {
              if ("value" in one) p[one.at] = one.value;
              else p.writeUInt16BE(0xc000 | one.pointer, one.at);
            }
          }).subarray(0, cut === 0 ? good.length : cut);
          isResponseTo(query, packet);
          try {
            readResponse(question, packet);
            return true;
          } catch (error) {
            return error instanceof DiscoveryError && error.code === "INVALID_DATA";
          }
        },
      ),
      { numRuns: 5_000 },
    );
  });
});
