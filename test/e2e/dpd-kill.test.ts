// `kill -9` of whither-dpd while registrations run: what a DP has promised it keeps, its serial never goes
// back, its tree and head fit after every start. Two DPs side by side, since most of the time goes into
// starting processes. This shows nothing about power loss: the kernel keeps what a killed process has written.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSigner } from "@whither/crypto/node";
import { decodePrivateKeyPem, toHex, type Signer } from "@whither/crypto";
import { createDirectoryFollower, type DirectoryFollower } from "@whither/directory";
import { accountsOf, createMsp, createRegistrant, type DraftSource } from "@whither/msp";
import {
  limits,
  parseCsi,
  parseMspId,
  parseProverId,
  roles,
  type Authority,
  type Csi,
  type MergePromise,
} from "@whither/protocol";
import { createResolver } from "@whither/resolver";
import { createClient, openChannel, tlsIdentityFromFiles, type TlsIdentity } from "@whither/rpc";
import { systemClock, systemRandom } from "@whither/runtime";
import { createSeededRandom, type SeededRandom } from "@whither/testkit";
import {
  encodeCredential,
  RegistrationState,
  Registrar,
  signedObjectFromWire,
  Zone,
} from "@whither/wire";
import {
  csiCommit,
  headMarkOf,
  nodeVerifier,
  parseAnchors,
  prefixOfBucket,
  signObject,
  verifyBucket,
  verifyHead,
  verifyHeadSequence,
  verifyManifest,
  type HeadMark,
} from "@whither/zone";
import { expect } from "chai";
import {
  makeFederation,
  RunningFederation,
  type DpFiles,
  type FederationFiles,
} from "../support/federation.js";
import { rootZoneYaml } from "../support/root-zone.js";

const killsPerDp = 26;
const seed = 20_261_123;
/** Registrations under way at a time, so that a kill meets some at every stage. */
const workers = 3;
const registrationsPerRoundMax = 8;
/** Heads read between the promises and the kill at most: spreads kills over the second that an epoch takes. */
const pollsMax = 250;

const rootZone = rootZoneYaml({
  "tel:": "{ unassigned: true }",
  "tel:+49": "{ zones: [de@dp-a.example] }",
  "tel:+44": "{ zones: [gb@dp-b.example] }",
});

/** A registration that a DP has receipted. */
interface Promised {
  readonly csi: Csi;
  readonly statementSha256: Uint8Array;
  readonly promise: MergePromise;
}

/** What stays the same over all kills. */
interface Parties {
  readonly files: FederationFiles;
  readonly follower: DirectoryFollower;
  readonly identity: TlsIdentity;
  readonly caPem: string;
  readonly prover: Signer;
  readonly msp: (csis: Iterable<Csi>) => DraftSource;
}

describe("a dpd under kill -9", function () {
  this.timeout(400_000);
  let directory = "";
  let parties: Parties;
  let federation: RunningFederation;
  const opened: AsyncDisposable[] = [];

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "whither-dpd-kill-"));
    const files = await makeFederation({
      directory,
      plan: {
        dps: [
          {
            id: "dp-a.example",
            operator: "Operator A",
            jurisdiction: "DE",
            zones: ["de@dp-a.example"],
          },
          {
            id: "dp-b.example",
            operator: "Operator B",
            jurisdiction: "GB",
            zones: ["gb@dp-b.example"],
          },
        ],
        msps: [{ id: "wire.example", operator: "Operator W", bit: 0 }],
        rootZone,
        epoch: "1s",
        // The driver is faster than a client may be.
        dpdConfig: [
          "limits:",
          "  requests_per_second: 100000",
          "  requests_burst: 100000",
          "  cpu_ms_per_second: 100000",
          "  cpu_burst_ms: 100000",
          "  public_bytes_per_minute: 1024MiB",
        ].join("\n"),
      },
    });
    const text = (name: string): Promise<string> => readFile(files.path(name), "utf8");
    const key = async (name: string): Promise<Signer> =>
      createSigner(decodePrivateKeyPem(await text(name)));
    const anchors = parseAnchors(await text("anchors.json"));
    const follower = createDirectoryFollower({
      anchors,
      source: { kind: "file", path: files.artefact },
      openChannel,
      mirror: true,
      clock: systemClock,
      random: systemRandom,
    });
    opened.push(follower);
    const signer = await key("wire.example.msp.pem");
    parties = {
      files,
      follower,
      caPem: await text("pki/ca.pem"),
      identity: await tlsIdentityFromFiles({
        certPath: files.path("pki", "wire.example.pem"),
        keyPath: files.path("pki", "wire.example-key.pem"),
      }),
      prover: await key("prover.pem"),
      msp: (csis) =>
        createMsp({
          id: parseMspId("wire.example"),
          signer,
          accounts: accountsOf(csis),
          directory: follower,
          clock: systemClock,
          random: systemRandom,
          answerStepMs: 0,
        }),
    };
    federation = await RunningFederation.start(files);
    opened.push(federation);
  });

  after(async () => {
    for (const one of opened.reverse()) await one[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  });

  it(`keeps every promise over ${2 * killsPerDp} kills, and never goes back`, async () => {
    const [a, b] = parties.files.dps;
    if (a === undefined || b === undefined) throw new TypeError("two dps");
    const promised = await Promise.all([
      new KilledDp({ parties, federation, dp: a, numbers: "tel:+493090182", seed }).run(),
      new KilledDp({ parties, federation, dp: b, numbers: "tel:+447700900", seed: seed + 1 }).run(),
    ]);
    for (const [place, count] of promised.entries()) {
      expect(count, `promises of dp ${place}`).to.be.at.least(killsPerDp);
    }
  });
});

class KilledDp {
  readonly #parties: Parties;
  readonly #federation: RunningFederation;
  readonly #dp: DpFiles;
  readonly #numbers: string;
  readonly #random: SeededRandom;
  readonly #seed: number;
  #people = 0;
  readonly #promised: Promised[] = [];
  /** Promises not yet seen to be kept. */
  readonly #open = new Set<Promised>();
  #seen: HeadMark | undefined;
  #round = 0;

  constructor(options: {
    readonly parties: Parties;
    readonly federation: RunningFederation;
    readonly dp: DpFiles;
    readonly numbers: string;
    readonly seed: number;
  }) {
    this.#parties = options.parties;
    this.#federation = options.federation;
    this.#dp = options.dp;
    this.#numbers = options.numbers;
    this.#seed = options.seed;
    this.#random = createSeededRandom(options.seed);
  }

  /** All kills, then the proof that everything promised is there. Resolves to the number of promises. */
  async run(): Promise<number> {
    for (this.#round = 1; this.#round <= killsPerDp; this.#round += 1) {
      await this.#registerUntilKilled();
      await this.#federation.restart(this.#dp.plan.id);
      await this.#checkHead();
      await this.#checkPromises();
    }
    await this.#settle();
    await this.#lookUp();
    return this.#promised.length;
  }

  get #where(): string {
    return `${this.#dp.plan.id}, kill ${this.#round}, seed ${this.#seed}`;
  }

  get #daemon() {
    const daemon = this.#federation.dpds.get(this.#dp.plan.id);
    if (daemon === undefined) throw new TypeError("no such dpd");
    return daemon;
  }

  async #registerUntilKilled(): Promise<void> {
    const { follower, caPem, identity } = this.#parties;
    using registrant = createRegistrant({ directory: follower, caPem, identity });
    const csis = Array.from({ length: registrationsPerRoundMax }, () => this.#nextCsi());
    const msp = this.#parties.msp(csis);
    const killed = new AbortController();
    const enough = 1 + this.#random.below(4);
    const polls = this.#random.below(pollsMax);
    const first = this.#promised.length;
    let reach = (): void => undefined;
    const reached = new Promise<void>((resolve) => (reach = resolve));
    const waiting = [...csis];
    const work = async (): Promise<void> => {
      for (let csi = waiting.pop(); csi !== undefined; csi = waiting.pop()) {
        if (killed.signal.aborted) return;
        const made = await this.#register({ registrant, msp, csi, signal: killed.signal });
        for (const promised of made) {
          this.#promised.push(promised);
          this.#open.add(promised);
        }
        if (this.#promised.length - first >= enough) reach();
      }
    };
    const working = Promise.all(Array.from({ length: workers }, work));
    await Promise.race([reached, working]);
    await this.#pollHeads(polls);
    const gone = this.#daemon.stop("SIGKILL");
    await gone;
    killed.abort();
    await working;
    expect(this.#daemon.exitCode, `${this.#where}: ended by itself`).to.equal(null);
    expect(this.#promised.length - first, this.#where).to.be.at.least(1);
  }

  /** Nothing if the kill came first; any other failure is one. */
  async #register(work: {
    readonly registrant: ReturnType<typeof createRegistrant>;
    readonly msp: DraftSource;
    readonly csi: Csi;
    readonly signal: AbortSignal;
  }): Promise<readonly Promised[]> {
    const { registrant, msp, csi, signal } = work;
    const holder = createSigner(systemRandom.bytes(32));
    const opening = systemRandom.bytes(32);
    const credential = this.#credential({ csi, opening, holder });
    try {
      const { registered } = await registrant.register({
        csi,
        opening,
        credential,
        holder,
        msp,
        signal,
      });
      return registered.map(({ statementSha256, promise }) => ({ csi, statementSha256, promise }));
    } catch (error) {
      if (signal.aborted || this.#daemon.exited) return [];
      throw error;
    }
  }

  #credential(of: { readonly csi: Csi; readonly opening: Uint8Array; readonly holder: Signer }) {
    const now = systemClock.nowSeconds();
    const payload = encodeCredential({
      proverId: parseProverId(this.#parties.files.proverId),
      csiCommit: csiCommit(of),
      holderPublicKey: of.holder.publicKey,
      method: "sms",
      level: 1,
      issued: now,
      expires: now + limits.telCredentialLifetimeSecondsMax,
      firstProvedAt: now,
      evidenceSha256: new Uint8Array(),
    });
    const place = { type: "credential", role: roles.prover, zone: "" } as const;
    return signObject({ ...place, payload, signer: this.#parties.prover });
  }

  #nextCsi(): Csi {
    this.#people += 1;
    return parseCsi(`${this.#numbers}${String(this.#people).padStart(4, "0")}`);
  }

  async #authority(): Promise<Authority> {
    const csi = parseCsi(`${this.#numbers}0000`);
    const [authority] = (await this.#parties.follower.delegation(csi)).authorities;
    if (authority === undefined) throw new TypeError("no authority");
    return authority;
  }

  /** Reads heads one after the other: a pause that is measured in answers and not in time. */
  async #pollHeads(count: number): Promise<void> {
    const { zone } = await this.#authority();
    using channel = this.#publicChannel();
    const client = createClient(Zone, channel);
    for (let polled = 0; polled < count; polled += 1) await client.getHead({ zone });
  }

  #publicChannel() {
    const { caPem } = this.#parties;
    const channel = openChannel({ host: "127.0.0.1", port: this.#dp.publicPort, caPem });
    return Object.assign(channel, { [Symbol.dispose]: () => channel.close() });
  }

  /** From outside, as any client would: manifest by the directory's hash, head, one bucket and its path. */
  async #checkHead(): Promise<void> {
    const { zone, manifestSha256 } = await this.#authority();
    const [named] = manifestSha256;
    if (named === undefined) throw new TypeError("no manifest");
    using channel = this.#publicChannel();
    const client = createClient(Zone, channel);
    const answer = await client.getManifest({ zone, manifestSha256: named });
    const manifestObject = signedObjectFromWire(answer.manifest);
    const common = { zone, nowSeconds: systemClock.nowSeconds(), verifier: nodeVerifier };
    const { manifest, sha256 } = verifyManifest({
      ...common,
      object: manifestObject,
      manifestSha256,
    });
    const { head: wireHead } = await client.getHead({ zone });
    const object = signedObjectFromWire(wireHead);
    const before = verifyHead({ ...common, object, manifest, manifestSha256: sha256 });
    const next = headMarkOf(object, before);
    if (this.#seen !== undefined) verifyHeadSequence({ seen: this.#seen, next });
    const { kid, b } = before;
    const prefix = prefixOfBucket(this.#random.below(2 ** b), b);
    const bucket = await client.bucket({ zone, kid, b, prefix });
    const bucketObject = signedObjectFromWire(bucket.head);
    const head = verifyHead({ ...common, object: bucketObject, manifest, manifestSha256: sha256 });
    const { count, entries, siblings } = bucket;
    const place = { zone, kid, b, prefix };
    const verified = verifyBucket({ ...place, count, entries, siblings, head });
    expect(verified.count, this.#where).to.equal(count);
    const mark = headMarkOf(bucketObject, head);
    verifyHeadSequence({ seen: next, next: mark });
    this.#seen = mark;
  }

  /** No promise may be forgotten, and none may be overdue. */
  async #checkPromises(): Promise<void> {
    const { caPem, identity } = this.#parties;
    const { zone } = await this.#authority();
    const channel = openChannel({ host: "127.0.0.1", port: this.#dp.port, caPem, identity });
    try {
      const client = createClient(Registrar, channel);
      for (const promised of this.#open) {
        const { statementSha256, promise } = promised;
        const { state } = await client.status({ zone, statementSha256 });
        const what = `${this.#where}: statement ${toHex(statementSha256).slice(0, 8)}`;
        if (state === RegistrationState.PUBLISHED) this.#open.delete(promised);
        else expect(state, `${what} is forgotten`).to.equal(RegistrationState.PENDING);
        const isLate = this.#open.has(promised) && systemClock.nowSeconds() > promise.by;
        expect(isLate, `${what} is overdue`).to.equal(false);
      }
    } finally {
      channel.close();
    }
  }

  /** Undisturbed, the rest is published; a promise that is not kept in its time fails. */
  async #settle(): Promise<void> {
    while (this.#open.size > 0) {
      await this.#pollHeads(20);
      await this.#checkPromises();
    }
  }

  /** Everything promised is found, by a stranger who knows the anchors alone. */
  async #lookUp(): Promise<void> {
    const { files } = this.#parties;
    await using resolver = await createResolver({
      anchors: files.anchors,
      directory: files.artefact,
      identity: {
        cert: files.path("pki", "wire.example.pem"),
        key: files.path("pki", "wire.example-key.pem"),
      },
    });
    const csis = this.#promised.map(({ csi }) => csi);
    const lost: string[] = [];
    for await (const { csi, answer } of resolver.lookupAll(csis)) {
      const why = "error" in answer ? `${answer.error.code} ${answer.error.text}` : "";
      const isKept =
        answer.status === "found" && answer.mappings.some(({ msp }) => msp === "wire.example");
      if (!isKept) lost.push(`${csi}: ${answer.status} ${why}`);
    }
    expect(lost, this.#where).to.deep.equal([]);
    for (const csi of csis.slice(-5)) {
      const answer = await resolver.lookup(csi);
      expect(answer.choice?.msp, `${this.#where}, every signature`).to.equal("wire.example");
    }
  }
}
