// Requirement 14 and 22 with real processes: what a discovery provider receives while it is asked, octet by
// octet, and what lies on its disk. A zone of more than 100,000 slots; the people among them have registered
// through its own Registrar. Everything a client sends passes a proxy that keeps it.
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openMappingZone, parseManifestFile } from "@whither/authority";
import { decodePrivateKeyPem, decodeVoprfKey, sha256, toHex } from "@whither/crypto";
import { createSigner, loadSodiumVoprf, type Signer } from "@whither/crypto/node";
import { createDirectoryFollower } from "@whither/directory";
import { accountsOf, createMsp, createRegistrant } from "@whither/msp";
import {
  limits,
  parseCsi,
  parseMspId,
  parseProverId,
  parseZoneName,
  roles,
  type Csi,
} from "@whither/protocol";
import { createResolver, type Resolver } from "@whither/resolver";
import { decodeMessage, encodeMessage, openChannel, tlsIdentityFromFiles } from "@whither/rpc";
import { createInlineVoprf, systemClock, systemRandom } from "@whither/runtime";
import { openLevelStore } from "@whither/store";
import { createSeededRandom, fillerBodyBytes, generateFillers } from "@whither/testkit";
import {
  BucketResponseSchema,
  encodeCredential,
  ExchangeRequestSchema,
  FetchRequestSchema,
  FetchResponseSchema,
  type BodiesRequest,
  type BucketRequest,
  type BucketResponse,
} from "@whither/wire";
import {
  bucketIndex,
  csiCommit,
  depthFor,
  parseAnchors,
  signObject,
  slotIndex,
  slotInput,
} from "@whither/zone";
import { expect } from "chai";
import { dpdYaml, makeFederation, type FederationFiles } from "../support/federation.js";
import { IdentifierDictionary } from "../support/identifier-dictionary.js";
import { Daemon, freePorts } from "../support/processes.js";
import {
  messagesOf,
  startRecordingProxy,
  type RecordedCall,
  type RecordingProxy,
} from "../support/recording-proxy.js";
import { rootZoneYaml } from "../support/root-zone.js";

const zoneName = parseZoneName("de@dp-a.example");
const fillers = 100_000;
const registeredCount = 120;
const lookups = 1_000;
/** Of the registered, those who are also looked up verbose. */
const verboseCount = 24;
/** The deepest tree that this many slots have. */
const depth = depthFor(fillers + registeredCount);

const random = createSeededRandom(14);
/** Of many digits that differ, so that a run of seven is no coincidence; unassigned below +4930. */
const csis = Array.from({ length: lookups }, (_, place) =>
  parseCsi(
    place % 10 === 3
      ? `tel:+4930${String(10_000_000 + random.below(90_000_000))}`
      : `tel:+49${String(1_000_000_000 + random.below(2_000_000_000))}`,
  ),
);
const registered = csis.slice(0, registeredCount);
const verbose = registered.slice(0, verboseCount);

const rootZone = rootZoneYaml({
  "tel:": "{ unassigned: true }",
  "tel:+49": `{ zones: [${zoneName}] }`,
});

describe("what a discovery provider can know", function () {
  this.timeout(180_000);
  let directory = "";
  let files: FederationFiles;
  let dpd: Daemon;
  const started: AsyncDisposable[] = [];
  const proxies: RecordingProxy[] = [];
  /** While people registered; the DP must be told a CSI then. */
  let registering: readonly RecordedCall[] = [];
  /** While 1,000 identifiers were looked up. */
  let asking: {
    readonly identified: readonly RecordedCall[];
    readonly anonymous: readonly RecordedCall[];
  };
  let outcomes: ReadonlyMap<Csi, string>;
  const dictionary = new IdentifierDictionary(csis, { partOctets: 7 });

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "whither-privacy-"));
    files = await makeFederation({
      directory,
      plan: {
        dps: [
          { id: "dp-a.example", operator: "Operator A", jurisdiction: "DE", zones: [zoneName] },
        ],
        msps: [{ id: "wire.example", operator: "Operator W", bit: 0 }],
        rootZone,
        epoch: "1s",
        // For the registrations, which are faster than an MSP may be; nothing else is near a limit.
        dpdConfig:
          "limits: { requests_per_second: 100000, requests_burst: 100000, cpu_ms_per_second: 100000, cpu_burst_ms: 100000 }",
      },
    });
    await fillZone(files);
    const [identified, anonymous] = await startBehindProxies();
    await registerAll();
    registering = [...identified.calls, ...anonymous.calls];
    const marks = [identified.calls.length, anonymous.calls.length] as const;
    outcomes = await askAll();
    asking = {
      identified: identified.calls.slice(marks[0]),
      anonymous: anonymous.calls.slice(marks[1]),
    };
  });

  after(async () => {
    for (const one of started.reverse()) await one[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  });

  /** dpd on hidden ports; the proxies where the directory says it is. */
  async function startBehindProxies(): Promise<readonly [RecordingProxy, RecordingProxy]> {
    const [dp] = files.dps;
    const [port = 0, publicPort = 0] = await freePorts(2);
    if (dp === undefined) throw new TypeError("no dp");
    const config = files.path("hidden.yaml");
    const yaml = dpdYaml({ files, dp: { ...dp, port, publicPort }, state: "state" });
    await writeFile(config, yaml.replace(/^ {2}server: .*$/m, "  file: root.signed"));
    dpd = await Daemon.start("whither-dpd", ["--config", config]);
    started.push(dpd);
    const pki = (name: string): string => files.path("pki", name);
    const common = {
      certificateFile: pki("dp-a.example.pem"),
      keyFile: pki("dp-a.example-key.pem"),
      caFile: pki("ca.pem"),
    };
    const client = {
      certificateFile: pki("wire.example.pem"),
      keyFile: pki("wire.example-key.pem"),
    };
    const identified = await startRecordingProxy({
      ...common,
      port: dp.port,
      upstreamPort: port,
      client,
    });
    proxies.push(identified);
    started.push(identified);
    const anonymous = await startRecordingProxy({
      ...common,
      port: dp.publicPort,
      upstreamPort: publicPort,
    });
    proxies.push(anonymous);
    started.push(anonymous);
    return [identified, anonymous];
  }

  /** The real ceremony for each person; resolves when all are published. */
  async function registerAll(): Promise<void> {
    const key = async (name: string): Promise<Signer> =>
      createSigner(decodePrivateKeyPem(await readFile(files.path(name), "utf8")));
    const [prover, signer] = [await key("prover.pem"), await key("wire.example.msp.pem")];
    await using follower = createDirectoryFollower({
      anchors: parseAnchors(await readFile(files.anchors, "utf8")),
      source: { kind: "file", path: files.artefact },
      openChannel,
      mirror: true,
      clock: systemClock,
      random: systemRandom,
    });
    const common = { directory: follower, clock: systemClock, random: systemRandom };
    const accounts = accountsOf(registered);
    const msp = createMsp({
      ...common,
      id: parseMspId("wire.example"),
      signer,
      accounts,
      answerStepMs: 0,
    });
    using registrant = createRegistrant({
      directory: follower,
      caPem: await readFile(files.path("pki", "ca.pem"), "utf8"),
      identity: await tlsIdentityFromFiles({
        certPath: files.path("pki", "wire.example.pem"),
        keyPath: files.path("pki", "wire.example-key.pem"),
      }),
    });
    const waits: Promise<number>[] = [];
    const waiting = [...registered];
    const work = async (): Promise<void> => {
      for (let csi = waiting.pop(); csi !== undefined; csi = waiting.pop()) {
        const [holder, opening] = [createSigner(systemRandom.bytes(32)), systemRandom.bytes(32)];
        const credential = issueCredential({ csi, opening, holder, prover });
        const made = await registrant.register({ csi, opening, credential, holder, msp });
        waits.push(...made.registered.map((one) => one.waitPublished()));
      }
    };
    await Promise.all(Array.from({ length: 6 }, work));
    expect(await Promise.all(waits)).to.have.length(registeredCount);
  }

  /** A resolver that has never asked anything. */
  function stranger(): Promise<Resolver> {
    return createResolver({
      anchors: files.anchors,
      directory: files.artefact,
      identity: {
        cert: files.path("pki", "wire.example.pem"),
        key: files.path("pki", "wire.example-key.pem"),
      },
      voprfThreads: 1,
    });
  }

  async function askAll(): Promise<ReadonlyMap<Csi, string>> {
    await using resolver = await stranger();
    const found = new Map<Csi, string>();
    for await (const { csi, answer } of resolver.lookupAll(csis))
      found.set(
        csi,
        "error" in answer ? `${answer.error.code}: ${answer.error.text}` : answer.status,
      );
    for await (const { csi, answer } of resolver.lookupAll(verbose, { form: "verbose" })) {
      found.set(csi, answer.status);
    }
    return found;
  }

  const messages = (calls: readonly RecordedCall[], method: string): readonly Buffer[] =>
    calls
      .filter((call) => call.method.endsWith(method))
      .flatMap((call) => messagesOf(call.requestBytes()));

  const fetched = <Case extends "bucket" | "bodies">(kind: Case) =>
    messages(asking.anonymous, "Zone/Fetch").flatMap((bytes) => {
      const { request } = decodeMessage(FetchRequestSchema, bytes);
      return request.case === kind
        ? [request.value as Case extends "bucket" ? BucketRequest : BodiesRequest]
        : []; // the case was compared
    });

  const evaluates = (calls: readonly RecordedCall[]) =>
    messages(calls, "Discovery/Exchange").map((bytes) => {
      const { request } = decodeMessage(ExchangeRequestSchema, bytes);
      return { length: bytes.length, blinded: request.value?.blinded ?? new Uint8Array() };
    });

  const everything = (calls: readonly RecordedCall[]): Buffer =>
    Buffer.concat(
      calls.flatMap((call) => [Buffer.from(JSON.stringify(call.headers)), call.requestBytes()]),
    );

  it("was asked for 1,000 identifiers in a zone of more than 100,000 slots, and answered rightly", () => {
    expect(depth).to.be.at.least(9);
    expect(csis).to.have.length(1_000);
    expect(new Set(csis).size).to.equal(1_000);
    const wrong = csis.filter(
      (csi, place) => outcomes.get(csi) !== (place < registeredCount ? "found" : "none"),
    );
    expect(new Set(wrong.map((csi) => outcomes.get(csi)))).to.deep.equal(new Set());
    for (const { b } of fetched("bucket")) expect(b).to.be.at.least(9);
  });

  it("is searched with a dictionary that finds what is there", () => {
    expect(dictionary.size).to.be.above(100_000);
    const heard = dictionary.findIn(everything(registering));
    for (const csi of registered) expect(heard).to.include(`${csi} of ${csi}`);
    const [csi] = csis;
    if (csi === undefined) throw new TypeError("no csi");
    const planted = Buffer.concat([
      systemRandom.bytes(99),
      sha256(slotInput(csi)).subarray(0, 8),
      systemRandom.bytes(99),
    ]);
    expect(dictionary.findIn(planted)).to.deep.equal([`sha256 of x of ${csi}`]);
  });

  it("received no identifier, no part of one and no keyless hash of one, on either connection", () => {
    const received = everything([...asking.identified, ...asking.anonymous]);
    expect(received.length, "1,000 elements and 1,000 bucket requests at least").to.be.above(
      70_000,
    );
    expect(dictionary.findIn(received)).to.deep.equal([]);
  });

  it("cannot tell whether two evaluations are for one identifier or for two", async () => {
    const seen: ReturnType<typeof evaluates>[number][] = [];
    const [identified] = proxies;
    for (const csi of [csis[0], csis[0], csis[1], csis[lookups - 1]]) {
      if (csi === undefined || identified === undefined) throw new TypeError("not there");
      const mark = identified.calls.length;
      {
        await using resolver = await stranger();
        await resolver.lookup(csi, { form: "compact" });
      }
      seen.push(...evaluates(identified.calls.slice(mark)));
    }
    expect(seen).to.have.length(4);
    expect(new Set(seen.map(({ length }) => length)).size, "all of one length").to.equal(1);
    expect(new Set(seen.map(({ blinded }) => toHex(blinded))).size, "all different").to.equal(4);
    const elements = [...evaluates(asking.identified), ...seen].flatMap(({ blinded }) =>
      Array.from({ length: blinded.length / 32 }, (_, at) =>
        toHex(blinded.subarray(32 * at, 32 * at + 32)),
      ),
    );
    expect(elements.length).to.be.at.least(lookups);
    expect(new Set(elements).size).to.equal(elements.length);
  });

  it("is told b bits of an index and nothing behind them", () => {
    const requests = fetched("bucket");
    expect(requests.length).to.be.above(2 ** depth / 2);
    for (const { zone, prefix, b } of requests) {
      expect(zone).to.equal(zoneName);
      const bits = [...prefix].map((octet) => octet.toString(2).padStart(8, "0")).join("");
      expect(bits).to.have.length(128);
      expect(bits.slice(b)).to.equal("0".repeat(128 - b));
    }
  });

  it("is asked for buckets on connections that carry no identity, and for evaluations on others", () => {
    const methods = (calls: readonly RecordedCall[]) => new Set(calls.map(({ method }) => method));
    expect(methods(asking.identified)).to.deep.equal(new Set(["/whither.v1.Discovery/Exchange"]));
    expect(methods(asking.anonymous)).to.deep.equal(new Set(["/whither.v1.Zone/Fetch"]));
    for (const call of asking.identified) expect(call.hasClientCertificate).to.equal(true);
    const usual = [
      ":method",
      ":path",
      ":scheme",
      ":authority",
      "content-type",
      "te",
      "user-agent",
      "grpc-accept-encoding",
      "accept-encoding",
      "grpc-timeout",
    ];
    for (const call of asking.anonymous) {
      expect(call.hasClientCertificate, "asked for a certificate, it has none to show").to.equal(
        false,
      );
      expect(usual).to.include.members(Object.keys(call.headers));
    }
  });

  it("answers every bucket in as many octets", () => {
    const answers: BucketResponse[] = asking.anonymous
      .flatMap((call) => messagesOf(call.responseBytes()))
      .flatMap((bytes) => {
        const { response } = decodeMessage(FetchResponseSchema, bytes);
        return response.case === "bucket" ? [response.value] : [];
      });
    expect(answers.length).to.be.above(2 ** depth / 2);
    expect(new Set(answers.map(({ count }) => count)).size, "buckets do differ").to.be.above(10);
    expect(new Set(answers.map(({ entries }) => entries.length)).size).to.equal(1);
    expect(new Set(answers.map(({ siblings }) => siblings.length)).size).to.equal(1);
    const sizes = answers.map((answer) => encodeMessage(BucketResponseSchema, answer).length);
    expect(new Set(sizes).size).to.equal(1);
  });

  it("is asked for a body among 31 others, in an order that says nothing", () => {
    const requests = fetched("bodies");
    expect(requests).to.have.length(verboseCount);
    for (const { vhashes } of requests) {
      const list = Array.from({ length: vhashes.length / 32 }, (_, at) =>
        toHex(vhashes.subarray(32 * at, 32 * at + 32)),
      );
      expect(list).to.have.length(32);
      expect(new Set(list).size).to.equal(32);
      expect(list).to.deep.equal(list.toSorted());
    }
  });

  // Last: the process ends, in the way that leaves most on its disk.
  it("keeps nothing on its disk or in its log that a dictionary of all identifiers would find", async () => {
    await dpd.stop("SIGKILL");
    const stored = new IdentifierDictionary(csis, { partOctets: 9 });
    const state = files.path("state");
    const names = await readdir(state, { recursive: true, withFileTypes: true });
    const paths = names
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
    expect(paths.some((path) => path.endsWith(".log") || path.endsWith(".ldb"))).to.equal(true);
    for (const path of paths) {
      expect(stored.findIn(await readFile(path)), path).to.deep.equal([]);
    }
    expect(stored.findIn(Buffer.from(dpd.stderr)), "log").to.deep.equal([]);
    // LevelDB compresses its tables: the rows as they are.
    await using store = await openLevelStore({ path: storePath(files) });
    let [rows, octets] = [0, 0];
    for await (const [key, value] of store.iterate()) {
      const row = Buffer.concat([key, value]);
      rows += 1;
      octets += row.length;
      expect(stored.findIn(row), toHex(key)).to.deep.equal([]);
    }
    expect(rows).to.be.above(registeredCount + 2 ** depth);
    expect(octets).to.be.above(68 * fillers);
  });
});

function storePath(files: FederationFiles): string {
  return files.path("state", "zones", zoneName, "store");
}

function issueCredential(of: {
  readonly csi: Csi;
  readonly opening: Uint8Array;
  readonly holder: Signer;
  readonly prover: Signer;
}) {
  const now = systemClock.nowSeconds();
  const payload = encodeCredential({
    proverId: parseProverId("prover.example"),
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
  return signObject({ ...place, payload, signer: of.prover });
}

/** Slots of strangers, with bodies in the buckets whose bodies will be asked for. */
async function fillZone(files: FederationFiles): Promise<void> {
  const base = files.path(zoneName.replace("@", "-"));
  const voprf = await loadSodiumVoprf();
  const voprfSecretKey = decodeVoprfKey(await readFile(`${base}.voprf`, "utf8"));
  const path = storePath(files);
  await mkdir(path, { recursive: true, mode: 0o700 });
  await using store = await openLevelStore({ path, writeBufferBytes: 64 * 1024 * 1024 });
  await using zone = await openMappingZone({
    store,
    zone: zoneName,
    manifest: parseManifestFile(await readFile(`${base}.manifest`)),
    keys: {
      signer: createSigner(decodePrivateKeyPem(await readFile(`${base}.zone.pem`, "utf8"))),
      voprfSecretKey,
    },
    voprf: createInlineVoprf(voprf, systemRandom),
    clock: systemClock,
    random: systemRandom,
  });
  const { kid } = zone.manifest.voprfKeys[0] ?? {};
  if (kid === undefined) throw new TypeError("no kid");
  const places = verbose.map((csi) => {
    const y = voprf.evaluate(voprfSecretKey, slotInput(csi));
    return bucketIndex(slotIndex({ y, zone: zoneName, kid }), depth);
  });
  const asked = new Set(places);
  await zone.loadEntries(
    generateFillers({
      count: fillers,
      seed: "privacy",
      bodyBytes: fillerBodyBytes,
      hasBody: (idx) => asked.has(bucketIndex(idx, depth)),
    }),
  );
}
