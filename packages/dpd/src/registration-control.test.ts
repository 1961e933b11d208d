import { createControlService } from "@whither/control";
import { DiscoveryError, limits, parseCsi } from "@whither/protocol";
import { createClient, createMemoryNetwork } from "@whither/rpc";
import { createLogger } from "@whither/runtime";
import {
  codeOf,
  createSeededRandom,
  createSimulatedClock,
  makeRegistrationParties,
  makeSlot,
  openTestZone,
} from "@whither/testkit";
import { Control, decodeSignedObject, decodeSlotBody, decodeStatement } from "@whither/wire";
import { mspBitsOf, payloadSha256 } from "@whither/zone";
import { formatPublicKey, fromBase64Url } from "@whither/crypto/node";
import { expect } from "chai";
import { registrationHandlers } from "./registration-control.js";
import type { ZoneSet } from "./zone-set.js";

const startMs = Date.UTC(2027, 0, 15, 8);
const csi = parseCsi("tel:+14155550123");
const parties = makeRegistrationParties({ nowSeconds: startMs / 1000, csi });
const { zone } = parties;
const about = { zone, csi };
const idxPattern = /^[0-9a-f]{32}$/;

/** The control service over one zone that holds one registration; what it logs is kept. */
async function start() {
  const clock = createSimulatedClock({ startMs });
  const random = createSeededRandom(3);
  const served = await openTestZone({ parties, clock, random });
  const { plaintext } = makeSlot(parties, { count: 2 });
  await served.submit({
    slot: await served.lookupForRegistration(csi),
    content: { plaintext, registryVersion: 5, bits: mspBitsOf([0]) },
    nonceD: new Uint8Array(48).fill(255),
    statementSha256: payloadSha256(decodeSlotBody(plaintext).statement),
    acceptedAt: clock.nowSeconds(),
  });
  await served.runEpoch();
  const logged: string[] = [];
  const logger = createLogger({ clock, destination: { write: (line) => void logged.push(line) } });
  const provided = { zone: served, signer: parties.zoneSigner, probe: undefined };
  const zones = {
    served: (name: string) => {
      if (name !== zone) throw new DiscoveryError("NOT_AUTHORITATIVE", "no such zone");
      return { kind: "serving", problem: undefined, provided } as ReturnType<ZoneSet["served"]>; // the stores are not looked at
    },
  };
  const handlers = registrationHandlers({ zones, clock, logger });
  const services = [createControlService({ name: "whither-dpd", handlers })];
  const network = createMemoryNetwork({ clock, random });
  network.serve("control:1", { services, clients: { kind: "none" } });
  return { served, logged, clock, client: createClient(Control, network.connect("control:1")) };
}

describe("registrations on the control socket", () => {
  it("are listed as places alone, within the bound", async () => {
    const { client } = await start();
    const rows = [];
    for await (const row of client.listRegistrations({ zone })) rows.push(row);
    expect(rows).to.have.length(1);
    expect(rows[0]?.idx).to.match(idxPattern);
    expect(rows[0]).to.include({ state: "active", since: 2n });
    const list = async (range: object) => {
      for await (const _ of client.listRegistrations({ zone, ...range })) return;
    };
    expect(await codeOf(() => list({ limit: limits.listedSlotsMax + 1 }))).to.equal("TOO_LARGE");
    for (const after of ["x", "00", "0".repeat(33)]) {
      expect(await codeOf(() => list({ after })), after).to.equal("INVALID_DATA");
    }
    expect(await codeOf(() => list({ after: "f".repeat(32) }))).to.equal("ok");
  });

  it("are shown to who names the identifier, in any of its forms", async () => {
    const { client } = await start();
    for (const form of [csi, "+1 415 555-0123"]) {
      const shown = await client.showRegistration({ zone, csi: form });
      expect(shown).to.include({ state: "active", since: 2n, removedAt: 0n });
      expect(shown.holder).to.equal(formatPublicKey(parties.holder.publicKey));
      expect(shown.mappings.map(({ msp, level }) => [msp, level])).to.have.length(2);
    }
    const nobody = await client.showRegistration({ zone, csi: "+14155550199" });
    expect(nobody).to.include({ state: "none", holder: "", since: 0n });
    expect(nobody.mappings).to.be.empty;
  });

  it("are exported with every signed object whole", async () => {
    const { client } = await start();
    const { json } = await client.exportRegistration(about);
    const held = JSON.parse(json) as {
      readonly csi: string;
      readonly statement: string;
      readonly mappings: readonly { readonly opening: string; readonly credential: string }[];
      readonly receipt: object;
      readonly places: readonly object[];
    }; // the documented shape
    expect(held.csi).to.equal(csi);
    const statement = decodeSignedObject(fromBase64Url(held.statement));
    expect(decodeStatement(statement.payload).items).to.have.length(2);
    expect(held.mappings).to.have.length(2);
    for (const { opening, credential } of held.mappings) {
      expect(fromBase64Url(opening)).to.have.length(32);
      expect(decodeSignedObject(fromBase64Url(credential)).signatures).to.have.length(1);
    }
    expect(held.receipt).to.deep.equal({ accepted_at: startMs / 1000, serial: 2 });
    expect(held.places).to.have.length(1);
    const stranger = await client.exportRegistration({ zone, csi: "+14155550199" });
    const none: unknown = JSON.parse(stranger.json);
    expect(none).to.include({ state: "none", statement: null, holder: null });
  });

  it("are invalidated for a reason, with the time by which readers know", async () => {
    const { client, served } = await start();
    expect(await codeOf(() => client.invalidateRegistration(about))).to.equal("INVALID_DATA");
    const done = await client.invalidateRegistration({ ...about, reason: "notice 4711" });
    const { epochSeconds } = parties.manifest;
    expect(done).to.include({ removed: true, by: BigInt(startMs / 1000 + epochSeconds) });
    expect((await client.showRegistration(about)).state).to.equal("pending");
    await served.runEpoch();
    expect(await client.showRegistration(about)).to.include({
      state: "none",
      removedAt: BigInt(startMs / 1000),
      removedReason: "notice 4711",
    });
    const again = await client.invalidateRegistration({ ...about, reason: "notice 4711" });
    expect(again.removed).to.be.false;
  });

  it("are erased and published in one call", async () => {
    const { client, served } = await start();
    const done = await client.eraseRegistration(about);
    expect(done).to.include({ removed: true, by: BigInt(startMs / 1000) });
    expect(served.head().mapSize).to.equal(0);
    expect((await client.eraseRegistration(about)).removed).to.be.false;
  });

  it("are of zones that are served here, and of identifiers that are some", async () => {
    const { client } = await start();
    const elsewhere = { zone: "fr@dp-z.example", csi };
    expect(await codeOf(() => client.showRegistration(elsewhere))).to.equal("NOT_AUTHORITATIVE");
    for (const text of ["", "nobody", "030 123456"]) {
      const one = { zone, csi: text };
      expect(await codeOf(() => client.eraseRegistration(one)), text).to.equal("INVALID_CSI");
    }
  });

  it("leave no identifier in the log", async () => {
    const { client, logged } = await start();
    await client.exportRegistration(about);
    await client.invalidateRegistration({ ...about, reason: "notice 4711" });
    await client.eraseRegistration(about);
    expect(logged.join("")).to.contain("registration exported").and.contain("notice 4711");
    expect(logged.join("")).not.to.contain("4155550123");
  });
});
