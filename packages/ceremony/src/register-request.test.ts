import { expect } from "chai";
import type { ErrorCode } from "@whither/protocol";
import { decodeMessage, encodeMessage } from "@whither/rpc";
import { RegisterRequestSchema } from "@whither/wire";
import {
  fixedBytes,
  makeCredential,
  makeKeyLink,
  makeMapping,
  makeRegistrationParties,
  makeStatement,
  outcomeOf,
} from "@whither/testkit";
import {
  decodeRegisterRequest,
  encodeRegisterRequest,
  type RegistrationRequest,
} from "./register-request.js";

const parties = makeRegistrationParties();
const { zone, csi, opening } = parties;
const credential = makeCredential(parties);
const mapping = makeMapping(parties, { credential });
const statement = makeStatement(parties, { mappings: [mapping] });
const links = [makeKeyLink(parties)];
const full: RegistrationRequest = {
  zone,
  csi,
  statement,
  links,
  added: { mapping, credential, opening },
};

type Fields = Parameters<typeof encodeMessage<typeof RegisterRequestSchema>>[1];
const message = (fields: Fields) =>
  decodeMessage(RegisterRequestSchema, encodeMessage(RegisterRequestSchema, fields));
const overTheWire = (request: RegistrationRequest) => message(encodeRegisterRequest(request));

describe("register request", () => {
  it("comes back from the wire as it went", () => {
    expect(decodeRegisterRequest(overTheWire(full))).to.deep.equal(full);
  });

  it("may hold a statement alone", () => {
    const order = { zone, csi, statement };
    expect(decodeRegisterRequest(overTheWire(order))).to.deep.equal({ ...order, links: [] });
  });

  type Message = ReturnType<typeof overTheWire>;
  const linksOf = ({ slot }: Message) => (slot.case === "public" ? slot.value.links : []);
  const cases: readonly [ErrorCode, string, (m: Message) => void][] = [
    [
      "INVALID_CSI",
      "an identifier that is not canonical",
      (m) => void (m.csi = "tel:+1 415 555 0123"),
    ],
    ["INVALID_CSI", "no identifier", (m) => void (m.csi = "")],
    ["INVALID_DATA", "no zone", (m) => void (m.zone = "")],
    ["INVALID_DATA", "neither public nor audience", (m) => void (m.slot = { case: undefined })],
    [
      "NOT_AVAILABLE",
      "an audience slot",
      (m) =>
        void (m.slot = message({
          slot: { case: "audience", value: { tag: fixedBytes("tag") } },
        }).slot),
    ],
    ["BAD_OPENING", "an opening of 31 bytes", (m) => void (m.opening = new Uint8Array(31))],
    ["INVALID_DATA", "a mapping without credential", (m) => (m.credential = undefined)],
    [
      "INVALID_DATA",
      "no statement",
      (m) => void (m.slot = message({ slot: { case: "public", value: {} } }).slot),
    ],
    [
      "TOO_LARGE",
      "a payload that fits no slot",
      (m) => void (m.credential!.payload = new Uint8Array(16_385)),
    ],
    [
      "TOO_LARGE",
      "a link that fits no slot",
      (m) => void (linksOf(m)[0]!.link!.payload = new Uint8Array(16_385)),
    ],
    [
      "INVALID_DATA",
      "four links",
      (m) => void linksOf(m).push(...Array.from({ length: 3 }, () => linksOf(m)[0]!)),
    ],
    [
      "INVALID_DATA",
      "a link's opening of 31 bytes",
      (m) => void (linksOf(m)[0]!.opening = new Uint8Array(31)),
    ],
    ["INVALID_DATA", "a link without its object", (m) => (linksOf(m)[0]!.link = undefined)],
    ["INVALID_DATA", "an empty payload", (m) => void (m.credential!.payload = new Uint8Array())],
    [
      "INVALID_DATA",
      "seventeen signatures",
      (m) =>
        void (m.credential!.signatures = Array.from(
          { length: 17 },
          () => m.credential!.signatures[0]!,
        )),
    ],
  ];
  for (const [code, title, change] of cases) {
    it(`${code}: ${title}`, () => {
      const received = overTheWire(full);
      change(received);
      expect(outcomeOf(() => decodeRegisterRequest(received))).to.equal(code);
    });
  }
});
