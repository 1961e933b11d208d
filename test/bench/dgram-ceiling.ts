// The ceiling of `dns`: a Node process that finds a whole response by its question, patches the id into it and
// sends it. Started by bench-dns.ts, which hands it the responses; knows nothing of DNS beyond where they begin.

import { createSocket } from "node:dgram";
import { host } from "./federation.js";

const headerBytes = 12;
/** Type and class. */
const questionTailBytes = 4;

/** The question of a packet as a key: from the header to the end of the first name, and four octets more. */
function questionOf(packet: Buffer): string {
  let at = headerBytes;
  for (let length = packet[at] ?? 0; length > 0; length = packet[at] ?? 0) at += length + 1;
  return packet.toString("latin1", headerBytes, at + 1 + questionTailBytes);
}

process.once("message", (responses: readonly string[]) => {
  const bytes = responses.map((text) => Buffer.from(text, "base64"));
  const byQuestion = new Map(bytes.map((response) => [questionOf(response), response]));
  const socket = createSocket({ type: "udp4", recvBufferSize: 1024 * 1024 });
  socket.on("message", (packet, { port, address }) => {
    const kept = byQuestion.get(questionOf(packet));
    if (kept === undefined) return;
    const response = Buffer.from(kept);
    packet.copy(response, 0, 0, 2);
    socket.send(response, port, address);
  });
  socket.bind(0, host, () => process.send?.(socket.address().port));
});
