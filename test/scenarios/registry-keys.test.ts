// Keys of the registry in motion (protocol.md section 2): an MSP and a prover change theirs while people register and
// look one another up. Both keys are named, the new one signs, the old one gets its end and at last is dropped.

import { expect } from "chai";
import { isDiscoveryError, parseCsi, type Csi } from "@whither/protocol";
import { createFederation, fixedSigner, type Federation } from "@whither/testkit";

const csiOf = (n: number): Csi => parseCsi(`tel:+49309018${String(30_000 + n)}`);

async function settled(federation: Federation): Promise<void> {
  federation.replaceDirectory();
  // Mirrors and daemons fetch it.
  await federation.clock.advance(1_000_000);
}

describe("keys of the registry replaced", () => {
  for (const { who, role } of [
    { who: "wire.example", role: "an MSP" },
    { who: "prover.example", role: "a prover" },
  ] as const) {
    it(`lose no lookup and no registration when ${role} changes its key`, async function () {
      this.timeout(60_000);
      await using federation = await createFederation({ seed: 7 });
      const { clock } = federation;
      const resolvers = [
        await federation.resolver({ client: "mirrors", mirror: true }),
        await federation.resolver({ client: "walks", mirror: false }),
      ];
      let registered = 0;
      const register = async (): Promise<void> => {
        await federation.register({ csi: csiOf(registered), msps: ["wire.example"] });
        registered += 1;
        await federation.publish();
      };
      const statusOf = async (n: number, at: number): Promise<string> => {
        const lookup = resolvers[at]!.lookup(csiOf(n), { refresh: true });
        return await federation.during(
          lookup.then(
            ({ status }) => status,
            (error: unknown) => (isDiscoveryError(error) ? error.code : String(error)),
          ),
        );
      };
      const lookUp = async (): Promise<void> => {
        for (let n = 0; n < registered; n += 1) {
          expect([await statusOf(n, 0), await statusOf(n, 1)], `person ${n}`).to.deep.equal([
            "found",
            "found",
          ]);
        }
      };
      const { record } = who === "wire.example" ? federation.msp(who) : federation.prover(who);
      const [old] = record.keys;
      const signer = fixedSigner(`the next key of ${who}`);
      const next = { ...old!, publicKey: signer.publicKey };
      await register();

      federation.nameKeys(who, [old!, next]);
      await settled(federation);
      await register();
      await lookUp();

      federation.signWith(who, signer);
      await register();
      const switchedAt = clock.nowSeconds();
      await lookUp();

      // What it signed stays good; what it would sign now is nothing any more.
      federation.nameKeys(who, [next, { ...old!, notAfter: switchedAt }]);
      await settled(federation);
      await register();
      await lookUp();
      federation.signWith(who, fixedSigner(`thief of ${who}`));
      const stranger = await federation
        .register({ csi: csiOf(99), msps: ["wire.example"] })
        .catch((error: unknown) => error);
      expect(isDiscoveryError(stranger), "a key that was never named").to.equal(true);
      federation.signWith(who, signer);

      federation.nameKeys(who, [next]);
      await settled(federation);
      await register();
      for (const n of [2, 3, 4]) expect(await statusOf(n, 0), `person ${n}`).to.equal("found");
      // Dropped before what it signed had ended: why `zone check` warns of that.
      expect(await statusOf(0, 0)).to.equal("none");
    });
  }
});
