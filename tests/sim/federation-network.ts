/**
 * The network between several servers, and between them and their clients: requests and answers are lost, late, doubled and
 * out of order; links are cut one way or both, servers go down. One scheduler, one clock.
 */
import type { JsonObject, JsonValue } from "../../shared/json.ts";
import { isObject } from "../../shared/json.ts";
import type { EgressRpc } from "../../shared/rpc/egress.ts";
import type { Answered, Exchange, Target } from "../../workers/egress/context.ts";
import { type FaultRates, Faults, SimulatedFault } from "./faults.ts";
import { SimServer, type Wire } from "./federation-server.ts";
import type { ActorKind, KindName } from "./host.ts";
import type { Random } from "./random.ts";
import { Scheduler } from "./scheduler.ts";

/** After which the asking side gives up on what never comes back. */
const timeoutMs = 60_000;

export interface NetworkOptions {
  random: Random;
  rates: FaultRates;
  kinds: Record<KindName, ActorKind>;
  plantEgress?: (rpc: EgressRpc) => EgressRpc;
}

/** An answer to a client or to a played server. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: JsonObject;
}

export interface HttpRequest {
  readonly method: string;
  /** With query. */
  readonly path: string;
  readonly body?: JsonValue;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A server that is none of ours: its answer, as a value. */
export type Foreign = (request: Request) => Promise<Response>;

export class Network implements Wire {
  readonly scheduler: Scheduler;
  readonly faults: Faults;
  readonly servers = new Map<string, SimServer>();
  readonly foreign = new Map<string, Foreign>();
  /** `from>to`: nothing gets through in this direction, be it a request or an answer. */
  readonly cuts = new Set<string>();
  /** Whether servers say what others' keys are. */
  hasNotaries = true;
  /** `from>to` → how many requests of any kind were made. */
  readonly requests = new Map<string, number>();
  readonly #options: NetworkOptions;

  constructor(options: NetworkOptions) {
    this.#options = options;
    this.scheduler = new Scheduler(options.random.fork("order"));
    this.faults = new Faults(options.random.fork("faults"), options.rates);
    this.scheduler.betweenSteps = () => this.#strike();
  }

  get violations(): string[] {
    return [...this.servers.values()].flatMap(({ world }) => world.violations);
  }

  get hasViolations(): boolean {
    return [...this.servers.values()].some(({ world }) => world.violations.length > 0);
  }

  addServer(name: string): SimServer {
    const { random, kinds, plantEgress } = this.#options;
    const plant = plantEgress === undefined ? {} : { plantEgress };
    const server = new SimServer(name, { random: random.fork(name), kinds, wire: this, ...plant });
    this.servers.set(name, server);
    return server;
  }

  /** A request of somebody who is no server of ours: a client, or a server that is played. */
  ask(from: string, to: string, { method, path, body, headers = {} }: HttpRequest): Promise<HttpAnswer> {
    const init = body === undefined ? { method, headers } : { method, headers, body: JSON.stringify(body) };
    return this.#carry(`${from} ⇒ ${to} ${method} ${brief(path)}`, {
      isCut: () => this.isCut(from, to),
      isAnswerCut: () => this.isCut(to, from),
      request: () => new Request(`https://${to}${path}`, init),
      to,
      read: async (response) => {
        const text = await response.text();
        const json: JsonValue = text === "" ? null : JSON.parse(text);
        return { status: response.status, body: isObject(json) ? json : {} };
      },
    });
  }

  exchange(from: string, target: Target, request: Exchange): Promise<Answered> {
    const to = target.tlsName;
    const { method, path, headers, body } = request;
    const link = `${from}>${to}`;
    this.requests.set(link, (this.requests.get(link) ?? 0) + 1);
    const isKept = !this.hasNotaries && path.startsWith("/_matrix/key/v2/query");
    return this.#carry(`${from} ⇒ ${to} ${method} ${brief(path)}`, {
      isCut: () => isKept || this.isCut(from, to),
      isAnswerCut: () => this.isCut(to, from),
      request: () => new Request(`https://${target.hostHeader}${path}`, { method, headers, body }),
      to,
      read: async (response) => ({ status: response.status, headers: response.headers, body: response.body }),
    });
  }

  isCut(from: string, to: string): boolean {
    return this.cuts.has(`${from}>${to}`);
  }

  /** Ends all that is wrong. */
  heal(): void {
    this.faults.isOn = false;
    this.hasNotaries = true;
    this.cuts.clear();
    for (const server of this.servers.values()) if (server.isDown) server.startUp();
  }

  close(): void {
    for (const { world } of this.servers.values()) world.close();
  }

  /** There and back. */
  #carry<T>(label: string, over: Carried<T>): Promise<T> {
    const { scheduler, faults } = this;
    return new Promise((resolve, reject) => {
      let isOver = false;
      const end = (what: string, delayMs: number, settle: () => void): void =>
        scheduler.post(`${label}: ${what}`, delayMs, () => {
          if (isOver) return;
          isOver = true;
          settle();
        });
      const fail = (why: string): void => {
        // Sometimes one is told, sometimes nothing ever comes.
        const delayMs = faults.random.chance(0.5) ? faults.random.int(5, 100) : faults.random.int(1_000, timeoutMs);
        end(why, delayMs, () => reject(new SimulatedFault(`${label}: ${why}`)));
      };
      const deliver = (onAnswer: (response: Response) => void, onFailure: () => void): void => {
        if (over.isCut()) onFailure();
        else this.#answerOf(over.to, over.request()).then(onAnswer, onFailure);
      };
      if (faults.strikes("lostRequest")) {
        fail("lost");
        return;
      }
      scheduler.post(label, faults.delayMs(), () =>
        deliver(
          (response) => {
            if (over.isAnswerCut() || faults.strikes("lostReply")) fail("answer lost");
            else
              over.read(response).then(
                (value) => end(`${response.status}`, faults.delayMs(), () => resolve(value)),
                () => fail("answer broken"),
              );
          },
          () => fail("no connection"),
        ),
      );
      scheduler.post(`${label}: time is over`, timeoutMs, () => {
        if (isOver) return;
        isOver = true;
        reject(new SimulatedFault(`${label}: no answer in time`));
      });
      if (faults.strikes("duplicate")) {
        scheduler.post(`${label} (again)`, faults.delayMs(), () =>
          deliver(
            () => undefined,
            () => undefined,
          ),
        );
      }
    });
  }

  #answerOf(to: string, request: Request): Promise<Response> {
    const foreign = this.foreign.get(to);
    if (foreign !== undefined) return foreign(request);
    const server = this.servers.get(to);
    return server === undefined ? Promise.reject(new SimulatedFault(`nobody is at ${to}`)) : server.fetch(request);
  }

  /** Between two steps something may end. */
  #strike(): void {
    const { faults } = this;
    if (!faults.isOn) return;
    for (const kind of ["eviction", "crash"] as const) {
      if (!faults.strikes(kind)) continue;
      const server = faults.random.pick([...this.servers.values()]);
      if (faults.random.chance(0.25)) this.#endInvocation(server);
      else server.world.evictOne(kind);
    }
    if (faults.strikes("clockJump")) faults.random.pick([...this.servers.values()]).world.jumpClock();
  }

  #endInvocation(server: SimServer): void {
    const { running } = server.invocations;
    if (running.length === 0) return;
    const invocation = this.faults.random.pick(running);
    this.scheduler.note(`${invocation.label} ends`);
    invocation.die("it ended");
  }
}

interface Carried<T> {
  readonly to: string;
  isCut(): boolean;
  isAnswerCut(): boolean;
  request(): Request;
  read(response: Response): Promise<T>;
}

function brief(path: string): string {
  return path.replace("/_matrix/", "").slice(0, 60);
}
