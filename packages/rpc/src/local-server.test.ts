// Real sockets in a directory of their own: what keeps others out is the file system.
import { chmod, link, lstat, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import http2, { type ServerHttp2Session, type ServerOptions } from "node:http2";
import { createConnection, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { isDiscoveryError } from "@whither/protocol";
import { formatConfigError } from "@whither/runtime";
import { createEchoService, Echo } from "../test/echo-service.js";
import { createClient } from "./client.js";
import { openLocalChannel } from "./grpc-channel.js";
import { createLocalServer, type LocalServer } from "./local-server.js";

describe("a server on a unix socket", () => {
  let directory = "";
  let path = "";
  const open: LocalServer[] = [];

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "whither-socket-"));
    path = join(directory, "control.sock");
  });
  afterEach(async () => {
    for (const server of open.splice(0)) await server.close();
    await rm(directory, { recursive: true, force: true });
  });

  function serve(): LocalServer {
    const server = createLocalServer({ services: [createEchoService().service] });
    open.push(server);
    return server;
  }
  async function echo(): Promise<string> {
    using channel = openLocalChannel({ path });
    try {
      const answer = await createClient(Echo, channel).unary({ id: 7n }, { timeoutMs: 5000 });
      return `echo ${answer.id}`;
    } catch (error) {
      if (isDiscoveryError(error)) return `${error.code} ${error.upstream ?? ""}`;
      throw error;
    }
  }
  async function failure(work: Promise<unknown>): Promise<string> {
    try {
      await work;
    } catch (error) {
      if (isDiscoveryError(error, "CONFIG")) return formatConfigError(error);
      throw error;
    }
    return "ok";
  }

  it("answers its owner, is closed to others, and goes with its server", async () => {
    const server = serve();
    await server.listen(path);
    expect(await echo()).to.equal("echo 7");
    const { mode } = await lstat(path);
    expect(mode & 0o777).to.equal(0o600);
    await server.close();
    expect(await readdir(directory)).to.deep.equal([]);
    expect(await echo()).to.equal(`NETWORK ${path}`);
    await serve().listen(path);
    expect(await echo()).to.equal("echo 7");
  });

  it("drains although a connection was reset a moment before", async () => {
    const { createServer: original } = http2;
    const sessions: ServerHttp2Session[] = [];
    http2.createServer = ((options: ServerOptions) => {
      const made = original(options);
      made.on("session", (session) => sessions.push(session));
      return made;
    }) as typeof original; // grpc-js calls this one of its forms
    try {
      const server = serve();
      await server.listen(path);
      expect(await echo()).to.equal("echo 7");
      const client = http2.connect("http://localhost", {
        createConnection: () => createConnection(path),
      });
      client.on("error", () => undefined);
      await new Promise<void>((resolve) => client.once("remoteSettings", () => resolve()));
      sessions.at(-1)?.destroy();
      await server.drain({ timeoutMs: 50 });
      client.destroy();
    } finally {
      http2.createServer = original;
    }
  });

  it("replaces the socket of a process that is gone, and not one that answers", async () => {
    await serve().listen(path);
    expect(await failure(serve().listen(path))).to.match(/control\.sock is in use by another/);
    expect(await echo()).to.equal("echo 7");
    await open[0]?.close();
    const abandoned = createServer();
    await new Promise<void>((resolve) => abandoned.listen(path, resolve));
    // What kill -9 leaves: a socket in the file system that nobody listens on.
    const kept = join(directory, "kept.sock");
    await link(path, kept);
    await new Promise((resolve) => abandoned.close(resolve));
    path = kept;
    await serve().listen(path);
    expect(await echo()).to.equal("echo 7");
  });

  it("takes no directory that others can enter, no file, and no path that is too long", async () => {
    await chmod(directory, 0o750);
    expect(await failure(serve().listen(path))).to.match(/mode 0750\): chmod 700 /);
    await chmod(directory, 0o700);
    await writeFile(path, "");
    expect(await failure(serve().listen(path))).to.match(/is something else than a socket/);
    const long = join(directory, "x".repeat(120));
    expect(await failure(serve().listen(long))).to.match(
      /has \d{3} bytes, a socket's path at most 10\d/,
    );
    const missing = join(directory, "no", "control.sock");
    expect(await failure(serve().listen(missing))).to.match(/ENOENT/);
  });
});
