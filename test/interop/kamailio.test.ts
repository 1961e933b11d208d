// Kamailio's enum module, as Debian ships it, routes a SIP request by what whither-dnsd says. Kamailio asks the
// system's resolver, so both live in a mount and network namespace of their own, whose name server is ours.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { isTested } from "../support/foreign-programs.js";
import { projectRoot } from "../support/processes.js";

describe("Kamailio", function () {
  this.timeout(120_000);

  it("routes a SIP request to the holder's first provider (needs kamailio, unshare, ip, root)", async function () {
    const isReady = ["kamailio", "unshare", "ip"].every(isTested) && process.getuid?.() === 0;
    if (!isReady && process.env["CI"] !== "true") this.skip();
    const inside = fileURLToPath(new URL("kamailio-namespace.ts", import.meta.url));
    const child = spawn(
      "unshare",
      ["--mount", "--net", process.execPath, ...process.execArgv, "--import", "tsx", inside],
      { cwd: projectRoot, stdio: ["ignore", "pipe", "pipe"] },
    );
    const said: string[] = [];
    child.stdout.on("data", (chunk: Buffer) => said.push(chunk.toString("utf8")));
    child.stderr.on("data", (chunk: Buffer) => said.push(chunk.toString("utf8")));
    await once(child, "close");
    expect(said.join("")).to.match(
      /^routed: INVITE sip:\+4930901820001@127\.0\.0\.1:5070 SIP\/2\.0$/m,
    );
    expect(said.join("")).to.match(/^absent: SIP\/2\.0 404 Not Found$/m);
    expect(child.exitCode).to.equal(0);
  });
});
