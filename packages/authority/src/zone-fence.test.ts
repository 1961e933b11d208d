import { expect } from "chai";
import { isDiscoveryError, type ErrorCode } from "@whither/protocol";
import { createMemoryNetwork, type LinkFaults } from "@whither/rpc";
import {
  createSeededRandom,
  createSimulatedClock,
  fixedBytes,
  fixedSigner,
  makeRegistrationParties,
  openTestZone,
} from "@whither/testkit";
import { createAdmission } from "./admission.js";
import { requireNoLaterEpoch } from "./zone-fence.js";
import { createZoneService } from "./zone-service.js";

const startMs = Date.UTC(2027, 0, 15, 8);
const parties = makeRegistrationParties({ nowSeconds: startMs / 1000 });
const { zone } = parties;
const [own, other] = [fixedBytes("spki own"), fixedBytes("spki other")];

const foreign = fixedSigner("another");
const foreignManifest = {
  ...parties.manifest,
  zoneKeys: parties.manifest.zoneKeys.map((key) => ({ ...key, publicKey: foreign.publicKey })),
};

/** What a zone in epoch 1 makes of another server of it. */
async function outcome(options: {
  readonly epoch?: number;
  readonly pin?: Uint8Array;
  readonly served?: typeof parties;
  readonly faults?: LinkFaults;
  readonly secondsLater?: number;
}): Promise<ErrorCode | "ok"> {
  const { epoch = 1, pin = other, served = parties, faults, secondsLater = 0 } = options;
  const clock = createSimulatedClock({ startMs });
  const random = createSeededRandom(1);
  const network = createMemoryNetwork({ clock, random });
  await using here = await openTestZone({ parties, clock, random });
  await using there = await openTestZone({ parties: served, clock, random, epoch });
  const admission = createAdmission({ clock, mspOfSpki: () => undefined });
  network.serve("b:2", {
    services: [createZoneService({ zones: new Map([[zone, there]]), admission, clock })],
    clients: { kind: "none" },
    spkiSha256: pin,
  });
  network.setFaults({ to: "b:2" }, faults);
  await clock.advance(secondsLater * 1000);
  const endpoint = { host: "b", port: 0, publicPort: 2, jurisdiction: "", operator: "" };
  const asking = requireNoLaterEpoch({
    zone: here,
    authority: { endpoints: [{ ...endpoint, spkiSha256: [pin] }] },
    ownSpkiSha256: own,
    openChannel: ({ host, port, pins }) =>
      network.connect(`${host}:${port}`, pins === undefined ? {} : { pins }),
    caPem: "",
    clock,
    signal: new AbortController().signal,
  });
  try {
    await clock.runUntil(asking);
    return "ok";
  } catch (error) {
    if (isDiscoveryError(error)) return error.code;
    throw error;
  }
}

describe("the fence of a zone", () => {
  it("ends a primary whose zone goes on in a later epoch, also by a head that has expired", async () => {
    expect(await outcome({ epoch: 2 })).to.equal("ROLLBACK");
    expect(await outcome({ epoch: 2, secondsLater: 90_000 })).to.equal("ROLLBACK");
  });

  const passed: Readonly<Record<string, Parameters<typeof outcome>[0]>> = {
    "one in the same epoch": { epoch: 1 },
    "one that refuses": { epoch: 2, faults: { partition: "refused" } },
    "one that says nothing": { epoch: 2, faults: { partition: "silent" } },
    itself: { epoch: 2, pin: own },
    "one that has not the zone's key": {
      epoch: 2,
      served: { ...parties, zoneSigner: foreign, manifest: foreignManifest },
    },
    "one whose bytes are cut": {
      epoch: 2,
      faults: {
        tamper: (message, { direction }) =>
          message.slice(0, direction === "response" ? -9 : undefined),
      },
    },
  };
  for (const [who, options] of Object.entries(passed)) {
    it(`does not hear ${who}`, async () => {
      expect(await outcome(options)).to.equal("ok");
    });
  }
});
