import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSimulatedClock, makeRootFixture, codeOf } from "@whither/testkit";
import { formatAnchors } from "@whither/zone";
import { expect } from "chai";
import { anchorsFingerprint } from "../anchors-fingerprint.js";
import { anchorsBytesMax, findAnchors, type Fetch } from "./anchors-source.js";

const clock = createSimulatedClock({ startMs: 1_795_400_000_000 });
const { signal } = new AbortController();
const text = formatAnchors(makeRootFixture().anchors);
const url = "https://example.org/anchors.json";
const utf8 = new TextEncoder();

const unasked: Fetch = () => Promise.reject(new Error("nobody may be asked"));
const answering =
  (body: string | ReadableStream<Uint8Array>, status = 200): Fetch =>
  () =>
    Promise.resolve(new Response(body, { status }));
const failure = (source: string, fetch: Fetch) =>
  codeOf(() => findAnchors(source, { fetch, clock, signal }));

describe("anchors for setup", () => {
  let directory = "";
  before(async () => (directory = await mkdtemp(join(tmpdir(), "whither-anchors-"))));
  after(() => rm(directory, { recursive: true }));

  it("are read from a file, with the fingerprint of its bytes", async () => {
    const path = join(directory, "anchors.json");
    await writeFile(path, text);
    const found = await findAnchors(path, { fetch: unasked, clock, signal });
    expect(found.anchors.keys).to.have.length(3);
    expect(found.fingerprint).to.equal(anchorsFingerprint(utf8.encode(text)));
  });

  it("are downloaded over https, following no redirection", async () => {
    const asked: unknown[] = [];
    const fetch: Fetch = (at, { redirect }) => {
      asked.push([at, redirect]);
      return answering(text)(at, { redirect, signal });
    };
    const found = await findAnchors(url, { fetch, clock, signal });
    expect(asked).to.deep.equal([[url, "error"]]);
    expect([...found.bytes]).to.deep.equal([...utf8.encode(text)]);
  });

  it("are never downloaded without TLS", async () => {
    for (const at of [
      "http://example.org/anchors.json",
      "ftp://example.org/a",
      "HTTP://a.example",
    ]) {
      expect(await failure(at, unasked), at).to.equal("CONFIG");
    }
  });

  it("are refused when they are none, or not there", async () => {
    expect(await failure(url, answering("<html>"))).to.equal("CONFIG");
    expect(await failure(url, answering(text, 404))).to.equal("NETWORK");
    expect(await failure(url, () => Promise.reject(new TypeError("fetch failed")))).to.equal(
      "NETWORK",
    );
    expect(await failure(join(directory, "missing.json"), unasked)).to.equal("CONFIG");
  });

  it("are refused above their bound, without reading on", async () => {
    let sent = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 1;
        controller.enqueue(new Uint8Array(256 * 1024));
      },
    });
    expect(await failure(url, answering(endless))).to.equal("TOO_LARGE");
    expect(sent * 256 * 1024).to.be.at.most(2 * anchorsBytesMax);
  });

  it("are given up when the server takes too long", async () => {
    const silent: Fetch = (_at, options) =>
      new Promise((_resolve, reject) => {
        options.signal.addEventListener("abort", () => reject(new Error("aborted")));
      });
    const waiting = failure(url, silent);
    await clock.advance(10_000);
    expect(await waiting).to.equal("DEADLINE");
  });
});
