import { expect } from "chai";
import { parseCsi } from "./csi.js";
import { acct } from "./acct.js";
import { mailto } from "./mailto.js";
import { createCsiRegistry } from "./registry.js";
import { invalidCsi } from "./scheme.js";
import type { CsiScheme } from "./scheme.js";
import { tel } from "./tel.js";

// A throw-away fourth scheme, as a newcomer would write it: colours as paths, `x-demo:red/dark`.
const demo: CsiScheme = {
  scheme: "x-demo",
  proofMethods: ["handshake"],
  claims: (bare) => bare.startsWith("~"),
  parse: ({ form, text }) => {
    const body = (form === "bare" ? text.slice(1) : text).toLowerCase();
    if (!/^[a-z]+(\/[a-z]+)*$/.test(body))
      throw invalidCsi("a demo identifier is words and slashes");
    return body;
  },
  labels: (body) => body.split("/"),
  disclosedLabels: () => 1,
  isPrefix: (text) => /^([a-z]+(\/[a-z]+)*)?$/.test(text),
  prefixLabels: (text) => (text === "" ? [] : text.split("/")),
  prefixText: (labels) => labels.join("/"),
};

describe("scheme registry", () => {
  const registry = createCsiRegistry([tel, mailto, acct, demo]);

  it("takes a fourth scheme from one object, with every function", () => {
    const csi = registry.parseCsi("X-Demo:Red/Dark");
    expect(csi).to.equal("x-demo:red/dark");
    expect(registry.parseCsi("~red/dark")).to.equal(csi);
    expect(registry.isCanonicalCsi("x-demo:red/dark")).to.equal(true);
    expect(registry.isCanonicalCsi("x-demo:Red")).to.equal(false);
    expect(registry.csiSchemes).to.deep.equal(["tel", "mailto", "acct", "x-demo"]);
    expect(registry.csiScheme(csi)).to.equal("x-demo");
    expect(registry.csiLabels(csi)).to.deep.equal(["red", "dark"]);
    expect(registry.csiProofMethods(csi)).to.deep.equal(["handshake"]);
    expect(registry.disclosureLimit(csi)).to.equal("x-demo:red");
    expect(registry.prefixesOfCsi(csi)).to.deep.equal([
      ".",
      "x-demo:",
      "x-demo:red",
      "x-demo:red/dark",
    ]);
    expect(registry.parsePrefix("x-demo:red")).to.equal("x-demo:red");
    expect(() => registry.parsePrefix("x-demo:Red")).to.throw("INVALID_DATA");
    expect(registry.isCsiWithin(csi, registry.parsePrefix("x-demo:red"))).to.equal(true);
  });

  it("leaves the other three as they are", () => {
    expect(registry.parseCsi("+14155550123")).to.equal(parseCsi("+14155550123"));
    expect(registry.parseCsi("alice@example.org")).to.equal("mailto:alice@example.org");
    expect(() => parseCsi("x-demo:red")).to.throw("INVALID_CSI: the scheme is not supported");
  });

  it("refuses a body that is not NFC, whatever the scheme says", () => {
    const careless: CsiScheme = { ...demo, parse: ({ text }) => text };
    const sloppy = createCsiRegistry([careless]);
    expect(sloppy.parseCsi("x-demo:\u00e9")).to.equal("x-demo:\u00e9");
    expect(() => sloppy.parseCsi("x-demo:e\u0301")).to.throw("INVALID_CSI");
  });

  it("refuses two schemes of one name", () => {
    expect(() => createCsiRegistry([tel, tel])).to.throw(TypeError);
  });
});
