import { expect } from "chai";
import { parseCsi } from "@whither/protocol";
import { implementService, notAvailable } from "@whither/rpc";
import {
  createSeededRandom,
  createSimulatedClock,
  directoryWorldAddress,
  makeDirectoryWorld,
  makeRootFixture,
  type DirectoryWorld,
} from "@whither/testkit";
import { Directory } from "@whither/wire";
import {
  createDirectoryFollower,
  type DirectoryFollower,
  type DirectoryPlace,
  type Hop,
  type LocateOptions,
} from "./index.js";
import { DirectoryPlaces } from "./directory-places.js";

const phone = parseCsi("+4930123456");
const address = parseCsi("alice@example.org");
const lying = { host: "lying.example", port: 7363 };
const gone = { host: "gone.example", port: 7363 };
const good = { host: "root.example", port: 7363, serverName: "example.org" };
type Places = readonly [DirectoryPlace, ...DirectoryPlace[]];

describe("servers of a directory that were found", () => {
  const open: AsyncDisposable[] = [];
  afterEach(async () => {
    for (const one of open.splice(0)) await one[Symbol.asyncDispose]();
  });

  /** A world in which `places` are found, once more each time they are asked for. */
  function located(places: () => Places): {
    readonly follower: DirectoryFollower;
    readonly asked: LocateOptions[];
    readonly reached: (string | undefined)[][];
    readonly world: DirectoryWorld;
  } {
    const world = makeDirectoryWorld();
    const { clock, network } = world;
    network.serve("lying.example:7363", {
      services: [
        implementService(Directory, {
          refer: () => Promise.resolve({}),
          transfer: notAvailable,
          watch: notAvailable,
          getRecords: notAvailable,
        }),
      ],
      clients: { kind: "none" },
    });
    const asked: LocateOptions[] = [];
    const reached: (string | undefined)[][] = [];
    const follower = createDirectoryFollower({
      anchors: makeRootFixture().anchors,
      source: {
        kind: "located",
        locator: {
          name: "dns:example.org",
          locate: (options) => {
            asked.push(options);
            return Promise.resolve({ places: places(), untilMs: clock.monotonicMs() + 60_000 });
          },
        },
      },
      openChannel: ({ host, port, serverName }) => {
        reached.push([host, serverName]);
        return network.connect(`${host}:${port}`);
      },
      clock,
      random: createSeededRandom(2),
      mirror: false,
    });
    open.push(follower, world);
    return { follower, asked, reached, world };
  }

  it("are tried in turn until one answers, which is then kept", async () => {
    const { follower, asked, reached } = located(() => [gone, good]);
    const hops: Hop[] = [];
    await follower.delegation(phone, { onHop: (hop) => hops.push(hop) });
    expect(reached).to.deep.equal([
      ["gone.example", undefined],
      ["root.example", "example.org"],
    ]);
    expect(asked).to.have.length(1);
    expect(new Set(hops.map(({ from }) => from))).to.deep.equal(new Set([directoryWorldAddress]));
    await follower.delegation(address);
    expect(reached).to.have.length(2);
  });

  it("are looked for again when their time is over, and the one in use stays", async () => {
    let places: Places = [gone, good];
    const { follower, asked, reached, world } = located(() => places);
    await follower.delegation(phone);
    places = [{ host: "other.example", port: 1 }, good];
    await world.clock.advance(60_001);
    await follower.delegation(address);
    expect(asked.map(({ anew }) => anew)).to.deep.equal([false, false]);
    expect(reached).to.have.length(2);
  });

  it("are looked for anew when none of them answers", async () => {
    let places: Places = [gone];
    const { follower, asked } = located(() => places);
    let code = "";
    await follower.delegation(phone).catch((error: unknown) => {
      code = error instanceof Error ? error.message : "";
    });
    expect(code).to.match(/^UNREACHABLE/);
    places = [good];
    await follower.delegation(phone);
    expect(asked.map(({ anew }) => anew)).to.deep.equal([false, true]);
  });

  it("that cannot be believed are passed over at the next question", async () => {
    const { follower } = located(() => [lying, good]);
    const hops: Hop[] = [];
    let code = "";
    await follower.delegation(phone, { onHop: (hop) => hops.push(hop) }).catch((error: unknown) => {
      code = error instanceof Error ? error.message : "";
    });
    expect(code).to.match(/^(INVALID_DATA|KEY_MISSING)/);
    expect(hops.at(-1)).to.include({ from: "lying.example:7363" });
    expect((await follower.delegation(phone)).prefix).to.equal("tel:+49");
  });

  it("end as one question's tries end, however many they are", async () => {
    const many = Array.from({ length: 9 }, (_, i) => ({ host: `gone-${i}.example`, port: 1 }));
    const { follower, reached } = located(() => [gone, ...many]);
    await follower.delegation(phone).catch(() => undefined);
    expect(reached).to.have.length(4);
  });

  it("are not moved past by a failure of one that is no longer asked", async () => {
    const clock = createSimulatedClock({ startMs: 0 });
    const found = { places: [gone, good, lying] as const, untilMs: 60_000 };
    const from = { name: "x", locate: () => Promise.resolve(found) };
    const places = new DirectoryPlaces({ from, clock });
    await places.ready();
    places.moveOn(gone);
    places.moveOn(gone);
    expect(places.current).to.equal(good);
  });
});
