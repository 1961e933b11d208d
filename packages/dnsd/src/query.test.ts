import { expect } from "chai";
import { decode, encode, type Answer, type DecodedPacket, type Packet } from "dns-packet";
import fc from "fast-check";
import { wireName } from "./enum-name.js";
import { readPacket, refusalOf, type Query } from "./query.js";
import { encodeRefusal } from "./response.js";
import { rcodes } from "./wire.js";

const question = { type: "NAPTR", name: "9.4.E164.arpa", class: "IN" } as const;
const packetOf = (more: Packet = {}): Buffer =>
  encode({ type: "query", id: 7, questions: [question], ...more });
const opt = (udpPayloadSize: number) =>
  ({
    ...{ type: "OPT", name: ".", udpPayloadSize, extendedRcode: 0, ednsVersion: 0 },
    ...{ flags: 0, flag_do: false, options: [] },
  }) as Answer; // a member of the union

function queryOf(packet: Buffer): Query {
  const read = readPacket(packet);
  if (read.kind !== "query") throw new Error(`expected a query, got ${read.kind}`);
  return read;
}

describe("reading a packet", () => {
  it("gives the name in lower case and the question as it came", () => {
    const query = queryOf(packetOf());
    expect(query).to.include({ id: 7, type: 35, class: 1, edns: undefined });
    expect(query.name).to.equal(wireName("9.4.e164.arpa"));
    expect(query.question.toString("latin1")).to.include("E164");
  });

  it("takes what the client can receive from EDNS, between 512 and 1232", () => {
    for (const [asked, given] of [
      [1, 512],
      [511, 512],
      [1000, 1000],
      [65535, 1232],
    ] as const) {
      const { edns } = queryOf(packetOf({ additionals: [opt(asked)] }));
      expect(edns).to.deep.equal({ udpBytes: given, version: 0, dnssecOk: false });
    }
  });

  const cases: [what: string, packet: Buffer, outcome: string][] = [
    ["a response", Buffer.from(encode({ type: "response", id: 1 })), "ignored"],
    ["eleven octets", Buffer.alloc(11), "ignored"],
    ["no question", packetOf({ questions: [] }), "FORMERR"],
    ["two questions", packetOf({ questions: [question, question] }), "FORMERR"],
    [
      "an answer in a query",
      packetOf({ answers: [{ ...question, type: "TXT", data: "x" }] }),
      "FORMERR",
    ],
    ["a name that does not end", packetOf().subarray(0, 20), "FORMERR"],
    ["two OPT records", packetOf({ additionals: [opt(512), opt(512)] }), "FORMERR"],
    ["octets behind the end", Buffer.concat([packetOf(), Buffer.of(0)]), "FORMERR"],
    ["a pointer in the question", pointerInQuestion(), "FORMERR"],
    ["UPDATE", withOpcode(5), "NOTIMP"],
    ["NOTIFY", withOpcode(4), "NOTIMP"],
  ];
  for (const [what, packet, outcome] of cases) {
    it(`${what}: ${outcome}`, () => {
      const read = readPacket(packet);
      if (outcome === "ignored") {
        expect(read.kind).to.equal("ignored");
        return;
      }
      if (read.kind !== "unanswerable") throw new Error(`got ${read.kind}`);
      const refusal = decode(encodeRefusal(read)) as DecodedPacket & { readonly rcode: string }; // dns-packet gives it, its types do not
      expect(refusal.rcode).to.equal(outcome);
      expect(refusal.id).to.equal(packet.readUInt16BE(0));
    });
  }

  it("transfers are refused, meta types not implemented", () => {
    expect(refusalOf(queryOf(packetOf({ questions: [{ ...question, type: "AXFR" }] })))).to.equal(
      rcodes.refused,
    );
    expect(refusalOf(queryOf(packetOf({ questions: [{ ...question, type: "TSIG" }] })))).to.equal(
      rcodes.notImp,
    );
    expect(refusalOf(queryOf(packetOf()))).to.equal(undefined);
  });

  it("never throws, whatever the octets", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (octets) => {
        expect(readPacket(Buffer.from(octets)).kind).to.be.oneOf([
          "ignored",
          "query",
          "unanswerable",
        ]);
      }),
    );
  });
});

function pointerInQuestion(): Buffer {
  const packet = packetOf();
  packet.writeUInt16BE(0xc00c, 12);
  return packet;
}

function withOpcode(opcode: number): Buffer {
  const packet = packetOf();
  packet[2] = opcode << 3;
  return packet;
}
