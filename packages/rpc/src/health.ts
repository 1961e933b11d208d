// grpc.health.v1 beside the services, so that load balancers and `whitherctl` can ask.
import { ServerInterceptingCall, status as grpcStatus } from "@grpc/grpc-js";
import type { Server, ServerInterceptingCallInterface } from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";

/** Longest service name asked for: the library quotes it in a header of its answer. */
const serviceNameMax = 256;

/** UNKNOWN: of something that was served once and is not any more. */
export type ServingStatus = "SERVING" | "NOT_SERVING" | "UNKNOWN";

export interface Health {
  addTo(server: Server): void;
  /** A name that is new becomes known: zones come and go. */
  setStatus(service: string, status: ServingStatus): void;
  /** All services NOT_SERVING, for good. */
  stop(): void;
}

/** All `services`, and the server as a whole (""), begin as SERVING. */
export function createHealth(services: readonly string[]): Health {
  const names = new Set(["", ...services]);
  const implementation = new HealthImplementation(
    Object.fromEntries([...names].map((name) => [name, "SERVING" as const])),
  );
  let stopped = false;
  return {
    addTo: (server) => implementation.addToServer(server),
    setStatus(service, status) {
      names.add(service);
      if (!stopped) implementation.setStatus(service, status);
    },
    stop() {
      stopped = true;
      for (const name of names) implementation.setStatus(name, "NOT_SERVING");
    },
  };
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
