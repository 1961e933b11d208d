// The service that tests talk to. `command` of a request says what the handler does with it.
import { DiscoveryError } from "@whither/protocol";
import type { CallContext } from "../src/context.js";
import type { ServiceImpl } from "../src/handlers.js";
import { implementService } from "../src/service.js";
import type { ServiceRegistration } from "../src/service.js";
import { Echo } from "./gen/echo_pb.js";
import type { EchoMessage } from "./gen/echo_pb.js";

export { Echo, EchoMessageSchema } from "./gen/echo_pb.js";
export type { EchoMessage } from "./gen/echo_pb.js";

export interface EchoProbe {
  /** Contexts of all calls, in order. */
  readonly contexts: CallContext[];
  /** Methods whose handler has given its resources back. */
  readonly released: string[];
}

export interface EchoService {
  readonly service: ServiceRegistration;
  readonly probe: EchoProbe;
}

/** A text that must never leave the server. */
export const secretText = "secret +15550100 in an error";

/** `exchange` says in which of its forms the bidirectional method is served. */
export function createEchoService(exchange: ExchangeForm = "callback"): EchoService {
  const probe: EchoProbe = { contexts: [], released: [] };
  const { contexts, released } = probe;
  const service = implementService(Echo, {
    async unary(request, context) {
      contexts.push(context);
      try {
        return await obey(request, context);
      } finally {
        released.push("unary");
      }
    },
    async *download(request, context) {
      contexts.push(context);
      try {
        for (let id = 1n; id <= request.id; id += 1n) yield await obey({ ...request, id }, context);
      } finally {
        released.push("download");
      }
    },
    async upload(requests, context) {
      contexts.push(context);
      let id = 0n;
      for await (const request of requests) id += request.id;
      return { id };
    },
    exchange: exchangeForm(probe, exchange),
  });
  return { service, probe };
}

function exchangeForm({ contexts, released }: EchoProbe, form: ExchangeForm): ExchangeImpl {
  const forms: Record<ExchangeForm, ExchangeImpl> = {
    callback: {
      callback: (context, stream) => {
        contexts.push(context);
        context.signal.addEventListener("abort", () => released.push("exchange"));
        let lingers = false;
        stream.onMessage((request) => {
          if (request.command === "linger") lingers = true;
          if (request.command === "throw") throw new TypeError(secretText);
          if (request.command === "end") stream.end();
          else stream.send(request);
        });
        stream.onEnd(() => {
          if (!lingers) stream.end();
        });
      },
    },
    rawCallback: {
      rawCallback: (context, stream) => {
        contexts.push(context);
        stream.onMessage((bytes) => void stream.send(bytes));
      },
    },
    iterable: async function* (requests, context) {
      contexts.push(context);
      try {
        for await (const request of requests) yield await obey(request, context);
      } finally {
        released.push("exchange");
      }
    },
  };
  return forms[form];
}

type ExchangeForm = "callback" | "iterable" | "rawCallback";
type ExchangeImpl = ServiceImpl<typeof Echo>["exchange"];

async function obey(request: EchoMessage, { signal }: CallContext): Promise<EchoMessage> {
  const [verb, argument = ""] = request.command.split(":");
  switch (verb) {
    case "fail":
      throw new DiscoveryError("LIMITED", "slow down", { retryAfterSeconds: 7 });
    case "throw":
      throw new TypeError(secretText);
    case "big":
      return { ...request, body: new Uint8Array(Number(argument)) };
    case "hang":
      await new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
      });
      return request;
    default:
      return request;
  }
}
