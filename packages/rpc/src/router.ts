// From a method path to its handler, with the interceptors around it and the failure made presentable.
// Knows no transport: gRPC and the memory network both hand it byte-level calls.
import { DiscoveryError } from "@whither/protocol";
import type { Logger } from "@whither/runtime";
import type { IncomingCall } from "./calls.js";
import type { CallContext } from "./context.js";
import { compose } from "./interceptors.js";
import type { ServerInterceptor } from "./interceptors.js";
import type { MethodRegistration, ServiceRegistration } from "./service.js";

export interface RouterOptions {
  readonly services: readonly ServiceRegistration[];
  readonly interceptors: readonly ServerInterceptor[];
  /** Largest response, in bytes; a larger one fails the call with TOO_LARGE. */
  readonly messageBytesMax: number;
  readonly logger: Logger;
}

export interface Router {
  readonly methods: ReadonlyMap<string, MethodRegistration>;
  /** Runs the call to its end. Never rejects. */
  run(method: MethodRegistration, call: IncomingCall, context: CallContext): Promise<void>;
}

/** @throws TypeError if two services offer one method. */
export function createRouter(options: RouterOptions): Router {
  const { services, interceptors, messageBytesMax, logger } = options;
  const methods = new Map<string, MethodRegistration>();
  for (const method of services.flatMap((service) => service.methods)) {
    if (methods.has(method.path)) throw new TypeError(`${method.path} is served twice`);
    methods.set(method.path, method);
  }
  return {
    methods,
    async run(method, call, context) {
      const bounded = boundResponses(call, messageBytesMax);
      const layers = [...interceptors, ...method.interceptors];
      try {
        await compose(layers, (inner) => method.serve(bounded, inner))(context);
        call.close(undefined);
      } catch (error) {
        call.close(presentable(error, { method: method.path, logger }));
      }
    },
  };
}

function boundResponses(call: IncomingCall, messageBytesMax: number): IncomingCall {
  return {
    listen: (listener) => call.listen(listener),
    pause: () => call.pause(),
    resume: () => call.resume(),
    close: (error) => call.close(error),
    send(message) {
      if (message.length > messageBytesMax) {
        throw new DiscoveryError("TOO_LARGE", `the answer is over ${messageBytesMax} bytes`);
      }
      return call.send(message);
    },
  };
}

/** An unforeseen failure is logged without its message, which may quote data, and told as INTERNAL. */
function presentable(
  error: unknown,
  { method, logger }: { readonly method: string; readonly logger: Logger },
): DiscoveryError {
  if (error instanceof DiscoveryError) {
    if (error.code === "INTERNAL") logger.error("handler failed", { method, error });
    return error;
  }
  const name = error instanceof Error ? error.name : typeof error;
  logger.error("handler failed", { method, name, stack: framesOf(error) });
  return new DiscoveryError("INTERNAL", "the server failed", { cause: error });
}

function framesOf(error: unknown): readonly string[] {
  if (!(error instanceof Error)) return [];
  const lines = (error.stack ?? "").split("\n").map((line) => line.trim());
  return lines.filter((line) => line.startsWith("at ")).slice(0, 8);
}
