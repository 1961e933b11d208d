import { expect } from "chai";
import { DiscoveryError, parseMspId } from "@whither/protocol";
import type { Peer } from "@whither/rpc";
import { createSimulatedClock } from "@whither/testkit";
import { createAdmission, defaultAdmissionLimits, type AdmissionLimits } from "./admission.js";

const peerOf = (n: number): Peer => ({
  kind: "certificate",
  spkiSha256: new Uint8Array(32).fill(n),
  names: [],
  certificateDer: new Uint8Array(0),
});
const wire = parseMspId("wire.example");
const small: AdmissionLimits = {
  ...defaultAdmissionLimits,
  requestsPerSecond: 2,
  requestsBurst: 3,
  cpuMsPerSecond: 10,
  cpuBurstMs: 20,
  clientContactsPerDay: 20,
  clientContactsBurst: 5,
  mspContactsPerDay: 86_400,
  mspContactsBurst: 8,
  publicBytesPerMinute: 6_000,
};

function make(limits: AdmissionLimits = small) {
  const clock = createSimulatedClock();
  const admission = createAdmission({
    limits,
    clock,
    mspOfSpki: (spki) => (spki[0] === 1 || spki[0] === 2 ? wire : undefined),
  });
  const client = (n: number) => admission.identify({ peer: peerOf(n), address: "192.0.2.1" });
  return { clock, admission, client };
}

/** "ok", or the seconds that LIMITED advises to wait. */
function outcome(run: () => void): "ok" | number {
  try {
    run();
    return "ok";
  } catch (error) {
    if (error instanceof DiscoveryError && error.code === "LIMITED") {
      return error.retryAfterSeconds ?? Infinity;
    }
    throw error;
  }
}

describe("admission", () => {
  it("counts all certificates of an MSP together, and others by their key", () => {
    const { client } = make();
    expect(client(1)).to.deep.equal({ class: "msp", key: "wire.example" });
    expect(client(2)).to.deep.equal(client(1));
    expect(client(3).class).to.equal("client");
    expect(client(3).key).not.to.equal(client(4).key);
  });

  it("does not serve clients without a certificate", () => {
    const { admission } = make();
    expect(() =>
      admission.identify({ peer: { kind: "anonymous" }, address: "192.0.2.1" }),
    ).to.throw("UNAUTHENTICATED");
  });

  it("allows a burst of requests, then the rate, and says when to come back", async () => {
    const { clock, admission, client } = make();
    const request = () => outcome(() => admission.admitRequest(client(3)));
    expect([request(), request(), request(), request()]).to.deep.equal(["ok", "ok", "ok", 1]);
    expect(outcome(() => admission.admitRequest(client(4)))).to.equal("ok");
    await clock.advance(1000);
    expect([request(), request(), request()]).to.deep.equal(["ok", "ok", 1]);
  });

  it("counts every element as a new contact, with the quota of the client's class", async () => {
    const { clock, admission, client } = make();
    const take = (n: number, count: number) =>
      outcome(() => admission.admitContacts(client(n), count));
    expect(take(3, 5)).to.equal("ok");
    expect(take(3, 1)).to.equal(4320);
    expect(take(1, 8)).to.equal("ok");
    expect(take(2, 1)).to.equal(1);
    expect(take(4, 6)).to.equal(Infinity);
    admission.refundContacts(client(3), 2);
    expect(take(3, 2)).to.equal("ok");
    await clock.advance(4_320_000);
    expect(take(3, 1)).to.equal("ok");
  });

  it("refuses further work while CPU time is owed", async () => {
    const { clock, admission, client } = make();
    const request = () => outcome(() => admission.admitRequest(client(3)));
    expect(request()).to.equal("ok");
    admission.reserveCpu(client(3), 10);
    admission.settleCpu(client(3), { reservedMs: 10, spentMs: 50 });
    expect(request()).to.equal(3);
    await clock.advance(3000);
    expect(request()).to.equal("ok");
  });

  it("bounds the CPU time of work under way, and gives back what it did not take", () => {
    const { admission, client } = make();
    const reserve = () => outcome(() => admission.reserveCpu(client(3), 15));
    expect([reserve(), reserve()]).to.deep.equal(["ok", 1]);
    admission.settleCpu(client(3), { reservedMs: 15, spentMs: 1 });
    expect(reserve()).to.equal("ok");
  });

  it("bounds the bytes of an address, IPv6 by its /64", () => {
    const { admission } = make();
    const read = (address: string) => outcome(() => admission.admitBytes(address, 6_000));
    expect(read("192.0.2.1")).to.equal("ok");
    expect(read("192.0.2.1")).to.equal(60);
    expect(read("192.0.2.2")).to.equal("ok");
    expect(read("2001:db8::1")).to.equal("ok");
    expect(read("2001:db8::2")).to.equal(60);
    expect(read("2001:db8:0:1::2")).to.equal("ok");
  });

  it("refuses nothing in a dry run, and counts what it would have refused", () => {
    const { admission, client } = make({ ...small, dryRun: true });
    for (let n = 0; n < 5; n++) {
      expect(outcome(() => admission.admitRequest(client(3)))).to.equal("ok");
    }
    expect(admission.refusals()).to.deep.equal({ requests: 2, contacts: 0, cpu: 0, bytes: 0 });
    expect(admission.refusals().requests).to.equal(2);
  });

  it("takes new limits without refilling what stays as it was", () => {
    const { admission, client } = make();
    const request = () => outcome(() => admission.admitRequest(client(3)));
    expect([request(), request(), request(), request()]).to.deep.equal(["ok", "ok", "ok", 1]);
    admission.setLimits({ ...small, cpuBurstMs: 500 });
    expect(request()).to.equal(1);
    admission.setLimits({ ...small, requestsBurst: 1 });
    expect([request(), request()]).to.deep.equal(["ok", 1]);
  });
});
