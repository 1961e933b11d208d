// grpc.health.v1 beside the services, so that load balancers and `whitherctl` can ask. The schema comes with
// grpc-health-check; who watches is kept here, because that package keeps something for ever of every name asked
// for, and anybody may ask for any.
import { ServerInterceptingCall, status as grpcStatus } from "@grpc/grpc-js";
import type {
  sendUnaryData,
  Server,
  ServerInterceptingCallInterface,
  ServerUnaryCall,
  ServerWritableStream,
} from "@grpc/grpc-js";
import { service } from "grpc-health-check";

/** Longest service name asked for: names are zones and services. */
const serviceNameMax = 256;
/** Streams of Watch over all names; each costs some 10 KB. A load balancer holds one. */
const watchersMax = 1_024;
/** Names that List tells (as the reference implementations). */
const listedMax = 100;

/** UNKNOWN: of something that was served once and is not any more. */
export type ServingStatus = "SERVING" | "NOT_SERVING" | "UNKNOWN";

export interface Health {
  addTo(server: Server): void;
  /** A name that is new becomes known: zones come and go. */
  setStatus(service: string, status: ServingStatus): void;
  /** All services NOT_SERVING, for good; streams of Watch end with that. */
  stop(): void;
  /** Names that somebody watches. */
  readonly watchedNames: number;
}

interface HealthRequest {
  readonly service: string;
}
interface HealthResponse {
  readonly status: ServingStatus | "SERVICE_UNKNOWN";
}
interface HealthListResponse {
  readonly statuses: Readonly<Record<string, HealthResponse>>;
}
type Watcher = ServerWritableStream<HealthRequest, HealthResponse>;

/** All `services`, and the server as a whole (""), begin as SERVING. */
export function createHealth(services: readonly string[]): Health {
  return new HealthService(services);
}

class HealthService implements Health {
  readonly #statuses = new Map<string, ServingStatus>();
  readonly #watchers = new Map<string, Set<Watcher>>();
  #watching = 0;
  #stopped = false;

  constructor(services: readonly string[]) {
    for (const name of ["", ...services]) this.#statuses.set(name, "SERVING");
  }

  get watchedNames(): number {
    return this.#watchers.size;
  }

  addTo(server: Server): void {
    server.addService(service, {
      check: (
        { request }: ServerUnaryCall<HealthRequest, HealthResponse>,
        answer: sendUnaryData<HealthResponse>,
      ) => {
        const status = this.#statuses.get(request.service);
        if (status === undefined)
          answer({ code: grpcStatus.NOT_FOUND, details: "no such service" });
        else answer(null, { status });
      },
      watch: (call: Watcher) => this.#watch(call),
      list: (
        _call: ServerUnaryCall<unknown, HealthListResponse>,
        answer: sendUnaryData<HealthListResponse>,
      ) => {
        if (this.#statuses.size > listedMax) {
          answer({ code: grpcStatus.RESOURCE_EXHAUSTED, details: "too many services to list" });
          return;
        }
        const rows = [...this.#statuses].map(([name, status]) => [name, { status }] as const);
        answer(null, { statuses: Object.fromEntries(rows) });
      },
    });
  }

  setStatus(name: string, status: ServingStatus): void {
    if (this.#stopped) return;
    const before = this.#statuses.get(name);
    this.#statuses.set(name, status);
    if (status === before) return;
    for (const watcher of this.#watchers.get(name) ?? []) watcher.write({ status });
  }

  stop(): void {
    for (const name of this.#statuses.keys()) this.setStatus(name, "NOT_SERVING");
    this.#stopped = true;
    const streams = [...this.#watchers.values()].flatMap((watchers) => [...watchers]);
    for (const stream of streams) stream.end();
  }

  #watch(call: Watcher): void {
    if (this.#stopped || this.#watching >= watchersMax) {
      const details = "no room for another watcher";
      call.emit("error", { code: grpcStatus.RESOURCE_EXHAUSTED, details });
      return;
    }
    const name = call.request.service;
    const watchers = this.#watchers.get(name) ?? new Set();
    this.#watchers.set(name, watchers);
    watchers.add(call);
    this.#watching += 1;
    const leave = (): void => {
      if (!watchers.delete(call)) return;
      this.#watching -= 1;
      // Nothing stays of a name that nobody asks about any more.
      if (watchers.size === 0) this.#watchers.delete(name);
    };
    call.once("cancelled", leave);
    call.once("finish", leave);
    call.write({ status: this.#statuses.get(name) ?? "SERVICE_UNKNOWN" });
  }
}

/** A call of the health service itself, its request bounded. */
export function boundHealthCall(call: ServerInterceptingCallInterface): ServerInterceptingCall {
  return new ServerInterceptingCall(call, {
    start(next) {
      next({
        onReceiveMessage(message: unknown, deliver) {
          if (isShort(message)) deliver(message);
          else
            call.sendStatus({
              code: grpcStatus.INVALID_ARGUMENT,
              details: "service name too long",
            });
        },
      });
    },
  });
}

function isShort(message: unknown): boolean {
  if (typeof message !== "object" || message === null || !("service" in message)) return true;
  return typeof message.service === "string" && message.service.length <= serviceNameMax;
}
