import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { expect } from "chai";
import { createLogger } from "./logger.js";
import { noticeReady } from "./ready-notice.js";

describe("readiness for systemd", () => {
  let directory = "";
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "whither-notify-"));
  });
  afterEach(() => rm(directory, { recursive: true }));

  /** Puts a systemd-notify first in PATH; resolves when the log says what the test waits for. */
  async function notice(script: string): Promise<{ readonly line: Promise<string> }> {
    const program = join(directory, "systemd-notify");
    await writeFile(program, `#!/bin/sh\n${script}\n`);
    await chmod(program, 0o755);
    let told: (line: string) => void = () => undefined;
    const line = new Promise<string>((resolve) => (told = resolve));
    noticeReady({
      env: {
        PATH: `${directory}${delimiter}${process.env["PATH"] ?? ""}`,
        NOTIFY_SOCKET: "/run/notify",
        OUT: join(directory, "out"),
        DONE: join(directory, "done"),
      },
      pid: 4711,
      logger: createLogger({ destination: { write: told } }),
    });
    return { line };
  }

  it("tells the supervisor of this process, and complains where that fails", async () => {
    const { line } = await notice('echo "$NOTIFY_SOCKET $*" > "$OUT"; exit 3');
    expect(JSON.parse(await line)).to.include({ event: "readiness not told", reason: "exit 3" });
    const said = await readFile(join(directory, "out"), "utf8");
    expect(said).to.equal("/run/notify --ready --pid=4711\n");
  });

  it("says nothing where nobody asked", () => {
    const lines: string[] = [];
    const logger = createLogger({ destination: { write: (line) => void lines.push(line) } });
    noticeReady({ env: { PATH: directory }, pid: 1, logger });
    expect(lines).to.deep.equal([]);
  });
});
