// What a signature covers (protocol.md section 2), byte for byte.
import { isDiscoveryError } from "@whither/protocol";
import { expect } from "chai";
import * as portable from "./index.js";
import * as fast from "./node.js";

const { concatBytes, fromHex, roles, sha512, signedTypes, toHex, utf8 } = portable;
const payload = utf8("payload");

for (const [name, { signatureInput }] of [
  ["portable", portable],
  ["node", fast],
] as const) {
  describe(`signature input, ${name} backend`, () => {
    it("is domain, zero byte, role, zone with its length, SHA-512 of the payload", () => {
      const input = signatureInput({ type: "head", role: roles.zone, zone: "a@b", payload });
      expect(toHex(input)).to.equal(
        toHex(
          concatBytes(
            utf8("whither/head/v1"),
            fromHex("00"),
            fromHex("03"),
            fromHex("0003"),
            utf8("a@b"),
            sha512(payload),
          ),
        ),
      );
    });

    it("has an empty zone where none is named", () => {
      const without = signatureInput({ type: "mapping", role: roles.msp, payload });
      const empty = signatureInput({ type: "mapping", role: roles.msp, zone: "", payload });
      expect(without).to.deep.equal(empty);
      expect(without).to.have.lengthOf("whither/mapping/v1".length + 1 + 1 + 2 + 64);
    });

    it("differs for every type, role, zone and payload", () => {
      const inputs = new Set<string>();
      for (const type of signedTypes) {
        for (const role of Object.values(roles)) {
          for (const zone of ["", "x", "xy"]) {
            for (const bytes of [payload, new Uint8Array()]) {
              inputs.add(toHex(signatureInput({ type, role, zone, payload: bytes })));
            }
          }
        }
      }
      expect(inputs.size).to.equal(16 * 9 * 3 * 2);
    });

    it("refuses types and roles outside the closed lists, and a zone above 1024 bytes", () => {
      const type = "letter" as portable.SignedType; // what a decoder let slip
      const role = 10 as portable.Role; // likewise
      expect(() => signatureInput({ type, role: roles.dp, payload })).to.throw(TypeError);
      expect(() => signatureInput({ type: "slot", role, payload })).to.throw(TypeError);
      const zone = "z".repeat(1025);
      expect(() => signatureInput({ type: "slot", role: roles.dp, zone, payload }))
        .to.throw()
        .satisfies((error: unknown) => isDiscoveryError(error, "TOO_LARGE"));
    });
  });
}
