// A DNS client over TCP (RFC 7766), by hand: a connection's end is an event, a lost datagram is none.

import { connect, type Socket } from "node:net";
import { decode, encode } from "dns-packet";

export interface DnsResponse {
  readonly id: number;
  readonly rcode: string;
  readonly records: number;
}

export function framedQuery(id: number, name: string): Buffer {
  const query = encode({ type: "query", id, questions: [{ type: "NAPTR", name }] });
  const length = Buffer.alloc(2);
  length.writeUInt16BE(query.length);
  return Buffer.concat([length, query]);
}

/** What the server sent until it closed; what it had not sent whole is left out. */
export async function responsesOf(socket: Socket): Promise<readonly DnsResponse[]> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  await new Promise((resolve) => socket.once("close", resolve)); // also after an error
  const responses: DnsResponse[] = [];
  let rest = Buffer.concat(chunks);
  while (rest.length >= 2) {
    const end = 2 + rest.readUInt16BE(0);
    if (rest.length < end) break;
    // dns-packet's types leave the code out.
    const packet = decode(rest.subarray(2, end)) as ReturnType<typeof decode> & { rcode: string };
    const { id = 0, answers = [], rcode } = packet;
    responses.push({ id, rcode, records: answers.length });
    rest = rest.subarray(end);
  }
  return responses;
}

/** Asks once: undefined if the server hung up without an answer, or is not there. */
export async function askDns(port: number, name: string): Promise<DnsResponse | undefined> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => undefined); // its close says enough
  socket.end(framedQuery(1, name));
  const [response] = await responsesOf(socket);
  return response;
}
