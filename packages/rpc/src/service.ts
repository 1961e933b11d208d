// Binding of a generated protobuf service to its handlers, for either transport to serve.
import type { DescMethod, DescService } from "@bufbuild/protobuf";
import type { IncomingCall } from "./calls.js";
import type { CallContext, MethodKind } from "./context.js";
import { serveMethod } from "./dispatch.js";
import type { ServiceImpl } from "./handlers.js";
import type { ServerInterceptor } from "./interceptors.js";

export interface MethodRegistration {
  readonly path: string;
  readonly kind: MethodKind;
  /** Runs around this method, inside the server's own interceptors. */
  readonly interceptors: readonly ServerInterceptor[];
  readonly serve: (call: IncomingCall, context: CallContext) => Promise<void>;
}

export interface ServiceRegistration {
  /** `whither.v1.Zone`. */
  readonly typeName: string;
  readonly methods: readonly MethodRegistration[];
}

export interface ServiceOptions {
  readonly interceptors?: readonly ServerInterceptor[];
}

/**
 * A service ready to be served by createRpcServer or a memory network.
 *
 * @throws TypeError if a method of `desc` has no implementation.
 */
export function implementService<S extends DescService>(
  desc: S,
  impl: ServiceImpl<S>,
  options: ServiceOptions = {},
): ServiceRegistration {
  const handlers: Readonly<Record<string, unknown>> = impl;
  const methods = desc.methods.map((method): MethodRegistration => {
    const handler = handlers[method.localName];
    if (handler === undefined) throw new TypeError(`${desc.typeName} lacks ${method.localName}`);
    return {
      path: methodPath(method),
      kind: method.methodKind,
      interceptors: options.interceptors ?? [],
      serve: serveMethod(method, handler, impl),
    };
  });
  return { typeName: desc.typeName, methods };
}

export function methodPath(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}
