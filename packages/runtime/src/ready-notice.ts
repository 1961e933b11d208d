// Readiness for systemd (sd_notify(3)). The protocol is a datagram on a unix socket, which Node has no
// API for; systemd-notify(1), which comes with every systemd, sends it for us. Hence NotifyAccess=all in
// the units: the datagram comes from a child.

import { spawn } from "node:child_process";
import type { Logger } from "./logger.js";

/** Says READY=1 when a supervisor asked for it with NOTIFY_SOCKET; without one this does nothing. */
export function noticeReady(options: {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly pid: number;
  readonly logger: Logger;
}): void {
  const { env, pid, logger } = options;
  if ((env["NOTIFY_SOCKET"] ?? "") === "") return;
  const child = spawn("systemd-notify", ["--ready", `--pid=${pid}`], { env, stdio: "ignore" });
  const failed = (reason: string): void => logger.error("readiness not told", { reason });
  child.once("error", (error) => failed(error.message));
  child.once("exit", (status) => {
    if (status !== 0) failed(`exit ${String(status)}`);
  });
  child.unref();
}
