// A follower, a directory server and the network between them, for tests of following: what the server
// was asked is a list, and everything on the way can be broken.

import { DiscoveryError } from "@whither/protocol";
import { createDirectoryService, type DirectoryService } from "@whither/authority";
import {
  createDirectoryFollower,
  type DirectoryFollower,
  type DirectoryFollowerOptions,
} from "@whither/directory";
import {
  createMemoryNetwork,
  decodeMessage,
  type MemoryNetwork,
  type MemoryServer,
} from "@whither/rpc";
import { ReferRequestSchema } from "@whither/wire";
import {
  encodeArtefact,
  nodeVerifier,
  openArtefact,
  type DirectoryObjects,
  type VerifiedArtefact,
} from "@whither/zone";
import { createSimulatedClock, type SimulatedClock } from "./clock.js";
import {
  directoryFixtureSeconds,
  makeDirectoryObjects,
  makeRootFixture,
  type DirectoryFixtureOptions,
} from "./directory-fixtures.js";
import { createSeededRandom } from "./random.js";

/** Where the server of a directory world listens. */
export const directoryWorldAddress = "root.example:7363";

/** An artefact verified within the fixture's first minute. */
export function makeArtefact(
  options: DirectoryFixtureOptions | DirectoryObjects = {},
): VerifiedArtefact {
  const objects = "nodes" in options ? options : makeDirectoryObjects(options);
  return openArtefact({
    bytes: encodeArtefact(objects),
    anchors: makeRootFixture().anchors,
    nowSeconds: directoryFixtureSeconds + 60,
    verifier: nodeVerifier,
  });
}

export interface DirectoryWorldOptions extends Partial<DirectoryFollowerOptions> {
  /** What the server serves at first: the fixture's directory. */
  readonly artefact?: VerifiedArtefact;
  /** Instead of the Directory service. */
  readonly services?: Parameters<MemoryNetwork["serve"]>[1]["services"];
  /** The follower's clock at first; a minute after the fixture was signed. */
  readonly startSeconds?: number;
  /** Nobody answers from the start. */
  readonly down?: boolean;
}

export interface DirectoryWorld extends AsyncDisposable {
  readonly clock: SimulatedClock;
  readonly network: MemoryNetwork;
  readonly service: DirectoryService;
  readonly server: MemoryServer;
  readonly follower: DirectoryFollower;
  /** Requests that were sent: `Refer tel:+4`, `Refer tel:+49 of sub@dp-a.example`, `Transfer`, `GetRecords`. */
  readonly calls: string[];
  /** Waits until the mirror holds this serial. */
  mirrored(serial?: number): Promise<void>;
}

export function makeDirectoryWorld(options: DirectoryWorldOptions = {}): DirectoryWorld {
  const { artefact = makeArtefact(), services, startSeconds, down = false, ...given } = options;
  const clock = createSimulatedClock({
    startMs: (startSeconds ?? directoryFixtureSeconds + 60) * 1000,
  });
  const network = createMemoryNetwork({ clock, random: createSeededRandom(1) });
  const calls: string[] = [];
  network.tap((record) => {
    if (record.kind !== "message" || record.direction !== "request") return;
    const method = record.method.split("/").at(-1) ?? "";
    calls.push(method === "Refer" ? `Refer ${toldBy(record.bytes)}` : method);
  });
  const service = createDirectoryService(artefact);
  const server = network.serve(directoryWorldAddress, {
    services: services ?? [service.service],
    clients: { kind: "none" },
  });
  if (down) network.setFaults({}, { partition: "refused" });
  const follower = createDirectoryFollower({
    anchors: makeRootFixture().anchors,
    source: { kind: "server", host: "root.example", port: 7363 },
    openChannel: ({ host, port, pins }) =>
      network.connect(`${host}:${port}`, pins === undefined ? {} : { pins }),
    clock,
    random: createSeededRandom(2),
    mirror: false,
    ...given,
  });
  const mirrored = async (serial = 1): Promise<void> => {
    for (let turn = 0; turn < turnsMax; turn++) {
      const now = follower.current();
      if (now?.source === "mirror" && now.head.serial === serial) return;
      await clock.advance(0);
    }
    throw new Error(`the mirror never came to serial ${serial}`);
  };
  const close = (): Promise<void> => follower.close();
  return {
    clock,
    network,
    service,
    server,
    follower,
    calls,
    mirrored,
    [Symbol.asyncDispose]: close,
  };
}

/** What a referral's request tells: a prefix, and of a part its zone. */
function toldBy(bytes: Uint8Array): string {
  const { prefix, zone } = decodeMessage(ReferRequestSchema, bytes);
  return zone === "" ? prefix : `${prefix} of ${zone}`;
}

/** Turns of the event loop that a transfer may take in a test. */
const turnsMax = 5_000;

/** As outcomeOf, for work that takes its time: the code it fails with, or "ok". */
export async function outcomeOfLater(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "ok";
  } catch (error) {
    if (error instanceof DiscoveryError) return error.code;
    throw error;
  }
}
