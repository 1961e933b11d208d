import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { expect } from "chai";
import fc from "fast-check";
import { sha256, uint32Bytes } from "@whither/crypto/node";
import { ManifestMemory } from "@whither/directory";
import { DiscoveryError, isDiscoveryError } from "@whither/protocol";
import { createMemoryNetwork, implementService } from "@whither/rpc";
import { createMemoryDisk } from "@whither/store";
import {
  createSeededRandom,
  createSimulatedClock,
  makeRegistrationParties,
  openTestZone,
} from "@whither/testkit";
import {
  Replication,
  TransferPartSchema,
  type ReplicationTransferRequest,
  type TransferPart,
} from "@whither/wire";
import type { ReadableZone } from "../mapping/mapping-zone.js";
import { openReplicaZone } from "./open-replica-zone.js";
import { transferParts, type PartInit } from "./transfer-source.js";

const startMs = Date.UTC(2027, 0, 15, 8);
const parties = makeRegistrationParties({ nowSeconds: startMs / 1000 });
const { zone, manifestSha256, dp } = parties;
const spkiSha256 = sha256(uint32Bytes(0));
/** Nobody signs for a root here. */
const noKsks = () => ({ keys: [], threshold: 1 });
const none = new Uint8Array(0);

/** What a hostile or broken primary does with one part of what it should send. */
type Fault =
  | { readonly kind: "dropped" | "repeated" | "cut"; readonly at: number }
  | { readonly kind: "moved"; readonly at: number; readonly to: number }
  | { readonly kind: "flipped"; readonly at: number; readonly bit: number };

const place = fc.nat(40);
const faults: fc.Arbitrary<readonly Fault[]> = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constantFrom("dropped", "repeated", "cut"), at: place }),
    fc.record({ kind: fc.constant("moved" as const), at: place, to: place }),
    fc.record({ kind: fc.constant("flipped" as const), at: place, bit: fc.nat() }),
  ),
  { minLength: 1, maxLength: 3 },
);

function withFault(parts: readonly Uint8Array[], fault: Fault): readonly Uint8Array[] {
  const at = fault.at % Math.max(1, parts.length);
  const part = parts[at];
  if (part === undefined) return parts;
  switch (fault.kind) {
    case "dropped":
      return parts.toSpliced(at, 1);
    case "repeated":
      return parts.toSpliced(at, 0, part);
    case "cut":
      return parts.slice(0, at);
    case "moved":
      return parts.toSpliced(at, 1).toSpliced(fault.to % parts.length, 0, part);
    case "flipped": {
      const bit = fault.bit % (8 * part.length);
      return parts.with(at, part.with(bit >> 3, (part[bit >> 3] ?? 0) ^ (1 << (bit & 7))));
    }
  }
}

const refuse = (): never => {
  throw new DiscoveryError("OVERLOADED", "nobody is told anything");
};

/** A part that does not parse any more never gets as far as the reader. */
function parsed(part: Uint8Array): readonly TransferPart[] {
  try {
    return [fromBinary(TransferPartSchema, part)];
  } catch {
    return [];
  }
}

const everything = (served: Pick<ReadableZone, "bucketResponse" | "head">): readonly string[] => {
  const { kid, b } = served.head();
  return Array.from({ length: 2 ** b }, (_, n) => {
    const prefix = new Uint8Array(16);
    if (b > 0) prefix[0] = n << (8 - b);
    return Buffer.from(served.bucketResponse({ kid, b, prefix })).toString("hex");
  });
};

async function recorded(from: PartInit[]): Promise<readonly Uint8Array[]> {
  await Promise.resolve();
  return from.map((part) => toBinary(TransferPartSchema, create(TransferPartSchema, part)));
}

/** A primary whose answers a test chooses, and what it would say of the whole and of the epochs since. */
async function setting() {
  const clock = createSimulatedClock({ startMs });
  const random = createSeededRandom(9);
  const network = createMemoryNetwork({ clock, random });
  const primary = await openTestZone({ parties, clock, random });
  await primary.loadEntries(
    Array.from({ length: 600 }, (_, n) => ({
      idx: sha256(uint32Bytes(n)).slice(0, 16),
      masked: new Uint8Array(12),
      body: sha256(uint32Bytes(n + 1_000_000)),
    })),
  );
  await primary.runEpoch();
  const sent: { parts: readonly TransferPart[] | undefined } = { parts: undefined };
  const partsFrom = async (from: Parameters<typeof transferParts>[1]) => {
    const tree = primary.holdTree(none);
    const parts: PartInit[] = [];
    for await (const part of transferParts(tree, from)) parts.push(part);
    await tree.release();
    return parts;
  };
  network.serve("a:1", {
    spkiSha256,
    clients: { kind: "none" },
    services: [
      implementService(Replication, {
        transfer: async function* ({ from }: ReplicationTransferRequest) {
          if (from === undefined) throw new TypeError("a reader names its place");
          // Where the way fails the reader asks for the whole: it gets the same again, and honestly in the end.
          const parts = sent.parts ?? (await partsFrom(from));
          for (const part of parts) yield { part };
        },
        notify: refuse,
        vault: refuse,
      }),
    ],
  });
  const replica = async () => {
    const disk = createMemoryDisk({ clock });
    return openReplicaZone({
      disk: { open: () => disk.open(), setAside: () => disk.clear() },
      zone,
      authority: () =>
        Promise.resolve({
          authority: {
            ...{ zone, dpId: dp.id, kind: "mappings" as const, relayOnly: false },
            manifestSha256: [manifestSha256],
            endpoints: [],
          },
          namedAt: 0,
        }),
      manifests: await ManifestMemory.open({ path: undefined, clock, ksks: noKsks }),
      replication: [{ host: "a", port: 1, spkiSha256: [spkiSha256], way: "replication" }],
      openChannel: () => network.connect("nowhere:1"),
      openIdentified: () => network.connect("a:1"),
      caPem: "",
      clock,
      random,
    });
  };
  return { primary, sent, partsFrom, replica };
}

async function refreshed(replica: Awaited<ReturnType<typeof openReplicaZone>>): Promise<boolean> {
  try {
    await replica.refresh();
    return true;
  } catch (error) {
    // Coded, whatever came: nothing that a server sends is a programmer's mistake of ours.
    if (isDiscoveryError(error) && error.code !== "INTERNAL") return false;
    throw error;
  }
}

describe("parts of a transfer, dropped, repeated, moved, cut and flipped", () => {
  it("of the whole: are served as the primary serves it, or not at all", async () => {
    const { primary, sent, partsFrom, replica } = await setting();
    const good = everything(primary);
    const whole = await recorded(await partsFrom({ epoch: 0n, serial: 0n, headSha256: none }));
    await fc.assert(
      fc.asyncProperty(faults, async (some) => {
        await using follower = await replica();
        sent.parts = some.reduce(withFault, whole).flatMap(parsed);
        if (await refreshed(follower)) expect(everything(follower)).to.deep.equal(good);
        else expect(follower.status().state).to.equal("empty");
        sent.parts = undefined;
        await follower.refresh();
        expect(everything(follower)).to.deep.equal(good);
      }),
      { numRuns: 40 },
    );
    await primary.close();
  });

  it("of epochs: leave the last good state, or are the next one", async () => {
    const { primary, sent, partsFrom, replica } = await setting();
    const { epoch, serial } = primary.head();
    const tree = primary.holdTree(none);
    await tree.release();
    const { headSha256 } = tree;
    const before = everything(primary);
    const first = await recorded(await partsFrom({ epoch: 0n, serial: 0n, headSha256: none }));
    for (let n = 0; n < 6; n += 1) await primary.runEpoch();
    const good = everything(primary);
    const held = { epoch: BigInt(epoch), serial: BigInt(serial), headSha256 };
    const since = await recorded(await partsFrom(held));
    expect(since).to.have.length(7);
    await fc.assert(
      fc.asyncProperty(faults, async (some) => {
        await using follower = await replica();
        sent.parts = first.flatMap(parsed);
        await follower.refresh();
        expect(everything(follower)).to.deep.equal(before);
        sent.parts = some.reduce(withFault, since).flatMap(parsed);
        const isNew = (await refreshed(follower)) && follower.head().serial > serial;
        expect(everything(follower)).to.deep.equal(isNew ? good : before);
        sent.parts = undefined;
        await follower.refresh();
        expect(everything(follower)).to.deep.equal(good);
      }),
      { numRuns: 40 },
    );
    await primary.close();
  });
});
