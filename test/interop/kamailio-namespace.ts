// Runs inside a namespace made by kamailio.test.ts: a federation, whither-dnsd as the name server, Kamailio, and a
// SIP caller and callee of a few lines. Prints what the callee was sent and what an absent number was told.

import { execFileSync, spawn } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DnsWindow } from "../support/dns-window.js";

const host = "127.0.0.1";
const ports = { kamailio: 5060, callee: 5070, caller: 5080 } as const;
const repeatMs = 500;

const config = `#!KAMAILIO
debug=1
log_stderror=yes
fork=yes
children=1
disable_tcp=yes
auto_aliases=no
listen=udp:${host}:${ports.kamailio}
dns_try_naptr=no
use_dns_cache=off
loadmodule "pv.so"
loadmodule "sl.so"
loadmodule "textops.so"
loadmodule "enum.so"
modparam("enum", "domain_suffix", "e164.arpa.")
request_route {
  if (is_method("ACK")) exit;
  if (!enum_query()) { sl_send_reply("404", "Not Found"); exit; }
  forward();
}
`;

function invite(number: string): string {
  return [
    `INVITE sip:${number}@${host}:${ports.kamailio} SIP/2.0`,
    `Via: SIP/2.0/UDP ${host}:${ports.caller};branch=z9hG4bK${number.slice(1)}`,
    "Max-Forwards: 70",
    "From: <sip:caller@example.org>;tag=1",
    `To: <sip:${number}@${host}>`,
    `Call-ID: ${number.slice(1)}@example.org`,
    "CSeq: 1 INVITE",
    "Content-Length: 0",
    "",
    "",
  ].join("\r\n");
}

async function bound(port: number): Promise<Socket> {
  const socket = createSocket("udp4").bind(port, host);
  await once(socket, "listening");
  return socket;
}

/** The first line of the first message that fits; the request is sent again until it comes, as SIP does. */
async function firstLine(of: {
  readonly heard: Socket;
  readonly caller: Socket;
  readonly number: string;
  readonly fits: (line: string) => boolean;
}): Promise<string> {
  const { heard, caller, number, fits } = of;
  const send = (): void => caller.send(invite(number), ports.kamailio, host);
  const timer = setInterval(send, repeatMs);
  try {
    return await new Promise((resolve) => {
      heard.on("message", (message) => {
        const [line = ""] = message.toString("utf8").split("\r\n");
        if (fits(line)) resolve(line);
      });
      send();
    });
  } finally {
    clearInterval(timer);
  }
}

const directory = await mkdtemp(join(tmpdir(), "whither-kamailio-"));
execFileSync("ip", ["link", "set", "lo", "up"]);
const resolvConf = join(directory, "resolv.conf");
await writeFile(resolvConf, `nameserver ${host}\n`);
execFileSync("mount", ["--bind", resolvConf, "/etc/resolv.conf"]);
const configFile = join(directory, "kamailio.cfg");
await writeFile(configFile, config);
const window = await DnsWindow.start({
  listen: `${host}:53`,
  uri: `sip:{number}@${host}:${ports.callee}`,
});
const kamailio = spawn(
  "kamailio",
  ["-f", configFile, "-DD", "-E", "-w", directory, "-Y", directory],
  { stdio: ["ignore", "inherit", "inherit"] },
);
const [caller, callee] = [await bound(ports.caller), await bound(ports.callee)];
try {
  const routed = await firstLine({
    heard: callee,
    caller,
    number: "+4930901820001",
    fits: (line) => line.startsWith("INVITE"),
  });
  console.log(`routed: ${routed}`);
  const absent = await firstLine({
    heard: caller,
    caller,
    number: "+4930901820002",
    fits: (line) => line.startsWith("SIP/2.0 4"),
  });
  console.log(`absent: ${absent}`);
} finally {
  caller.close();
  callee.close();
  kamailio.kill("SIGTERM");
  await once(kamailio, "close");
  await window[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
}
