// DNS over TCP against the real whither-dnsd (RFC 7766): pipelined queries, a client that closes its half, and the
// bound on connections of one client.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { expect } from "chai";
import { framedQuery, responsesOf } from "../support/dns-over-tcp.js";
import { absentName, DnsWindow, reachableName } from "../support/dns-window.js";

const connectionsOfOneClient = 20; // the default of configs/dnsd.yaml

describe("whither-dnsd over TCP", function () {
  this.timeout(60_000);
  let window: DnsWindow | undefined;
  before(async () => {
    window = await DnsWindow.start({ listen: "127.0.0.1:0", uri: "sip:{number}@{msp}" });
  });
  after(async () => {
    await window?.[Symbol.asyncDispose]();
  });
  const begin = (): Socket => {
    const socket = connect(window?.port ?? 0, "127.0.0.1");
    socket.on("error", () => undefined); // a reset is a close
    return socket;
  };
  const open = async (): Promise<Socket> => {
    const socket = begin();
    await once(socket, "connect");
    return socket;
  };
  /** Where the server hangs up, a reset may come as early as the connection. */
  const closed = (socket: Socket): Promise<void> =>
    new Promise((resolve) => socket.once("close", () => resolve()));

  it("answers every pipelined query by its id, also to a client that has closed its half", async () => {
    const socket = await open();
    const ids = Array.from({ length: 100 }, (_, n) => n + 1);
    const queries = ids.map((id) => framedQuery(id, id % 2 === 0 ? reachableName : absentName));
    socket.end(Buffer.concat(queries));
    const answers = await responsesOf(socket);
    expect(answers.map(({ id }) => id).toSorted((a, b) => a - b)).to.deep.equal(ids);
    for (const { id, records } of answers) expect(records, `${id}`).to.equal(id % 2 === 0 ? 2 : 0);
  });

  it("gives one client so many connections and no more, and others again when they end", async () => {
    const sockets: Socket[] = [];
    for (let n = 0; n < connectionsOfOneClient; n += 1) sockets.push(await open());
    await closed(begin());
    for (const socket of sockets) {
      socket.destroy();
      await once(socket, "close");
    }
    for (;;) {
      const again = begin();
      again.end(framedQuery(7, reachableName));
      const [answer] = await responsesOf(again);
      if (answer === undefined) continue; // the server has not seen the others end yet
      expect(answer).to.include({ id: 7, records: 2 });
      break;
    }
  });

  it("hangs up on octets that are no query", async () => {
    const socket = await open();
    socket.write(Buffer.of(0, 3, 1, 2, 3));
    await closed(socket);
  });
});
