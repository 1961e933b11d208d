import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import fc from "fast-check";
import { DiscoveryError, limits } from "@whither/protocol";
import { createSeededRandom, EventLog, fixedBytes } from "@whither/testkit";
import { decodeRows, encodeRows, KeptCaches, type KeptCache, type KeptRow } from "./kept-caches.js";

const row = (...fields: readonly (string | number)[]): KeptRow =>
  fields.map((field) => (typeof field === "string" ? Buffer.from(field) : new Uint8Array(field)));
const text = (rows: readonly KeptRow[]): readonly string[] =>
  rows.map((fields) => fields.map((field) => Buffer.from(field).toString()).join("/"));

class ListCache implements KeptCache {
  readonly taken: KeptRow[] = [];
  readonly #rows: readonly KeptRow[];

  constructor(rows: readonly KeptRow[] = []) {
    this.#rows = rows;
  }

  keep(): readonly KeptRow[] {
    return this.#rows;
  }

  restore(fields: KeptRow): void {
    if (fields.some((field) => Buffer.from(field).toString() === "unfit")) {
      throw new DiscoveryError("INVALID_DATA", "unfit");
    }
    this.taken.push(fields.map((field) => field.slice()));
  }
}

describe("caches in a file", () => {
  let folder = "";
  let path = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "whither-kept-"));
    path = join(folder, "cache");
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  const log = new EventLog();
  const kept = (secret = "secret"): KeptCaches =>
    new KeptCaches({
      path,
      secret: fixedBytes(secret),
      random: createSeededRandom(1),
      logger: log,
    });
  const load = async (by = kept()): Promise<readonly ListCache[]> => {
    const caches = [new ListCache(), new ListCache()];
    await by.load(caches);
    return caches;
  };

  it("come back whole, those used latest last, readable by nobody else", async () => {
    const latest = row("tel:+14155550123", "y");
    await kept().save([new ListCache([latest, row("older", "z")]), new ListCache([row("body")])]);
    const [first, second] = await load();
    expect(text(first?.taken ?? [])).to.deep.equal(["older/z", "tel:+14155550123/y"]);
    expect(text(second?.taken ?? [])).to.deep.equal(["body"]);
    expect((await stat(path)).mode & 0o777).to.equal(0o600);
    expect((await readFile(path)).includes("4155550123")).to.equal(false);
    expect(await readdir(folder), "no file half written").to.deep.equal(["cache"]);
  });

  it("are nothing where there is no file", async () => {
    const [first] = await load();
    expect(first?.taken).to.deep.equal([]);
    expect(await readdir(folder)).to.deep.equal([]);
  });

  const damages: readonly (readonly [title: string, (file: Buffer) => Buffer, secret?: string])[] =
    [
      ["cut off", (file) => file.subarray(0, -1)],
      ["cut off within its head", (file) => file.subarray(0, 20)],
      ["empty", () => Buffer.alloc(0)],
      ["with a bit turned", (file) => file.map((octet, i) => (i === 60 ? octet ^ 1 : octet)) as Buffer], // a Buffer's map
      ["of another version", (file) => Buffer.concat([Buffer.from("whither/cache/2\n"), file.subarray(16)])],
      ["of another secret", (file) => file, "another"],
      ["that is larger than any that was written", () => Buffer.alloc(limits.keptCacheBytesMax + 4096)],
    ]; // prettier-ignore
  for (const [title, damage, secret] of damages) {
    it(`begin anew beside a file ${title}, which is put aside`, async () => {
      await kept().save([new ListCache([row("a row that is long enough to be damaged")])]);
      await writeFile(path, damage(await readFile(path)));
      const [first] = await load(kept(secret));
      expect(first?.taken).to.deep.equal([]);
      expect(await readdir(folder)).to.deep.equal(["cache.damaged"]);
      expect(log.last("caches not loaded")).not.to.equal(undefined);
    });
  }

  it("begin anew where a row is of another form than its cache's", async () => {
    await kept().save([new ListCache([row("fit"), row("unfit")])]);
    await load();
    expect(await readdir(folder)).to.deep.equal(["cache.damaged"]);
  });

  it("leave the old file where the new one cannot be written", async () => {
    await kept().save([new ListCache([row("old")])]);
    const nowhere = new KeptCaches({ path: join(path, "below"), secret: fixedBytes("secret"), random: createSeededRandom(1), logger: log }); // prettier-ignore
    await nowhere.save([new ListCache([row("new")])]);
    expect(log.last("caches not saved")).not.to.equal(undefined);
    const [first] = await load();
    expect(text(first?.taken ?? [])).to.deep.equal(["old"]);
  });

  it("hold at most what may be written, half of the room for the first", () => {
    const many = (n: number) => new ListCache(Array.from({ length: n }, () => row(94)));
    const places = (caches: readonly ListCache[], room: number): string => {
      const octets = encodeRows(caches, room);
      expect(octets.length).to.be.at.most(room);
      const rows = decodeRows(octets);
      return [0, 1, 2].map((n) => rows.filter(({ cache }) => cache === n).length).join();
    };
    expect(places([many(50), many(50), many(50)], 4_000)).to.equal("20,10,10");
    expect(places([many(2), many(50), many(50)], 4_000)).to.equal("2,19,19");
    expect(places([many(2), many(2), many(50)], 4_000)).to.equal("2,2,36");
  });

  it("are read as they were written, and refused otherwise", () => {
    const rows = fc.array(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 }), { maxLength: 9 }); // prettier-ignore
    fc.assert(
      fc.property(rows, rows, (a, b) => {
        const octets = encodeRows([new ListCache(a), new ListCache(b)], 2 ** 20);
        const read = decodeRows(octets);
        const expected = [...a.map((fields) => [0, fields]), ...b.map((fields) => [1, fields])];
        expect(read.map(({ cache, fields }) => [cache, fields])).to.deep.equal(expected);
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (octets) => {
        try {
          return decodeRows(octets).every(({ fields }) => fields.length <= 8);
        } catch (error) {
          return error instanceof DiscoveryError && error.code === "INVALID_DATA";
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
