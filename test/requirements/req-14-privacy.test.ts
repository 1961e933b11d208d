// Requirement 14 (MIMI Discovery requirements): a discovery provider protects at least the querier's identity or
// the target identifier in requests. Ours always hides the target.
//
// | must | must not |
// |---|---|
// | a DP be asked by blinded elements and bits of an index | receive an identifier, a part of one or a keyless hash of one |
// | buckets and bodies be asked for without a certificate | be asked for on a connection that says who asks |
// | equal and different questions look alike | be linked by what is sent |
// | a directory be told no more of an identifier than it needs, and nothing by who mirrors | hear the last four digits, or whose mailbox |
// | what cannot be hidden yet be refused | be asked in the clear (`relayed`, `relay_only`) |

import {
  disclosureLimit,
  isDiscoveryError,
  isWithin,
  parseCsi,
  parsePrefix,
} from "@whither/protocol";
import { decodeMessage, type TapRecord } from "@whither/rpc";
import { createFederation, type FederationOptions } from "@whither/testkit";
import { ExchangeRequestSchema, FetchRequestSchema, ReferRequestSchema } from "@whither/wire";
import { toHex } from "@whither/crypto";
import { expect } from "chai";
import { codeOf } from "../scenarios/both-ways.js";
import { IdentifierDictionary } from "../support/identifier-dictionary.js";
import { alice, heardDuring } from "./readers.js";

const csis = Array.from({ length: 60 }, (_, n) => parseCsi(`+4930${17_340_000 + 7_919 * n}`));
const registered = csis.slice(0, 10);
const dictionary = new IdentifierDictionary(csis, { partOctets: 7 });
const large: FederationOptions = {
  dps: [{ id: "dp-a.example", zones: [{ name: "de", fillers: 2_000 }] }],
  prefixes: [`"tel:": { unassigned: true }`, `"tel:+49": { zones: [de@dp-a.example] }`],
};

async function world() {
  const federation = await createFederation(large);
  for (const csi of registered) await federation.register({ csi, msps: ["wire.example"] });
  await federation.publish();
  return federation;
}

const bytesOf = (heard: readonly TapRecord[]): Buffer =>
  Buffer.concat(heard.flatMap((one) => (one.kind === "message" ? [one.bytes] : [])));

describe("requirement 14: a DP never learns whom a question is about", () => {
  it("receives nothing that a dictionary of all identifiers would recognise, in either form", async () => {
    await using federation = await world();
    const resolver = await federation.resolver();
    const heard = await heardDuring(federation, async () => {
      let answered = 0;
      for await (const { answer } of resolver.lookupAll(csis))
        if (!("error" in answer)) answered += 1;
      for (const csi of registered) await resolver.lookup(csi, { refresh: true });
      expect(answered).to.equal(csis.length);
    });
    expect(bytesOf(heard).length).to.be.above(60 * 50);
    expect(dictionary.findIn(bytesOf(heard))).to.deep.equal([]);
  });

  it("hears an identifier when it is registered, so that the search above would find one", async () => {
    await using federation = await createFederation(large);
    const [csi = alice] = csis;
    const heard = await heardDuring(federation, () =>
      federation.register({ csi, msps: ["wire.example"] }),
    );
    expect(dictionary.findIn(bytesOf(heard))).to.include(`${csi} of ${csi}`);
  });

  it("is shown a certificate with evaluations, and with nothing else", async () => {
    await using federation = await world();
    const resolver = await federation.resolver();
    const heard = await heardDuring(federation, () => resolver.lookup(registered[0] ?? alice));
    const opened = heard.flatMap((one) =>
      one.kind === "open"
        ? [`${one.method.split("/").at(-1) ?? ""} ${one.peer.kind} ${one.metadata.size}`]
        : [],
    );
    expect(opened.sort()).to.deep.equal(["Exchange certificate 0", "Fetch anonymous 0"]);
    expect(new Set(heard.map(({ to }) => to)).size, "on two connections").to.equal(2);
  });

  it("cannot tell equal questions from different ones", async () => {
    await using federation = await world();
    const seen: { readonly length: number; readonly blinded: string }[] = [];
    for (const csi of [csis[0], csis[0], csis[1], csis[59]]) {
      const resolver = await federation.resolver();
      for (const one of await heardDuring(federation, () =>
        resolver.lookup(csi ?? alice, { form: "compact" }),
      )) {
        if (one.kind !== "message" || !one.method.endsWith("Exchange")) continue;
        const { request } = decodeMessage(ExchangeRequestSchema, one.bytes);
        seen.push({
          length: one.bytes.length,
          blinded: toHex(request.value?.blinded ?? one.bytes),
        });
      }
    }
    expect(seen).to.have.length(4);
    expect(new Set(seen.map(({ length }) => length)).size).to.equal(1);
    expect(new Set(seen.map(({ blinded }) => blinded)).size).to.equal(4);
  });

  it("is told b bits of an index and no more", async () => {
    await using federation = await world();
    const { b } = federation.zone("de@dp-a.example").mapping.head();
    expect(b).to.be.at.least(2);
    const resolver = await federation.resolver();
    const heard = await heardDuring(federation, () => resolver.lookup(csis[5] ?? alice));
    const prefixes = heard.flatMap((one) => {
      if (one.kind !== "message" || !one.method.endsWith("Fetch")) return [];
      const { request } = decodeMessage(FetchRequestSchema, one.bytes);
      return request.case === "bucket" ? [request.value.prefix] : [];
    });
    expect(prefixes).to.have.length(1);
    for (const prefix of prefixes) {
      const bits = [...prefix].map((octet) => octet.toString(2).padStart(8, "0")).join("");
      expect(bits.slice(b)).to.equal("0".repeat(128 - b));
    }
  });

  it("a directory hears nothing of who mirrors it, and no more than the limit from who walks", async () => {
    await using federation = await createFederation();
    const mirrored = await federation.resolver({ mirror: true });
    const quiet = await heardDuring(federation, () => mirrored.lookup(alice));
    expect(quiet.filter(({ to }) => to === federation.directoryAddress)).to.deep.equal([]);
    for (const csi of [
      alice,
      parseCsi("alice@mail.example.org"),
      parseCsi("acct:alice@example.org"),
    ]) {
      const walking = await federation.resolver({ mirror: false });
      const heard = await heardDuring(federation, () => walking.lookup(csi));
      const asked = heard.flatMap((one) =>
        one.kind === "message" && one.method.endsWith("Refer")
          ? [parsePrefix(decodeMessage(ReferRequestSchema, one.bytes).prefix)]
          : [],
      );
      expect(asked, csi).not.to.deep.equal([]);
      for (const prefix of asked) {
        expect(isWithin(disclosureLimit(csi), prefix), `${csi} asked as ${prefix}`).to.equal(true);
      }
    }
  });

  it("refuses to ask openly where hiding the querier was wanted or is due", async () => {
    await using federation = await createFederation();
    const resolver = await federation.resolver();
    expect(await codeOf(resolver.lookup(alice, { privacy: "relayed" }))).to.equal("NOT_AVAILABLE");
    await using small = await createFederation({
      prefixes: [`"tel:+49": { zones: [de@dp-a.example], relay_only: true }`],
    });
    const careful = await small.resolver();
    const heard = await heardDuring(small, async () => {
      try {
        await careful.lookup(alice);
        expect.fail("a zone too small to hide in was asked");
      } catch (error) {
        if (!isDiscoveryError(error)) throw error;
        expect(error.code).to.equal("NOT_AVAILABLE");
      }
    });
    expect(heard.filter(({ to }) => to.includes("dp-a.example"))).to.deep.equal([]);
  });
});

// With processes, 100,000 slots and the octets on the disk: test/e2e/privacy.test.ts.
// Open: relays, which hide the querier too and are forced where querier and DP have one operator; replicas and
// mirrors for buckets (Ask).
