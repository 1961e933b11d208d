// A bucket replica in a process of its own, of another operator and without a secret: what it has it got from the
// primary's public port and verified, and it serves people whom a resolver knows while the primary is away.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseCsi, type Answer, type Resolver } from "@whither/resolver";
import { expect } from "chai";
import { makeFederation, RunningFederation } from "../support/federation.js";
import { registerPeople, type Person } from "../support/people.js";
import { whitherctlHere } from "../support/processes.js";
import { openResolver } from "../support/open-resolver.js";
import { rootZoneYaml } from "../support/root-zone.js";

const rootZone = rootZoneYaml({
  "tel:": "{ unassigned: true, name: E.164 }",
  "tel:+49": "{ zones: [de@dp-a.example], name: Germany }",
});
const anna: Person = {
  csi: "tel:+4930901820001",
  msps: [{ id: "video.example" }, { id: "wire.example" }],
};
const known = parseCsi(anna.csi);
const stranger = parseCsi("+4930901820002");
const replicaId = "replica.example";

describe("a bucket replica of another operator", function () {
  this.timeout(90_000);
  let directory = "";
  let federation: RunningFederation | undefined;
  let resolver: Resolver | undefined;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "whither-replica-"));
    const dp = { id: "dp-a.example", operator: "Operator A", jurisdiction: "DE" };
    const files = await makeFederation({
      directory,
      plan: {
        dps: [{ ...dp, zones: ["de@dp-a.example"] }],
        replicas: [
          {
            ...{ id: replicaId, operator: "Operator R", jurisdiction: "FR" },
            ...{ zone: "de@dp-a.example", probe: "tel:+4930123456" },
          },
        ],
        msps: [
          { id: "wire.example", operator: "Operator W", bit: 0 },
          { id: "video.example", operator: "Operator V", bit: 1 },
        ],
        rootZone,
      },
    });
    federation = await RunningFederation.start(files);
    await registerPeople(files, [anna]);
    resolver = await openResolver(files);
  });
  after(async () => {
    await resolver?.close();
    await federation?.[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  });

  const running = (): { federation: RunningFederation; resolver: Resolver } => {
    if (federation === undefined || resolver === undefined) throw new TypeError("not started");
    return { federation, resolver };
  };
  const ask = (csi: typeof known): Promise<Answer<"verbose">> =>
    running().resolver.lookup(csi, { refresh: true });
  const askedOf = ({ hops }: Answer): readonly string[] => hops.map(({ from }) => from);
  const publicServer = (): string =>
    `127.0.0.1:${running().federation.files.replicas[0]?.publicPort ?? 0}`;
  /** The replica is an epoch behind now and then: until its head is the one that is wanted. */
  const throughReplica = async (): Promise<Answer<"verbose">> => {
    for (;;) {
      const answer = await ask(known);
      if (answer.status === "found" && askedOf(answer).includes(publicServer())) return answer;
    }
  };

  it("carries the anonymous path: the primary learns no bits, the replica no client", async () => {
    const answer = await throughReplica();
    expect(answer.choice?.msp).to.equal("video.example");
    expect(answer.proof).to.include({ kind: "presence", verified: true });
  });

  it("serves a known contact while the primary is stopped; a stranger stays unreachable", async () => {
    await running().federation.dpds.get("dp-a.example")?.stop("SIGKILL");
    const answer = await ask(known);
    expect(answer.status).to.equal("found");
    expect(answer.warnings.map(({ code }) => code)).to.not.include("STALE");
    expect(askedOf(answer)).to.include(publicServer());
    const failure: unknown = await ask(stranger).catch((error: unknown) => error);
    expect(failure).to.have.property("code").that.is.oneOf(["NETWORK", "UNREACHABLE"]);
  });

  it("serves again at once after kill -9, from what it had verified", async () => {
    await running().federation.restart(replicaId);
    const answer = await ask(known);
    expect(answer.status).to.equal("found");
    expect(askedOf(answer)).to.include(publicServer());
  });

  it("fetches when its operator says so, and the primary tells it when its own does", async () => {
    const { federation } = running();
    const config = federation.files.replicas[0]?.config ?? "";
    const primary = federation.files.dps[0]?.config ?? "";
    const ctl = async (...args: readonly string[]): Promise<string> => {
      const { status, stdout, stderr } = await whitherctlHere(args);
      expect(status, stderr).to.equal(0);
      return stdout;
    };
    const zone = "de@dp-a.example";
    expect(await ctl("status", "--config", config)).to.match(
      /^ +de@dp-a\.example +replica +epoch /m,
    );
    const away = await whitherctlHere(["transfer", zone, "--config", config]);
    expect([away.status, /^error: (?:NETWORK|UNREACHABLE)/.test(away.stderr)]).to.deep.equal([
      1,
      true,
    ]);
    await federation.restart("dp-a.example");
    // The connection that failed is opened again only after a pause.
    let fetched = away;
    while (fetched.status !== 0)
      fetched = await whitherctlHere(["transfer", zone, "--config", config]);
    expect(fetched.stdout).to.match(/^serial \d+ to \d+$/m);
    // The replica watches its primary again as soon as it has seen it.
    let told: string;
    do told = await ctl("notify", zone, "--config", primary);
    while (told.startsWith("0 "));
    expect(told).to.match(/^1 told of serial \d+$/m);
  });

  it("follows the primary again when it is back: a stranger is proven absent", async () => {
    await running().federation.restart("dp-a.example");
    for (;;) {
      const answer: unknown = await ask(stranger).catch((error: unknown) => error);
      if (!(answer instanceof Error)) {
        expect(answer).to.have.property("status", "none");
        break;
      }
    }
    expect((await throughReplica()).status).to.equal("found");
  });
});
