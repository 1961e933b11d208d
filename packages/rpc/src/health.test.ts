import { EventEmitter } from "node:events";
import { status as grpcStatus, type Server } from "@grpc/grpc-js";
import { expect } from "chai";
import { createHealth } from "./health.js";

/** A stream of Watch as the library hands it over. */
class Stream extends EventEmitter {
  readonly seen: string[] = [];
  readonly request: { readonly service: string };
  ended = false;

  constructor(service: string) {
    super();
    this.request = { service };
    this.on("error", ({ code }: { readonly code: number }) => this.seen.push(`error ${code}`));
  }

  write({ status }: { readonly status: string }): void {
    this.seen.push(status);
  }

  end(): void {
    this.ended = true;
    this.emit("finish");
  }
}

type Unary = (
  call: { readonly request: { readonly service: string } },
  answer: (error: unknown, value?: unknown) => void,
) => void;

interface Methods {
  readonly check: Unary;
  readonly watch: (call: Stream) => void;
  readonly list: Unary;
}

function start(services: readonly string[]) {
  const health = createHealth(services);
  let methods: Methods | undefined;
  const server = { addService: (_: unknown, given: Methods) => void (methods = given) };
  health.addTo(server as unknown as Server); // of a server only this is used
  if (methods === undefined) throw new TypeError("no methods");
  const { check, watch, list } = methods;
  const watching = (service: string): Stream => {
    const stream = new Stream(service);
    watch(stream);
    return stream;
  };
  const ask = (method: Unary, service = ""): unknown => {
    let answered: unknown;
    method({ request: { service } }, (error, value) => (answered = error ?? value));
    return answered;
  };
  return {
    health,
    watching,
    check: (name: string) => ask(check, name),
    list: () => ask(list),
  };
}

describe("grpc.health.v1", () => {
  it("knows the server, its services and whatever a status was set for", () => {
    const { health, check, list } = start(["whither.v1.Zone"]);
    expect(check("")).to.deep.equal({ status: "SERVING" });
    expect(check("de@dp-a.example")).to.include({ code: grpcStatus.NOT_FOUND });
    health.setStatus("de@dp-a.example", "NOT_SERVING");
    expect(check("de@dp-a.example")).to.deep.equal({ status: "NOT_SERVING" });
    expect(list())
      .to.have.property("statuses")
      .that.has.all.keys("", "whither.v1.Zone", "de@dp-a.example");
    for (let n = 0; n < 100; n += 1) health.setStatus(`z${n}@dp-a.example`, "SERVING");
    expect(list()).to.include({ code: grpcStatus.RESOURCE_EXHAUSTED });
  });

  it("tells a watcher the present status and each change of it, once", () => {
    const { health, watching } = start([]);
    const stream = watching("de@dp-a.example");
    for (const status of ["SERVING", "SERVING", "NOT_SERVING"] as const) {
      health.setStatus("de@dp-a.example", status);
    }
    expect(stream.seen).to.deep.equal(["SERVICE_UNKNOWN", "SERVING", "NOT_SERVING"]);
  });

  it("keeps nothing of names that strangers ask for", () => {
    const { health, watching } = start(["whither.v1.Zone"]);
    for (let n = 0; n < 10_000; n += 1) watching(`nobody ${n}`).emit("cancelled");
    expect(health.watchedNames).to.equal(0);
    const [one, other] = [watching("x"), watching("x")];
    one.emit("cancelled");
    one.emit("cancelled");
    expect(health.watchedNames, "somebody watches still").to.equal(1);
    other.emit("cancelled");
    expect(health.watchedNames).to.equal(0);
  });

  it("has room for 1,024 watchers and for another when one leaves", () => {
    const { watching } = start([]);
    const streams = Array.from({ length: 1_024 }, (_, n) => watching(`name ${n % 7}`));
    expect(watching("").seen).to.deep.equal([`error ${grpcStatus.RESOURCE_EXHAUSTED}`]);
    streams[5]?.emit("cancelled");
    expect(watching("").seen).to.deep.equal(["SERVING"]);
  });

  it("tells everybody NOT_SERVING when it stops, for good, and lets them go", () => {
    const { health, watching, check } = start(["whither.v1.Zone"]);
    const stream = watching("whither.v1.Zone");
    health.stop();
    health.setStatus("whither.v1.Zone", "SERVING");
    expect([stream.seen, stream.ended]).to.deep.equal([["SERVING", "NOT_SERVING"], true]);
    expect(check("")).to.deep.equal({ status: "NOT_SERVING" });
    expect(health.watchedNames).to.equal(0);
    expect(watching("").seen).to.deep.equal([`error ${grpcStatus.RESOURCE_EXHAUSTED}`]);
  });
});
