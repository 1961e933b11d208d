// Links that fail between real processes: cut, half-open, stalled, slow. No wrong answer whatever happens, no wait
// longer than the query's own, and both answers right again by themselves once the link is.

import { expect } from "chai";
import { isDiscoveryError, parseCsi, type Csi } from "@whither/protocol";
import type { ZoneRegistration } from "@whither/msp";
import { FaultGround } from "../support/fault-ground.js";
import type { LinkFault } from "../support/fault-proxy.js";
import { Holders, type Holder } from "../support/holders.js";

/** Shorter than the 7 s of a query, so that a dead link costs the test little; longer than the silence of a dead one. */
const timeoutMs = 1_750;

describe("links that fail", function () {
  this.timeout(60_000);
  let ground: FaultGround;
  let started: FaultGround | undefined;
  const recoveries: string[] = [];

  before(async () => {
    started = await FaultGround.start({ hasReplica: false });
    ground = started;
    await ground.recovered();
  });
  afterEach(async function () {
    if (started === undefined) return;
    ground.heal();
    recoveries.push(`${this.currentTest?.title}: ${await ground.recovered()} ms`);
  });
  after(async () => {
    console.log(`      well again after\n        ${recoveries.join("\n        ")}`);
    await started?.[Symbol.asyncDispose]();
  });

  const onBoth = (fault: LinkFault): void => {
    ground.links.clients.fault(fault);
    ground.links.open.fault(fault);
  };
  const cutBoth = (how: "fin" | "reset"): void => {
    ground.links.clients.cut(how);
    ground.links.open.cut(how);
  };

  describe("slowly", () => {
    const slow: readonly (readonly [string, LinkFault])[] = [
      ["a late line", { kind: "delay", ms: 50 }],
      ["a narrow line", { kind: "bandwidth", bytesPerSecond: 20_000 }],
      ["a line that drips", { kind: "drip", everyMs: 0 }],
    ];
    for (const [title, fault] of slow) {
      it(`${title} carries both answers, on connections that stand and on new ones`, async () => {
        onBoth(fault);
        expect(await ground.askBoth()).to.deep.equal(["found", "none"]);
        cutBoth("fin");
        expect(await ground.askBoth()).to.deep.equal(["found", "none"]);
      });
    }
  });

  describe("silently", () => {
    const silent: readonly (readonly [string, LinkFault])[] = [
      ["half-open", { kind: "swallow" }],
      ["partitioned", { kind: "hold" }],
    ];
    for (const [title, fault] of silent) {
      it(`${title}: ends in its time and makes nobody absent`, async () => {
        onBoth(fault);
        expect(await ground.askBoth({ timeoutMs })).to.deep.equal(["DEADLINE", "DEADLINE"]);
      });
      it(`${title} from the server alone`, async () => {
        ground.links.clients.fault(fault, "toClient");
        ground.links.open.fault(fault, "toClient");
        expect(await ground.askBoth({ timeoutMs })).to.deep.equal(["DEADLINE", "DEADLINE"]);
      });
    }

    it("connections that a router has forgotten: new ones are made, though nobody resets the old", async () => {
      for (const link of [ground.links.clients, ground.links.open]) {
        for (const one of link.open) one.fault({ kind: "swallow" });
      }
      expect(await ground.askBoth({ timeoutMs })).to.deep.equal(["DEADLINE", "DEADLINE"]);
      await ground.recovered();
      for (const link of [ground.links.clients, ground.links.open]) {
        await link.until(() => !link.open.some(({ hasLost }) => hasLost));
      }
    });

    it("a stream that stalls in the middle of an answer", async () => {
      for (const link of [ground.links.clients, ground.links.open]) {
        for (const one of link.open) {
          one.fault({ kind: "stall", afterBytes: one.carried.toClient + 100 }, "toClient");
        }
      }
      expect(await ground.askBoth({ timeoutMs })).to.deep.equal(["DEADLINE", "DEADLINE"]);
    });

    it("a partition that heals while people wait: they get their answers", async () => {
      onBoth({ kind: "hold" });
      const asked = ground.askBoth();
      await ground.links.open.until(() => ground.links.open.isWaiting);
      ground.heal();
      expect(await asked).to.deep.equal(["found", "none"]);
    });
  });

  describe("suddenly", () => {
    for (const how of ["reset", "fin"] as const) {
      it(`${how}: a connection that is cut in the middle of an answer costs nobody an answer`, async () => {
        for (const bytes of [0, 1, 40, 1_000]) {
          for (const link of [ground.links.clients, ground.links.open]) {
            for (const one of link.open) {
              const afterBytes = one.carried.toClient + bytes;
              one.fault({ kind: "cut", afterBytes, how }, "toClient");
            }
          }
          expect(await ground.askBoth(), `after ${bytes} octets`).to.deep.equal(["found", "none"]);
        }
      });
    }

    it("every connection is cut, in the handshake or after it: NETWORK, never absence", async () => {
      for (const afterBytes of [0, 1, 300, 1_500, 2_500]) {
        onBoth({ kind: "cut", afterBytes, how: "reset" });
        cutBoth("reset");
        for (const outcome of await ground.askBoth({ timeoutMs })) {
          expect(outcome, `after ${afterBytes} octets`).to.be.oneOf([
            "NETWORK",
            "UNREACHABLE",
            "DEADLINE",
          ]);
        }
      }
    });
  });

  describe("while somebody registers", () => {
    let holders: Holders;
    let people = 0;

    before(async () => {
      holders = await Holders.open(ground.files);
      // The connections stand: what is cut from here on is the registration and no handshake.
      await holders.register(somebody());
    });
    after(async () => {
      await holders[Symbol.asyncDispose]();
    });

    const somebody = (): Holder => {
      people += 1;
      return holders.holder(parseCsi(`+49309018300${String(people).padStart(2, "0")}`));
    };
    /** Whole or not at all. */
    const registeredMsps = async (csi: Csi): Promise<readonly string[]> => {
      const { status, mappings } = await ground.resolver.lookup(csi, { refresh: true });
      expect(status).to.be.oneOf(["found", "none"]);
      return mappings.map(({ msp }) => msp);
    };

    for (const direction of ["toServer", "toClient"] as const) {
      it(`cut ${direction} at any octet: the same statement is sent again, and is accepted once`, async () => {
        const before = ground.links.clients.connections.length;
        const made: { readonly csi: Csi; readonly registration: ZoneRegistration }[] = [];
        for (const bytes of [0, 40, 400, 1_200]) {
          for (const one of ground.links.clients.open) {
            const afterBytes = one.carried[direction] + bytes;
            one.fault({ kind: "cut", afterBytes, how: "reset" }, direction);
          }
          const one = somebody();
          made.push({ csi: one.csi, registration: await holders.register(one) });
        }
        ground.heal();
        expect(ground.links.clients.connections.length - before, "new ones").to.be.at.least(3);
        for (const { csi, registration } of made) {
          expect(await registration.waitPublished()).to.be.greaterThan(0);
          expect(await registeredMsps(csi)).to.deep.equal(["wire.example"]);
        }
      });
    }

    it("dripping: it takes its time and is accepted", async () => {
      ground.links.clients.fault({ kind: "drip", everyMs: 0 });
      const one = somebody();
      const registration = await holders.register(one);
      ground.heal();
      await registration.waitPublished();
      expect(await registeredMsps(one.csi)).to.deep.equal(["wire.example"]);
    });

    it("held until it heals: the receipt comes then", async () => {
      ground.links.clients.fault({ kind: "hold" }, "toClient");
      const one = somebody();
      const registering = holders.register(one);
      await ground.links.clients.until(() => ground.links.clients.isWaiting);
      ground.heal();
      await (await registering).waitPublished();
      expect(await registeredMsps(one.csi)).to.deep.equal(["wire.example"]);
    });

    it("held for longer than anybody waits: whole or not at all, and asking again tells", async () => {
      for (const direction of ["toServer", "toClient"] as const) {
        const one = somebody();
        // The offer comes, and what is sent after it or its receipt does not: a request is longer than an offer.
        for (const connection of ground.links.clients.open) {
          const afterBytes = connection.carried[direction] + 500;
          connection.fault({ kind: "stall", afterBytes }, direction);
        }
        const patience = AbortSignal.timeout(timeoutMs);
        const failure = await holders.register(one, { signal: patience }).then(
          () => undefined,
          (error: unknown) => error,
        );
        expect(isDiscoveryError(failure, "DEADLINE"), `${direction}: ${String(failure)}`).to.equal(
          true,
        );
        ground.heal();
        expect(await registeredMsps(one.csi)).to.be.deep.oneOf([[], ["wire.example"]]);
        await (await holders.register(one)).waitPublished();
        expect(await registeredMsps(one.csi)).to.deep.equal(["wire.example"]);
      }
    });
  });

  describe("to the root", () => {
    it("a resolver that holds the directory does not notice", async () => {
      ground.links.root.fault({ kind: "hold" });
      expect(await ground.askBoth()).to.deep.equal(["found", "none"]);
      ground.links.root.cut("reset");
      expect(await ground.askBoth()).to.deep.equal(["found", "none"]);
    });

    it("one that knows nothing yet says so, and goes on when it can", async () => {
      for (const fault of [
        { kind: "hold" },
        { kind: "swallow" },
        { kind: "cut", afterBytes: 1_000, how: "reset" },
      ] as const) {
        ground.links.root.fault(fault);
        await ground.freshResolver();
        for (const outcome of await ground.askBoth({ timeoutMs })) {
          expect(outcome, fault.kind).to.be.oneOf(["NETWORK", "UNREACHABLE", "DEADLINE"]);
        }
        ground.heal();
        await ground.recovered();
      }
    });

    it("dripping, it still gives the directory", async () => {
      ground.links.root.fault({ kind: "drip", everyMs: 0 });
      await ground.freshResolver();
      expect(await ground.askBoth()).to.deep.equal(["found", "none"]);
    });
  });
});
