// One question to the servers of a zone: the best first, the next when it is late or fails, whichever answers
// first. One attempt's late answer still counts. Whom to ask is server-choice.ts.

import { DiscoveryError, isDiscoveryError, limits } from "@whither/protocol";
import { furtherErrors, joinErrors } from "@whither/rpc";
import { abortError, deadlineSignal, type Clock, type Scheduled } from "@whither/runtime";
import { asError, isServersOwn, withUpstream, worstFailure } from "./failure.js";
import type { Server } from "./peers.js";
import type { Attempt, ServerChoice } from "./server-choice.js";

export interface AskServers<T> {
  readonly choice: ServerChoice;
  readonly clock: Clock;
  readonly zone: string;
  readonly servers: readonly Server[];
  readonly signal: AbortSignal;
  /** Added to the wait for a server: time its answer takes to compute. */
  readonly workMs?: number;
  /** Waits and asks again where the servers limit, shed or are down, as a batch does. */
  readonly patient?: boolean;
  /** Takes one more RPC, the first aside, from the budget of who asks; false: none is left, and the failure says so beside. */
  readonly more: () => boolean;
  /** Asks and verifies; what does not verify is that server's failure and the next one's chance. */
  readonly ask: (server: Server, options: { readonly signal: AbortSignal }) => Promise<T>;
}

/** Waits that a server's limits ask for: each at most, and how many. */
const patienceSecondsMax = 30;
const patienceTries = 40;
/** How long a probe of a server that was down may take; nobody waits for it. */
const probeTimeoutMs = 2_000;

/** The first good answer. Throws the worst failure when no server gave one, UNREACHABLE without servers. */
export async function askServers<T>(given: AskServers<T>): Promise<T> {
  const { signal, clock, choice, patient = false, more } = given;
  for (let tries = 1; ; tries++) {
    try {
      return await (patient ? askInTime(given) : askOnce(given));
    } catch (error) {
      const waitSeconds = patient && tries < patienceTries ? secondsToWait(error) : undefined;
      if (waitSeconds === undefined) throw error;
      if (!more()) throw withBudgetSpent(error);
      await clock.sleep(choice.jittered(waitSeconds * 1_000), { signal });
    }
  }
}

/** The waits between attempts are the batch's; an attempt that hangs ends as for a single lookup. */
async function askInTime<T>(given: AskServers<T>): Promise<T> {
  using attempt = deadlineSignal(given.clock, limits.queryTimeoutMs, given.signal);
  return await askOnce({ ...given, signal: attempt.signal });
}

/** Seconds after which it is worth asking again; undefined: not soon, or not at all. */
function secondsToWait(error: unknown): number | undefined {
  if (!isDiscoveryError(error)) return undefined;
  const { code, retryAfterSeconds } = error;
  const isPassing = code === "LIMITED" || code === "OVERLOADED";
  const isDown = code === "UNREACHABLE" && retryAfterSeconds !== undefined;
  if (!isPassing && !isDown) return undefined;
  const seconds = Math.max(1, retryAfterSeconds ?? 1);
  return seconds > patienceSecondsMax ? undefined : seconds;
}

function askOnce<T>(given: AskServers<T>): Promise<T> {
  const { choice, servers, zone, signal } = given;
  if (servers.length === 0) {
    return Promise.reject(new DiscoveryError("UNREACHABLE", "the zone names no such server"));
  }
  if (signal.aborted) return Promise.reject(abortError(signal));
  const order = choice.order(servers, zone);
  if (order.servers.length === 0) {
    const retryAfterSeconds = Math.max(1, Math.ceil(order.waitMs / 1_000));
    const text = "every server of the zone is down";
    return Promise.reject(
      new DiscoveryError("UNREACHABLE", text, { upstream: zone, retryAfterSeconds }),
    );
  }
  // A zone may name 13 servers; one question reaches for 4 of them. Those that fail stand behind the others
  // the next time.
  const ordered = order.servers.slice(0, limits.serversPerQuestionMax);
  return new Promise((resolve, reject) => {
    const race = new Race(given, ordered, { resolve, reject });
    if (order.probe !== undefined && given.more()) race.probe(order.probe);
    race.start();
  });
}

const othersAnswered = new DiscoveryError("CANCELLED", "the question has been settled");

/** The failure, which might have been none with more servers to ask. */
function withBudgetSpent(error: unknown): Error {
  if (!isDiscoveryError(error)) return asError(error);
  const spent = new DiscoveryError("BUDGET", "query: no rpc left");
  return joinErrors(error, [...furtherErrors(error), spent]);
}

interface Ends<T> {
  resolve(value: T): void;
  reject(error: Error): void;
}

class Race<T> {
  readonly #given: AskServers<T>;
  readonly #servers: readonly Server[];
  readonly #ends: Ends<T>;
  readonly #controller = new AbortController();
  readonly #failures: DiscoveryError[] = [];
  #next = 0;
  #running = 0;
  #isOver = false;
  #hasTriedAgain = false;
  #isSpent = false;
  #timer: Scheduled | undefined;

  constructor(given: AskServers<T>, servers: readonly Server[], ends: Ends<T>) {
    this.#given = given;
    this.#servers = servers;
    this.#ends = ends;
  }

  start(): void {
    this.#given.signal.addEventListener("abort", this.#onAbort, { once: true });
    this.#startNext();
  }

  /** Asks one that was down beside the others, and finds out whether it is, whoever wins. */
  probe(server: Server): void {
    const { choice, clock, ask } = this.#given;
    const attempt = choice.begin(server);
    this.#running += 1;
    const deadline = deadlineSignal(clock, probeTimeoutMs);
    ask(server, { signal: deadline.signal })
      .then(
        (value) => this.#succeed(attempt, value),
        (error: unknown) => this.#fail(attempt, error),
      )
      .finally(() => deadline[Symbol.dispose]());
  }

  /** False: there is no other to ask, or no budget for it. */
  #startNext(): boolean {
    this.#timer?.cancel();
    const server = this.#servers[this.#next];
    if (server === undefined || (this.#next > 0 && !this.#pays())) return false;
    this.#next += 1;
    this.#start(server);
    return true;
  }

  #start(server: Server): void {
    const { choice, clock, workMs = 0, ask } = this.#given;
    const attempt = choice.begin(server);
    this.#running += 1;
    this.#timer = clock.schedule(attempt.timeoutMs + workMs, () => {
      choice.timedOut(attempt);
      this.#startNext();
    });
    ask(server, { signal: this.#controller.signal }).then(
      (value) => this.#succeed(attempt, value),
      (error: unknown) => this.#fail(attempt, error),
    );
  }

  #succeed(attempt: Attempt, value: T): void {
    const { choice, zone } = this.#given;
    choice.served(attempt, zone);
    this.#running -= 1;
    this.#end(() => this.#ends.resolve(value));
  }

  #fail(attempt: Attempt, error: unknown): void {
    const { choice, zone } = this.#given;
    this.#running -= 1;
    if (!(error instanceof DiscoveryError)) {
      this.#end(() => this.#ends.reject(asError(error)));
      return;
    }
    const failure = withUpstream(error, attempt.server.key);
    choice.failed(attempt, failure, zone);
    if (this.#isOver) return;
    this.#failures.push(failure);
    if (!isServersOwn(failure)) {
      this.#giveUp();
      return;
    }
    if (this.#triesAgain(failure) || this.#startNext()) return;
    if (this.#running === 0) this.#giveUp();
  }

  /** Once more on a new stream: the only server's old one may have ended just because it renews its connections. */
  #triesAgain({ code }: DiscoveryError): boolean {
    const [only, ...others] = this.#servers;
    if (only === undefined || others.length > 0 || code !== "NETWORK") return false;
    if (this.#hasTriedAgain || !this.#pays()) return false;
    this.#hasTriedAgain = true;
    this.#timer?.cancel();
    this.#start(only);
    return true;
  }

  #pays(): boolean {
    this.#isSpent = !this.#given.more();
    return !this.#isSpent;
  }

  #giveUp(): void {
    const [first, ...others] = this.#failures;
    if (first === undefined) return;
    const worst = worstFailure([first, ...others]);
    this.#end(() => this.#ends.reject(this.#isSpent ? withBudgetSpent(worst) : worst));
  }

  readonly #onAbort = (): void => {
    this.#end(() => this.#ends.reject(abortError(this.#given.signal)));
  };

  #end(finish: () => void): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#timer?.cancel();
    this.#given.signal.removeEventListener("abort", this.#onAbort);
    finish();
    // Without a reason Node makes one, with a stack: dearer than the rest of this.
    if (this.#running > 0) this.#controller.abort(othersAnswered);
  }
}
