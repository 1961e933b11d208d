// From a resolver's answer to DNS records: NAPTR in the holder's order (RFC 6116), the same as text, denials
// with their SOA, and failures as SERVFAIL with their number (RFC 8914).

import { isDiscoveryError, errorRegistry } from "@whither/protocol";
import type { Answer, VerifiedAnswerMapping } from "@whither/resolver";
import { denial, reply, type Apex } from "./apex.js";
import type { ServiceTemplate } from "./config.js";
import { encodeRdata, type DnsRecord, type ExtendedError } from "./records.js";
import type { Reply } from "./response.js";
import { rcodes, types } from "./wire.js";

export interface NumberQuestion {
  /** Without the plus sign. */
  readonly digits: string;
  readonly type: number;
}

export interface Presentation {
  readonly apex: Apex;
  readonly templatesOf: (msp: string) => readonly ServiceTemplate[];
}

/** The question's name, by reference (RFC 1035 section 4.1.4): it stands right behind the header. */
const questionName = Buffer.of(0xc0, 0x0c);
/** RFC 8482 section 4.2: ANY is told that somebody is there, and no more. */
const anyText = "RFC8482";
/** One order: all records serve, by preference. A client may skip a service it does not know. */
const naptrOrder = 100;
const preferenceStep = 10;

/** What is said of a number, and for how long it may be repeated; 0: not at all. */
export function numberReply(
  { apex, templatesOf }: Presentation,
  { digits, type }: NumberQuestion,
  answer: Answer<"verbose">,
): { readonly reply: Reply; readonly seconds: number } {
  const seconds = Math.max(0, Math.floor(answer.ttlSeconds));
  switch (answer.status) {
    case "none":
      return { reply: denial(apex, { rcode: rcodes.nxDomain, seconds }), seconds };
    case "incomplete": {
      const [first] = answer.errors;
      const { answered, asked } = answer.complete;
      const error = {
        number: first?.number ?? errorRegistry.UNREACHABLE.number,
        text: `nobody at ${answered} of ${asked} providers, the rest failed`,
      };
      return { reply: failure(error), seconds: 0 };
    }
    case "found": {
      const answers = recordsOf({ answer, digits, type, templatesOf, ttlSeconds: seconds });
      if (answers.length === 0) {
        return { reply: denial(apex, { rcode: rcodes.noError, seconds }), seconds };
      }
      return { reply: reply({ answers, error: remarkOf(answer) }), seconds };
    }
  }
}

/** SERVFAIL with what the resolver threw; never with more of it than its public text. */
export function failureReply(thrown: unknown): Reply {
  if (!isDiscoveryError(thrown)) {
    return failure({ number: errorRegistry.INTERNAL.number, text: "the lookup failed" });
  }
  return failure({ number: thrown.number, text: thrown.text });
}

function failure(error: ExtendedError): Reply {
  return { rcode: rcodes.servFail, answers: [], authority: [], error, authoritative: false };
}

/** A successful answer may need a word: it is old, or not everybody was there to give it. */
function remarkOf({ warnings, complete, errors }: Answer<"verbose">): ExtendedError | undefined {
  const stale = warnings.find(({ code }) => code === "STALE");
  if (stale !== undefined) return { number: errorRegistry.STALE.number, text: stale.text };
  const [first] = errors;
  if (complete.answered === complete.asked || first === undefined) return undefined;
  return { number: first.number, text: `${complete.answered} of ${complete.asked} providers` };
}

function recordsOf(of: {
  readonly answer: Answer<"verbose">;
  readonly digits: string;
  readonly type: number;
  readonly templatesOf: Presentation["templatesOf"];
  readonly ttlSeconds: number;
}): readonly DnsRecord[] {
  const { answer, digits, type, templatesOf, ttlSeconds } = of;
  const mappings: readonly VerifiedAnswerMapping[] = answer.mappings;
  const record = (ofType: number, rdata: Buffer): DnsRecord => ({
    owner: questionName,
    type: ofType,
    ttlSeconds,
    rdata,
  });
  switch (type) {
    case types.naptr:
      return mappings
        .flatMap(({ msp }) => templatesOf(msp).map((template) => ({ msp, template })))
        .map(({ msp, template }, place) =>
          record(types.naptr, naptr({ template, digits, msp, place })),
        );
    case types.txt:
      return mappings.map((mapping) => record(types.txt, txt(mapping)));
    case types.any:
      return [record(types.hinfo, encodeRdata({ type: "HINFO", data: { cpu: anyText, os: "" } }))];
    default:
      return [];
  }
}

function naptr(of: {
  readonly template: ServiceTemplate;
  readonly digits: string;
  readonly msp: string;
  readonly place: number;
}): Buffer {
  const { template, digits, msp, place } = of;
  const uri = template.uri
    .replaceAll("{number}", `+${digits}`)
    .replaceAll("{digits}", digits)
    .replaceAll("{msp}", msp);
  return encodeRdata({
    type: "NAPTR",
    data: {
      order: naptrOrder,
      preference: preferenceStep * (place + 1),
      flags: "u",
      services: template.service,
      regexp: `!^.*$!${uri}!`,
      replacement: ".",
    },
  });
}

/** For people: one string a fact. */
function txt({ msp, preference, tags, level, notAfter }: VerifiedAnswerMapping): Buffer {
  const facts = [
    `msp=${msp}`,
    `preference=${preference}`,
    ...tags.map((tag) => `tag=${tag}`),
    `level=${level}`,
    `not_after=${notAfter}`,
  ];
  return encodeRdata({ type: "TXT", data: facts.map((fact) => Buffer.from(fact, "utf8")) });
}
