import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { createRateLimit, createServedFiles, rootReader } from "@whither/authority";
import { DiscoveryError } from "@whither/protocol";
import type { CallContext, TlsIdentity } from "@whither/rpc";
import { createLogger, formatConfigError, parseYaml } from "@whither/runtime";
import {
  createSimulatedClock,
  directoryFixtureSeconds as now,
  EventLog,
  makeDirectoryObjects,
  makeRootFixture,
  prefixesFixture,
  testIdentity,
} from "@whither/testkit";
import { encodeArtefact, formatAnchors, nodeVerifier, verifyDirectory } from "@whither/zone";
import { loadRootdConfig, rootdSchema, type RootdConfig } from "./config.js";
import { createExpiryWatch } from "./expiry-watch.js";
import { loadDirectory, readIdentity } from "./load-directory.js";
import { openPublication } from "./publication.js";
import { reload } from "./reload.js";

const day = 86_400;
const root = makeRootFixture();
const firstObjects = makeDirectoryObjects({ root });
const first = verifyDirectory({
  objects: firstObjects,
  anchors: root.anchors,
  nowSeconds: now,
  verifier: nodeVerifier,
});
const reader = rootReader(root.anchors);
const secondObjects = makeDirectoryObjects({ root, previous: first, nowSeconds: now });
const second = verifyDirectory({
  objects: secondObjects,
  anchors: root.anchors,
  nowSeconds: now,
  verifier: nodeVerifier,
});

const minimal = `anchors_file: anchors.json
artefact_file: root.directory
tls: { certificate_file: rootd.crt, key_file: rootd.key }
`;

describe("rootd configuration", () => {
  const path = "/etc/whither/rootd.yaml";
  const parse = (text: string): RootdConfig => parseYaml({ text, path, schema: rootdSchema });
  const mistakes = (text: string): string => {
    try {
      parse(text);
    } catch (error) {
      return formatConfigError(error);
    }
    throw new Error("expected a mistake");
  };

  it("fills every default and starts relative paths from the file's directory", () => {
    expect(parse(minimal)).to.deep.equal({
      anchorsFile: "/etc/whither/anchors.json",
      artefactFile: "/etc/whither/root.directory",
      stateDirectory: undefined,
      logLevel: "info",
      listen: { public: { host: "127.0.0.1", port: 7363 } },
      metrics: undefined,
      tls: { certificateFile: "/etc/whither/rootd.crt", keyFile: "/etc/whither/rootd.key" },
      health: { intervalSeconds: 300, concurrency: 8 },
      limits: { requestsPerSecond: 50, requestsBurst: 125 },
      withdrawal: undefined,
    });
  });

  it("withdraws only where it is told to, and then by defaults that take their time", () => {
    const text = `${minimal}state_directory: state\nwithdrawal: { zsk_key_file: online.pem }\n`;
    expect(parse(text).withdrawal).to.deep.equal({
      zskKeyFile: "/etc/whither/online.pem",
      afterSeconds: 3_600,
      returnAfterSeconds: 900,
      sharePercent: 25,
    });
  });

  it("has a documented example that says the defaults", () => {
    const example = new URL("../../../configs/rootd.yaml", import.meta.url);
    expect(parse(readFileSync(example, "utf8"))).to.deep.equal(parse(minimal));
  });

  const wrong: readonly (readonly [string, string, RegExp])[] = [
    ["an unknown key", `${minimal}artefact: x\n`, /rootd\.yaml:4: artefact: /],
    ["a missing file", minimal.replace("anchors_file: anchors.json\n", ""), /anchors_file/],
    [
      "a port out of range",
      `${minimal}listen: { public: "127.0.0.1:70000" }\n`,
      /:4: listen\.public: .*0\.\.65535/,
    ],
    [
      "a key in the file's place",
      minimal.replace("rootd.key", `"-----BEGIN PRIVATE KEY-----"`),
      /tls\.key_file: .*secret/,
    ],
    [
      "a burst too small for a transfer",
      `${minimal}limits: { requests_burst: 4 }\n`,
      /:4: limits\.requests_burst: .*5\.\./,
    ],
    [
      "probes without a pause",
      `${minimal}health: { interval: 0s }\n`,
      /:4: health\.interval: .*1s/,
    ],
    [
      "withdrawals that could not be kept",
      `${minimal}withdrawal: { zsk_key_file: online.pem }\n`,
      /state_directory: .*beside withdrawal/,
    ],
    [
      "withdrawals without a key",
      `${minimal}state_directory: state\nwithdrawal: { after: 1h }\n`,
      /:5: withdrawal\.zsk_key_file: /,
    ],
    [
      "withdrawals of more than a half",
      `${minimal}state_directory: state\nwithdrawal: { zsk_key_file: z.pem, share_percent: 51 }\n`,
      /:5: withdrawal\.share_percent: .*1\.\.50/,
    ],
    [
      "a word for a number",
      `${minimal}limits: { requests_per_second: many }\n`,
      /:4: limits\.requests_per_second: /,
    ],
  ];
  for (const [title, text, expected] of wrong) {
    it(`names file, line and key of ${title}`, () => {
      expect(mistakes(text)).to.match(expected);
    });
  }
});

describe("rootd with files", () => {
  const clock = createSimulatedClock({ startMs: (now + 60) * 1000 });
  let folder = "";
  const file = (name: string): string => join(folder, name);
  const put = (objects: typeof firstObjects): Promise<void> =>
    writeFile(file("root.directory"), encodeArtefact(objects));

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "whither-rootd-"));
    const { certPem, keyPem } = testIdentity();
    await writeFile(file("rootd.yaml"), minimal);
    await writeFile(file("anchors.json"), formatAnchors(root.anchors));
    await writeFile(file("rootd.crt"), certPem);
    await writeFile(file("rootd.key"), keyPem, { mode: 0o600 });
    await put(firstObjects);
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  async function failure(work: Promise<unknown>): Promise<string> {
    try {
      await work;
    } catch (error) {
      if (error instanceof DiscoveryError) return `${error.code} ${formatConfigError(error)}`;
      throw error;
    }
    return "ok";
  }
  const load = async (): Promise<unknown> =>
    loadDirectory({ ...(await loadRootdConfig(file("rootd.yaml"))), clock });

  it("verifies the directory before it serves it", async () => {
    expect(await failure(load())).to.equal("ok");
    const stranger = makeRootFixture({ nowSeconds: now });
    await writeFile(
      file("anchors.json"),
      formatAnchors({
        ...stranger.anchors,
        keys: [stranger.zsk.publicKey, ...root.anchors.keys.slice(1)],
        threshold: 2,
      }),
    );
    expect(await failure(load())).to.match(/^KEY_MISSING .*\nin .*root\.directory$/);
    await writeFile(file("anchors.json"), "{}");
    expect(await failure(load())).to.match(/^CONFIG anchors: .*\nin .*anchors\.json$/);
  });

  it("names a directory that is damaged, ended or missing", async () => {
    await writeFile(file("root.directory"), encodeArtefact(firstObjects).subarray(0, -3));
    expect(await failure(load())).to.match(/^INVALID_DATA .*\nin .*root\.directory$/);
    await put(makeDirectoryObjects({ root, nowSeconds: now - 8 * 3600, lifetimeSeconds: 3600 }));
    expect(await failure(load())).to.match(/^EXPIRED /);
    await rm(file("root.directory"));
    expect(await failure(load())).to.match(/^CONFIG .*\n.*root\.directory cannot be read/);
  });

  it("refuses a key that others may read", async () => {
    await rm(file("rootd.key"));
    await writeFile(file("rootd.key"), testIdentity().keyPem, { mode: 0o644 });
    const config = await loadRootdConfig(file("rootd.yaml"));
    expect(await failure(readIdentity(config))).to.match(/open to others/);
  });

  async function running() {
    const lines: string[] = [];
    const config = await loadRootdConfig(file("rootd.yaml"));
    const logger = createLogger({ destination: { write: (line) => void lines.push(line) } });
    const publication = await openPublication({
      given: await loadDirectory({ ...config, clock }),
      files: createServedFiles({ stateDirectory: undefined, reader, logger }),
    });
    const { service } = publication;
    const identities: TlsIdentity[] = [];
    const listener = { replaceIdentity: (identity: TlsIdentity) => void identities.push(identity) };
    const rateLimit = createRateLimit(config.limits, clock);
    const again = () =>
      reload(file("rootd.yaml"), {
        config,
        publication,
        listener,
        rateLimit,
        clock,
        logger,
      });
    const events = () =>
      lines.map((line) => (JSON.parse(line) as { readonly event: string }).event);
    return { service, identities, again, events };
  }

  it("keeps what it served and what led to it over restarts, and goes on from the newer one", async () => {
    const log = new EventLog();
    const files = createServedFiles({ stateDirectory: folder, reader, logger: log });
    const open = async () =>
      files.open(await loadDirectory({ ...(await loadRootdConfig(file("rootd.yaml"))), clock }));
    const since = ({ history }: Awaited<ReturnType<typeof open>>) =>
      history.touchedSince(first.head)?.prefixes;
    expect(since(await open())).to.equal(undefined);
    await put(
      makeDirectoryObjects({ root, previous: first, prefixes: prefixesFixture.slice(0, 3) }),
    );
    const touched = since(await open());
    expect(touched).to.include("tel:+441481").and.not.include("tel:+49");
    const again = await open();
    expect(again.artefact.directory.serial).to.equal(2);
    expect(since(again)).to.deep.equal(touched);
    await put(firstObjects);
    expect((await open()).artefact.directory.serial, "never back").to.equal(2);
    expect(log.last("artefact older than served")?.fields).to.include({ serial: 1, served: 2 });
    await writeFile(file("served.history"), "{}");
    expect(since(await open()), "a damaged history is dropped").to.equal(undefined);
  });

  it("does not begin below a directory that it served and can read no more", async () => {
    const log = new EventLog();
    const files = createServedFiles({ stateDirectory: folder, reader, logger: log });
    const open = async () =>
      files.open(await loadDirectory({ ...(await loadRootdConfig(file("rootd.yaml"))), clock }));
    await put(secondObjects);
    await open();
    await writeFile(file("served.directory"), "rubbish");
    await put(firstObjects);
    expect(await failure(open())).to.match(/^STORE_CORRUPT .*\n.*served\.directory .*serial 2/);
    await put(secondObjects);
    expect((await open()).artefact.directory.serial, "what was reached may be served").to.equal(2);
    expect(log.last("served directory not loaded")).to.not.equal(undefined);
    await writeFile(file("served.directory"), "rubbish");
    await writeFile(file("served.history"), "{}");
    expect(await failure(open()), "nobody knows what was reached").to.match(/^STORE_CORRUPT /);
    await rm(file("served.directory"));
    expect((await open()).artefact.directory.serial, "taken away by hand").to.equal(2);
  });

  it("remembers how far it came from the first start on", async () => {
    const log = new EventLog();
    const files = createServedFiles({ stateDirectory: folder, reader, logger: log });
    const open = async () =>
      files.open(await loadDirectory({ ...(await loadRootdConfig(file("rootd.yaml"))), clock }));
    await open();
    await open();
    expect(log.events).to.deep.equal([]);
  });

  it("takes a newer directory and certificate on SIGHUP", async () => {
    const { service, identities, again, events } = await running();
    await put(secondObjects);
    await again();
    expect(service.directory.serial).to.equal(2);
    expect(identities).to.have.length(1);
    expect(events()).to.deep.equal(["directory replaced"]);
  });

  const bad: readonly (readonly [string, () => Promise<void>, string])[] = [
    ["an older directory", () => put(firstObjects), "ROLLBACK"],
    ["a fork", () => put(makeDirectoryObjects({ root, previous: first, prefixes: [] })), "FORKED"],
    [
      "a damaged directory",
      () => writeFile(file("root.directory"), encodeArtefact(secondObjects).subarray(0, 999)),
      "INVALID_DATA",
    ],
    [
      "a directory of tomorrow",
      () => put(makeDirectoryObjects({ root, previous: second, nowSeconds: now + day })),
      "CLOCK_SKEW",
    ],
    [
      "a configuration that does not check",
      () => writeFile(file("rootd.yaml"), `${minimal}x: 1\n`),
      "CONFIG",
    ],
    [
      "a key that is not the certificate's",
      () => writeFile(file("rootd.crt"), "rubbish"),
      "CONFIG",
    ],
  ];
  for (const [title, spoil, code] of bad) {
    it(`keeps the last good one, and says so, when SIGHUP finds ${title}`, async () => {
      await put(secondObjects);
      const { service, identities, again, events } = await running();
      await spoil();
      expect(await failure(again())).to.match(new RegExp(`^${code} `));
      expect(service.directory.serial).to.equal(2);
      expect(identities).to.have.length(0);
      expect(events()).to.deep.equal(["directory kept"]);
    });
  }

  it("says which changes wait for a restart", async () => {
    const { again, events } = await running();
    await writeFile(file("rootd.yaml"), `${minimal}listen: { public: "127.0.0.1:1" }\n`);
    await again();
    expect(events()).to.deep.equal(["restart needed"]);
  });
});

describe("the end of a directory", () => {
  it("is announced a day before and ends the serving", async () => {
    const clock = createSimulatedClock({ startMs: now * 1000 });
    const lines: string[] = [];
    const logger = createLogger({ clock, destination: { write: (line) => void lines.push(line) } });
    const serving: boolean[] = [];
    using watch = createExpiryWatch({ clock, logger, onServing: (is) => serving.push(is) });
    watch.watch(first);
    await clock.advance(6 * day * 1000 - 1000);
    expect(lines).to.have.length(0);
    await clock.advance(1000);
    expect(lines[0]).to.contain("directory expires soon");
    await clock.advance(day * 1000);
    expect(lines[1]).to.contain("directory expired");
    expect(serving).to.deep.equal([true, true, false]);
    const next = verifyDirectory({
      objects: makeDirectoryObjects({ root, previous: first, nowSeconds: now + 7 * day }),
      anchors: root.anchors,
      nowSeconds: now + 7 * day,
      verifier: nodeVerifier,
    });
    watch.watch(next);
    expect(serving.at(-1)).to.equal(true);
    expect(clock.pending()).to.equal(1);
  });
});

describe("rate limit of the root", () => {
  it("counts per address, a transfer as five, and says when to come back", async () => {
    const clock = createSimulatedClock();
    const limit = createRateLimit({ requestsPerSecond: 2, requestsBurst: 6 }, clock);
    const call = async (
      address: string,
      methodKind: CallContext["methodKind"] = "unary",
    ): Promise<string> => {
      const context: CallContext = {
        peer: { kind: "anonymous" },
        address,
        signal: AbortSignal.any([]),
        draining: AbortSignal.any([]),
        deadlineMs: undefined,
        metadata: new Map(),
        method: "/whither.v1.Directory/Refer",
        methodKind,
      };
      try {
        await limit.interceptor(context, () => Promise.resolve());
        return "ok";
      } catch (error) {
        return error instanceof DiscoveryError ? `${error.code} ${error.retryAfterSeconds}` : "?";
      }
    };
    expect(await call("192.0.2.1", "server_streaming")).to.equal("ok");
    expect(await call("192.0.2.1")).to.equal("ok");
    expect(await call("192.0.2.1")).to.equal("LIMITED 1");
    expect(await call("192.0.2.2")).to.equal("ok");
    expect(await call("2001:db8::1", "server_streaming")).to.equal("ok");
    expect(await call("2001:db8::2", "server_streaming")).to.equal("LIMITED 2");
    await clock.advance(500);
    expect(await call("192.0.2.1")).to.equal("ok");
    limit.set({ requestsPerSecond: 100, requestsBurst: 100 });
    expect(await call("192.0.2.1", "server_streaming")).to.equal("ok");
  });
});
