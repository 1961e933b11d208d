import { Duplex } from "node:stream";
import { createSimulatedClock } from "@whither/testkit";
import { expect } from "chai";
import type { Handled } from "./front.js";
import { idleMs, pipelinedMax, TcpConnection, unreadBytesMax } from "./tcp-connection.js";

/** The server's end of a connection; the client reads what it is sent, or never. */
class ServerEnd extends Duplex {
  readonly sent: Buffer[] = [];
  readonly #doesClientRead: boolean;

  constructor({ doesClientRead = true }: { readonly doesClientRead?: boolean } = {}) {
    super({ allowHalfOpen: true });
    this.#doesClientRead = doesClientRead;
  }

  override _read(): void {
    // what the client sends is pushed
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.sent.push(chunk);
    if (this.#doesClientRead) done();
  }
}

/** An event loop turn, in which what was pushed is read. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const framed = (message: Buffer): Buffer => {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
};
const query = framed(Buffer.from("who?"));

function open({
  handle = (message) => message,
  doesClientRead = true,
}: {
  readonly handle?: (message: Buffer) => Handled;
  readonly doesClientRead?: boolean;
} = {}) {
  const clock = createSimulatedClock();
  const end = new ServerEnd({ doesClientRead });
  const asked: Buffer[] = [];
  const front = {
    handle: (message: Buffer) => {
      asked.push(message);
      return handle(message);
    },
  };
  const connection = new TcpConnection(end, { front, client: "127.0.0.1", clock });
  const send = async (bytes: Buffer): Promise<void> => {
    end.push(bytes);
    await turn();
  };
  return { clock, end, asked, connection, send };
}

describe("a connection of DNS over TCP", () => {
  it("answers pipelined queries, whole or octet by octet, each behind its length", async () => {
    const { end, send } = open();
    await send(Buffer.concat([query, query]));
    for (const octet of query) await send(Buffer.of(octet));
    expect(Buffer.concat(end.sent)).to.deep.equal(Buffer.concat([query, query, query]));
    expect(end.destroyed).to.be.false;
  });

  it("ends when nothing is asked for ten seconds", async () => {
    const { clock, end } = open();
    await clock.advance(idleMs - 1);
    expect(end.destroyed).to.be.false;
    await clock.advance(1);
    expect(end.destroyed).to.be.true;
  });

  it("begins that time anew with each query, and not with each octet of one", async () => {
    const { clock, end, send } = open();
    await clock.advance(idleMs - 1);
    await send(query);
    await clock.advance(idleMs - 1);
    expect(end.destroyed, "a query").to.be.false;
    await send(query.subarray(0, 3));
    await clock.advance(1);
    expect(end.destroyed, "half of one keeps no place").to.be.true;
  });

  it("waits for a lookup that takes longer, and for nothing after it", async () => {
    let answer = (_: Buffer): void => expect.fail("nothing was asked");
    const handle = (): Promise<Buffer> => new Promise((resolve) => (answer = resolve));
    const { clock, end, send } = open({ handle });
    await send(query);
    await clock.advance(3 * idleMs);
    expect(end.destroyed).to.be.false;
    answer(Buffer.from("you"));
    await turn();
    expect(Buffer.concat(end.sent)).to.deep.equal(framed(Buffer.from("you")));
    await clock.advance(idleMs);
    expect(end.destroyed).to.be.true;
  });

  it("ends when a client asks and asks and never reads, with no more kept than the bound", async () => {
    const response = Buffer.alloc(4_096);
    const { end, asked, send } = open({ handle: () => response, doesClientRead: false });
    const batch = Buffer.concat(Array.from({ length: 16 }, () => query));
    const keptMax = unreadBytesMax + response.length + 2;
    let kept = 0;
    let sent = 0;
    for (; !end.destroyed && sent < 100; sent += 1) {
      await send(batch);
      kept = Math.max(kept, end.writableLength);
    }
    expect(end.destroyed).to.be.true;
    expect(kept).to.be.at.most(keptMax);
    // One more than fit; what came behind in the same packet was not looked at.
    expect(asked.length * (response.length + 2)).to.be.within(unreadBytesMax, keptMax);
  });

  it("ends when a client that does not read stops asking, too", async () => {
    const { clock, end, send } = open({ doesClientRead: false });
    await send(query);
    expect(end.writableLength).to.be.above(0);
    await clock.advance(idleMs);
    expect(end.destroyed).to.be.true;
  });

  it("reads no further while many lookups are under way, and goes on with them", async () => {
    const waiting: ((response: Buffer) => void)[] = [];
    const handle = (): Promise<Buffer> => new Promise((resolve) => waiting.push(resolve));
    const { end, asked, send } = open({ handle });
    await send(Buffer.concat(Array.from({ length: pipelinedMax + 10 }, () => query)));
    expect([asked.length, end.isPaused()]).to.deep.equal([pipelinedMax, true]);
    waiting[0]?.(Buffer.from("you"));
    await turn();
    expect(asked).to.have.length(pipelinedMax + 1);
    for (let at = 1; at < waiting.length; at += 1) {
      waiting[at]?.(Buffer.from("you"));
      await turn();
    }
    expect(asked).to.have.length(pipelinedMax + 10);
    expect(end.sent).to.have.length(pipelinedMax + 10);
    expect(end.isPaused()).to.be.false;
  });

  it("hangs up where the front says nothing, and looks at nothing behind it", async () => {
    const { end, asked, send } = open({ handle: () => undefined });
    await send(Buffer.concat([query, query]));
    expect([end.destroyed, asked.length]).to.deep.equal([true, 1]);
  });
});
