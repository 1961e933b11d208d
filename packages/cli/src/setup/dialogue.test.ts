import { DiscoveryError } from "@whither/protocol";
import { codeOf } from "@whither/testkit";
import { expect } from "chai";
import type { Terminal } from "../terminal.js";
import { UsageError } from "../usage.js";
import { settle } from "./dialogue.js";

interface Scene {
  readonly terminal: Terminal;
  readonly asked: string[];
  readonly told: string[];
}

/** Somebody who gives these answers and then leaves. */
function person(...answers: readonly string[]): Scene {
  const [asked, told]: string[][] = [[], []];
  const left = [...answers];
  const terminal: Terminal = {
    stdin: (async function* () {
      // nothing is read from it
    })(),
    stdout: { write: () => expect.fail("stdout is for the result") },
    stderr: { write: (text) => told?.push(text) },
    env: {},
    signal: new AbortController().signal,
    ask: (question) => {
      asked?.push(question);
      return Promise.resolve(left.shift());
    },
  };
  return { terminal, asked: asked ?? [], told: told ?? [] };
}

const even = (text: string): Promise<number> => {
  if (!/^\d+$/.test(text)) return Promise.reject(new UsageError(`number: got ${text}`, "digits"));
  if (Number(text) % 2 === 1) return Promise.reject(new DiscoveryError("CONFIG", "odd"));
  return Promise.resolve(Number(text));
};
const wanted = { given: undefined, question: "An even number: ", check: even };

describe("a question of setup", () => {
  it("is not asked when the command line has the answer", async () => {
    const { terminal, asked } = person();
    expect(await settle(terminal, { ...wanted, given: "4" })).to.equal(4);
    expect(asked).to.be.empty;
  });

  it("does not ask about a wrong word of the command line", async () => {
    const { terminal, asked } = person("4");
    expect(await codeOf(() => settle(terminal, { ...wanted, given: "3" }))).to.equal("CONFIG");
    expect(asked).to.be.empty;
  });

  it("is asked again, saying why, while the answer will not do", async () => {
    const { terminal, asked, told } = person("x", " 3 ", " 6\t");
    expect(await settle(terminal, wanted)).to.equal(6);
    expect(asked).to.have.length(3);
    expect(told[0]).to.equal("error: number: got x\nhint: digits\n");
    expect(told[1]).to.match(/^error: CONFIG \(49161\): odd\nhint: /);
  });

  it("is asked three times at most", async () => {
    const { terminal, asked } = person("1", "3", "5", "6");
    expect(await codeOf(() => settle(terminal, wanted))).to.equal("CONFIG");
    expect(asked).to.have.length(3);
  });

  it("ends with the input", async () => {
    expect(await codeOf(() => settle(person().terminal, wanted))).to.equal("CANCELLED");
  });
});
