// A server on a unix socket: for the owner of the daemon on this machine and nobody else. There is no TLS
// and no certificate; the directory (0700) and the socket (0600) are what keeps others out.
import { chmod, lstat, rm } from "node:fs/promises";
import { connect } from "node:net";
import { dirname } from "node:path";
import { ServerCredentials } from "@grpc/grpc-js";
import { DiscoveryError } from "@whither/protocol";
import { errnoOf } from "@whither/runtime";
import { startServing } from "./grpc-server.js";
import type { ServedOptions, Serving } from "./grpc-server.js";

export interface LocalServer extends Serving {
  /**
   * Listens at `path`, in a directory that only its owner can enter. A socket that a dead process left
   * there is replaced; one that answers is not. The socket goes when the server closes.
   *
   * @throws DiscoveryError CONFIG with the path in its cause.
   */
  listen(path: string): Promise<void>;
}

/** Bytes of `sun_path` without its end (unix(7)); 103 on the systems that have a shorter one. */
const pathBytesMax = process.platform === "linux" ? 107 : 103;

export function createLocalServer(options: ServedOptions): LocalServer {
  const credentials = ServerCredentials.createInsecure();
  const { bind, ...serving } = startServing(options, { credentials, wantsCertificates: false });
  return {
    ...serving,
    async listen(path) {
      const bytes = Buffer.byteLength(path);
      if (bytes > pathBytesMax) {
        throw socketError(path, `has ${bytes} bytes, a socket's path at most ${pathBytesMax}`);
      }
      await checkDirectory(path);
      await removeStale(path);
      await bind(`unix:${path}`);
      await chmod(path, 0o600);
    },
  };
}

/** Between the socket's making and its chmod only the directory keeps others out. */
async function checkDirectory(path: string): Promise<void> {
  const directory = dirname(path);
  const { mode } = await lstat(directory).catch((cause: unknown) => {
    throw socketError(directory, `cannot be used (${errnoOf(cause) ?? "unknown"})`, cause);
  });
  if ((mode & 0o077) === 0) return;
  const octal = (mode & 0o777).toString(8).padStart(4, "0");
  throw socketError(directory, `is open to others (mode ${octal}): chmod 700 ${directory}`);
}

async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch((cause: unknown) => {
    if (errnoOf(cause) === "ENOENT") return undefined;
    throw socketError(path, `cannot be used (${errnoOf(cause) ?? "unknown"})`, cause);
  });
  if (found === undefined) return;
  if (!found.isSocket()) throw socketError(path, "is something else than a socket");
  if (await answers(path)) throw socketError(path, "is in use by another process");
  await rm(path, { force: true });
}

/** Whether somebody listens. A process that is there and does not take connections counts as one. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (error) => {
      const code = errnoOf(error);
      resolve(code !== "ECONNREFUSED" && code !== "ENOENT");
    });
  });
}

function socketError(path: string, problem: string, cause?: unknown): DiscoveryError {
  return new DiscoveryError("CONFIG", "the control socket cannot be made", {
    cause: new Error(`${path} ${problem}`, cause === undefined ? {} : { cause }),
  });
}
