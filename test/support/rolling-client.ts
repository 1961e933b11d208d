// The outside client of rolling.test.ts, a process of its own: people look one another up and register, without a
// pause and with nothing but what the public libraries do by themselves, and it counts what was lost. Argument: a
// JSON file (`ClientPlan`). Prints a line of counts a second; reads its keys and its certificate anew on `renew`; ends
// with a last look at everybody on `stop`.

import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { createSigner, decodePrivateKeyPem, type Signer } from "@whither/crypto/node";
import { createDirectoryFollower } from "@whither/directory";
import {
  accountsOf,
  createMsp,
  createRegistrant,
  type HolderMemory,
  type ZoneRegistration,
} from "@whither/msp";
import {
  isDiscoveryError,
  limits,
  parseMspId,
  parseProverId,
  roles,
  type Csi,
  type SignedObject,
  type ZoneName,
} from "@whither/protocol";
import { createResolver, parseCsi } from "@whither/resolver";
import { tlsIdentityFromFiles } from "@whither/rpc";
import { randomBelow, systemClock, systemRandom } from "@whither/runtime";
import { encodeCredential } from "@whither/wire";
import { csiCommit, parseAnchors, signObject } from "@whither/zone";

/** What the client is given: files of one MSP, and where to begin. */
export interface ClientPlan {
  readonly anchors: string;
  readonly directoryPort: number;
  readonly certificate: string;
  readonly key: string;
  readonly ca: string;
  readonly mspId: string;
  readonly mspKey: string;
  readonly proverId: string;
  readonly proverKey: string;
  /** E.164, without the last four digits. */
  readonly numbers: string;
  /** A person counts as registered when so many zones have him. */
  readonly zones: number;
}

/** A line of the client, once a second and at the end. */
export interface ClientCounts {
  readonly event: "counts" | "done";
  /** Lookups that ended. */
  readonly lookups: number;
  /** Registrations that ended, the first and those of further zones. */
  readonly registrations: number;
  /** People whom every zone has promised to publish. */
  readonly people: number;
  /** Of lookups: answered by fewer zones than asked. */
  readonly partial: number;
  /** Why a zone did not answer those. */
  readonly partialFor: Readonly<Record<string, number>>;
  /** Of registrations: put into a zone later than into the other. */
  readonly later: number;
  /** What was lost, at most 20. */
  readonly failures: readonly string[];
  /** Serial of the directory that lookups and registrations go by at least. */
  readonly serial: number;
  /** Times that keys and certificate were read anew. */
  readonly renewals: number;
}

/** Pauses of the loops: they leave the machine to the daemons, nothing is concluded from them. */
const lookupEveryMs = 40;
const registerEveryMs = 250;
const lookers = 4;
const failuresMax = 20;
/** Of the last looks: a lookup has 7 s, which must not be spent on waiting for a thousand others. */
const atOnceMax = 64;

interface Registered {
  readonly csi: Csi;
  /** Unix seconds from which on he has to be found. */
  readonly by: number;
}

const [planFile = ""] = process.argv.slice(2);
const plan = JSON.parse(await readFile(planFile, "utf8")) as ClientPlan; // written by the test
const text = (path: string): Promise<string> => readFile(path, "utf8");
const signerOf = async (path: string): Promise<Signer> =>
  createSigner(decodePrivateKeyPem(await text(path)));
let proverSigner = await signerOf(plan.proverKey);
let mspSigner = await signerOf(plan.mspKey);
const directory = `127.0.0.1:${plan.directoryPort}`;
const identity = { certPath: plan.certificate, keyPath: plan.key };
await using resolver = await createResolver({
  anchors: plan.anchors,
  directory,
  identity: { cert: plan.certificate, key: plan.key },
});
await using follower = createDirectoryFollower({
  anchors: parseAnchors(await text(plan.anchors)),
  source: { kind: "server", host: "127.0.0.1", port: plan.directoryPort },
  mirror: true,
  clock: systemClock,
  random: systemRandom,
});
using registrant = createRegistrant({
  directory: follower,
  caPem: await text(plan.ca),
  identity: await tlsIdentityFromFiles(identity),
});

const people: Registered[] = [];
const failures: string[] = [];
const partialFor = new Map<string, number>();
let lookups = 0;
let registrations = 0;
let partial = 0;
let later = 0;
let tried = 0;
let renewals = 0;
/** Serial of the directory that the resolver holds. */
let mirrored = 0;
const stopped = new AbortController();

function lost(what: string, error: unknown): void {
  const why = isDiscoveryError(error)
    ? `${error.code} ${error.upstream ?? ""} ${error.text}`
    : error;
  const at = new Set([...failures, `${what}: ${String(why)}`]);
  failures.splice(0, failures.length, ...[...at].slice(0, failuresMax));
}

async function lookUp({ csi }: Registered): Promise<void> {
  try {
    const { status, complete, errors, hops } = await resolver.lookup(csi, { refresh: true });
    for (const { from, serial = 0 } of hops) {
      if (from === "mirror") mirrored = Math.max(mirrored, serial);
    }
    if (complete.answered < complete.asked) {
      partial += 1;
      for (const { code, upstream } of errors) {
        const why = `${code} ${upstream}`;
        partialFor.set(why, (partialFor.get(why) ?? 0) + 1);
      }
    }
    if (status !== "found") {
      const codes = errors.map(({ code, upstream }) => `${code} ${upstream}`).join();
      lost("lookup", `${status} ${complete.answered} of ${complete.asked} ${codes}`);
    }
  } catch (error) {
    lost("lookup", error);
  }
  lookups += 1;
}

async function look(): Promise<void> {
  while (!stopped.signal.aborted) {
    const now = systemClock.nowSeconds();
    // The promise is for then; before it nobody can be held to it.
    const promised = people.filter(({ by }) => by <= now);
    const one = promised[randomBelow(systemRandom, Math.max(1, promised.length))];
    if (one !== undefined) await lookUp(one);
    await systemClock.sleep(lookupEveryMs);
  }
}

function credentialOf(of: {
  readonly csi: Csi;
  readonly opening: Uint8Array;
  readonly holder: Signer;
}): SignedObject {
  const now = systemClock.nowSeconds();
  const payload = encodeCredential({
    proverId: parseProverId(plan.proverId),
    csiCommit: csiCommit(of),
    holderPublicKey: of.holder.publicKey,
    method: "sms",
    level: 1,
    issued: now,
    expires: now + limits.telCredentialLifetimeSecondsMax,
    firstProvedAt: now,
    evidenceSha256: new Uint8Array(),
  });
  return signObject({
    type: "credential",
    role: roles.prover,
    zone: "",
    payload,
    signer: proverSigner,
  });
}

/** One more person, in every zone: a zone that is away at the moment gets him when it is back. */
async function register(): Promise<void> {
  tried += 1;
  const csi = parseCsi(`${plan.numbers}${String(tried).padStart(4, "0")}`);
  const holder = createSigner(systemRandom.bytes(32));
  const opening = systemRandom.bytes(32);
  const person = { csi, holder, opening, credential: credentialOf({ csi, opening, holder }) };
  const msp = createMsp({
    id: parseMspId(plan.mspId),
    signer: mspSigner,
    accounts: accountsOf([csi]),
    directory: follower,
    clock: systemClock,
    random: systemRandom,
    answerStepMs: 0,
  });
  let memory: HolderMemory | undefined;
  let missing: readonly ZoneName[] | undefined;
  let by = 0;
  for (let round = 0; memory === undefined || memory.size < plan.zones; round += 1) {
    try {
      const done = await registrant.register({
        ...person,
        msp,
        ...(memory === undefined ? {} : { previous: memory }),
        ...(missing === undefined ? {} : { zones: missing }),
      });
      memory = done.memory;
      missing = done.failed.map(({ zone }) => zone);
      for (const one of done.registered) by = Math.max(by, await foundFrom(one));
      registrations += 1;
    } catch (error) {
      // Nobody took it: that is what must not happen. Of a zone that was missing already it is no news.
      if (memory === undefined) {
        lost("registration", error);
        registrations += 1;
        return;
      }
      await systemClock.sleep(registerEveryMs);
    }
    if (round === 1) later += 1;
  }
  people.push({ csi, by });
}

/** From when on a zone's promise can be held against it: from when it says that it has published, or as it promised. */
async function foundFrom(registration: ZoneRegistration): Promise<number> {
  try {
    await registration.waitPublished();
    return systemClock.nowSeconds();
  } catch (error) {
    if (!isDiscoveryError(error)) throw error;
    return registration.promise.by;
  }
}

async function registerOnAndOn(): Promise<void> {
  const inHand = new Set<Promise<void>>();
  while (!stopped.signal.aborted) {
    const one = register().finally(() => inHand.delete(one));
    inHand.add(one);
    await systemClock.sleep(registerEveryMs);
    if (inHand.size >= 16) await Promise.race(inHand);
  }
  await Promise.all(inHand);
}

/** As a process does that is told of new files. */
async function renew(): Promise<void> {
  proverSigner = await signerOf(plan.proverKey);
  mspSigner = await signerOf(plan.mspKey);
  await resolver.replaceIdentity({ cert: plan.certificate, key: plan.key });
  registrant.replaceIdentity(await tlsIdentityFromFiles(identity));
  renewals += 1;
}

function print(event: ClientCounts["event"]): void {
  const serial = Math.min(mirrored, follower.current()?.head.serial ?? 0);
  const counts: ClientCounts = {
    event,
    lookups,
    registrations,
    people: people.length,
    partial,
    partialFor: Object.fromEntries(partialFor),
    later,
    failures,
    serial,
    renewals,
  };
  process.stdout.write(`${JSON.stringify(counts)}\n`);
}

async function report(): Promise<void> {
  while (!stopped.signal.aborted) {
    print("counts");
    await systemClock.sleep(1_000);
  }
}

createInterface({ input: process.stdin }).on("line", (line) => {
  if (line === "stop") stopped.abort();
  else renew().catch((error: unknown) => lost("renewal", error));
});
await Promise.all([...Array.from({ length: lookers }, look), registerOnAndOn(), report()]);
// Everybody once more, when every promise is due.
const due = Math.max(0, ...people.map(({ by }) => by));
while (systemClock.nowSeconds() < due) await systemClock.sleep(500);
for (let from = 0; from < people.length; from += atOnceMax) {
  await Promise.all(people.slice(from, from + atOnceMax).map(lookUp));
}
print("done");
process.stdin.destroy();
