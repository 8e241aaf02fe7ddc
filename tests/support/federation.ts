/**
 * Several homeservers in one process: the production gateway, actors and egress of each, over `node:sqlite`, with a clock
 * that is moved by hand and a network that can be cut. Nothing is faked but the wire.
 */

import { KeptAlarm } from "../../actors/alarm.ts";
import type { ActorContext } from "../../actors/context.ts";
import { migrate } from "../../schema/migrate.ts";
import type { Services } from "../../shared/endpoint.ts";
import { type Config, parseConfig, type Variables } from "../../shared/env.ts";
import { isObject, type JsonObject, type JsonValue } from "../../shared/json.ts";
import { describeError, type LogFields } from "../../shared/log.ts";
import { type Actors, actorsOf, clientOf } from "../../shared/rpc/actors.ts";
import type { EgressRpc } from "../../shared/rpc/egress.ts";
import type { Client } from "../../shared/rpc/reply.ts";
import type { Answered, EgressContext, Exchange, SrvRecord, Target } from "../../workers/egress/context.ts";
import { egressRpc } from "../../workers/egress/rpc.ts";
import { allEndpoints } from "../../workers/gateway/gateway.ts";
import { makeRouter } from "../../workers/gateway/router.ts";
import type { KindName, RunningActor } from "../sim/host.ts";
import { productionKinds } from "../sim/kinds.ts";
import { transfer } from "../sim/transfer.ts";
import { openNodeDirectory } from "./node-directory.ts";
import { type NodeSql, openNodeSql } from "./node-sql.ts";

const route = makeRouter(allEndpoints);

/** A request that went from one server to another. */
export interface Exchanged {
  readonly from: string;
  readonly to: string;
  readonly method: string;
  readonly path: string;
  readonly body: JsonValue;
  readonly status: number | null;
}

/** One actor of a server, through all of its lives. */
interface ActorHost {
  readonly sql: NodeSql;
  actor: RunningActor;
  alarmAt: number | null;
  start(): void;
}

/** Servers that reach one another by their names. */
export class Federation {
  readonly servers = new Map<string, FederatedServer>();
  /** Everything that went over the wire. */
  readonly exchanges: Exchanged[] = [];
  /** Rejects to cut a connection; called before each request. */
  beforeExchange: (from: string, to: string, path: string) => void | Promise<void> = () => undefined;
  /** How the gateway lets time pass while it waits for something else. Nothing is late unless a test says so. */
  pause: Services["pause"] = () => new Promise(() => undefined);
  /** Other hosts, such as a hostile server that a test plays itself. */
  readonly foreign = new Map<string, (request: Request) => Response | Promise<Response>>();
  #now = Date.UTC(2026, 10, 1);
  #counter = 0;
  readonly #work = new Set<Promise<unknown>>();

  readonly clock = { now: () => this.#now };
  readonly random = {
    bytes: (length: number) => {
      const bytes = new Uint8Array(length);
      for (let i = 0; i < length; i += 1) {
        this.#counter = (Math.imul(this.#counter, 1_664_525) + 1_013_904_223) >>> 0;
        bytes[i] = this.#counter >>> 24;
      }
      return bytes;
    },
  };

  server(name: string, variables: Variables = {}): FederatedServer {
    const known = this.servers.get(name);
    if (known !== undefined) return known;
    const made = new FederatedServer(this, name, variables);
    this.servers.set(name, made);
    return made;
  }

  track<T>(work: Promise<T>): Promise<T> {
    const running: Promise<unknown> = work.catch(() => undefined).finally(() => this.#work.delete(running));
    this.#work.add(running);
    return work;
  }

  /** Waits until nothing goes on behind replies. */
  async settle(): Promise<void> {
    while (this.#work.size > 0) await Promise.all(this.#work);
  }

  /** Moves the clock and nothing else. */
  tick(ms: number): void {
    this.#now += ms;
  }

  /** Forgets work that will never end: that of instances which a test has ended in the middle of it. */
  abandonWork(): void {
    this.#work.clear();
  }

  /** Moves the clock and lets no alarm ring: for what is under way and never ends by itself. */
  passTime(ms: number): void {
    this.#now += ms;
  }

  /** Moves the clock, letting each alarm ring when its time comes. */
  async advance(ms: number): Promise<void> {
    await this.settle();
    const until = this.#now + ms;
    for (let rung = 0; rung < 10_000; rung += 1) {
      const due = [...this.servers.values()]
        .flatMap((server) => server.hosts())
        .filter(({ alarmAt }) => alarmAt !== null && alarmAt <= until)
        .sort((a, b) => (a.alarmAt ?? 0) - (b.alarmAt ?? 0))[0];
      if (due === undefined) break;
      this.#now = Math.max(this.#now, due.alarmAt ?? 0);
      due.alarmAt = null;
      await due.actor.onAlarm();
      await this.settle();
    }
    this.#now = until;
  }

  /** There are no SRV records unless a test says so. */
  async resolveSrv(_name: string): Promise<SrvRecord[]> {
    return [];
  }

  async exchange(from: string, target: Target, request: Exchange): Promise<Answered> {
    await this.beforeExchange(from, target.tlsName, request.path);
    const url = `https://${target.hostHeader}${request.path}`;
    const init = { method: request.method, headers: request.headers, body: request.body };
    const answer = await this.#answerOf(target, new Request(url, init));
    const text = await answer.text();
    const entry = { from, to: target.tlsName, method: request.method, path: request.path, status: answer.status };
    this.exchanges.push({ ...entry, body: request.body === null ? null : JSON.parse(request.body) });
    return { status: answer.status, headers: answer.headers, body: new Response(text).body };
  }

  async #answerOf(target: Target, request: Request): Promise<Response> {
    const foreign = this.foreign.get(target.tlsName);
    if (foreign !== undefined) return await foreign(request);
    const server = this.servers.get(target.tlsName);
    if (server === undefined || !server.isUp) throw new Error(`${target.tlsName} does not answer`);
    return await server.fetch(request);
  }

  close(): void {
    for (const server of this.servers.values()) for (const host of server.hosts()) host.sql.close();
  }
}

/** One homeserver of a federation. */
export class FederatedServer {
  readonly name: string;
  readonly config: Config;
  readonly actors: Actors;
  readonly egress: Client<EgressRpc>;
  readonly logged: { level: string; message: string; fields: LogFields }[] = [];
  /** False: it answers nobody. */
  isUp = true;
  /** Stands between callers and all methods of actors and egress: a test may lose a call or its answer. */
  onCall: (method: string, call: () => Promise<unknown>) => Promise<unknown> = (_method, call) => call();
  /** Is told of all calls of actors before they are made. */
  onArguments: (method: string, args: readonly unknown[]) => void = () => undefined;
  readonly #federation: Federation;
  readonly #directory = openNodeDirectory();
  readonly #hosts = new Map<string, ActorHost>();

  constructor(federation: Federation, name: string, variables: Variables) {
    this.#federation = federation;
    this.name = name;
    const parsed = parseConfig({ SERVER_NAME: name, REGISTRATION: "open", RATE_LIMITS: "off", ...variables });
    this.config = { ...parsed, passwordHashing: { memoryKib: 32, passes: 1 } };
    const namespace = (kind: KindName) => ({ getByName: (actor: string) => this.#stub(kind, actor) });
    this.actors = actorsOf({ room: namespace("room"), user: namespace("user"), server: namespace("server") });
    this.egress = clientOf<EgressRpc>(() => this.#egressStub());
  }

  hosts(): ActorHost[] {
    return [...this.#hosts.values()];
  }

  /** The database of an actor. */
  sql(kind: KindName, name: string): NodeSql {
    return this.#host(kind, name).sql;
  }

  /** Ends the instance of an actor, or of all: memory is lost, databases stay. */
  evict(kind?: KindName, name?: string): void {
    for (const [key, host] of this.#hosts) {
      if (kind === undefined || key === `${kind}:${name}`) host.start();
    }
  }

  egressContext(): EgressContext {
    const federation = this.#federation;
    return {
      actors: this.actors,
      config: this.config,
      clock: federation.clock,
      random: federation.random,
      log: this.#log(),
      transport: {
        exchange: (target, request) => federation.exchange(this.name, target, request),
        resolveSrv: (name) => federation.resolveSrv(name),
      },
      background: (task) => void federation.track(task().catch((thrown) => this.#failed("egress", thrown))),
    };
  }

  /** Answers a request as the gateway does. */
  fetch(request: Request): Promise<Response> {
    return this.#federation.track(route(request, this.services(request)));
  }

  /** What the gateway gives an endpoint. */
  services(request: Request): Services {
    const federation = this.#federation;
    return {
      actors: this.actors,
      egress: this.egress,
      config: this.config,
      support: { contact: null, page: null },
      clock: federation.clock,
      random: federation.random,
      log: this.#log(),
      clientAddress: null,
      signal: request.signal,
      openWaiter: () => Promise.reject(new Error("nobody waits in these tests")),
      pause: (milliseconds, until) => federation.pause(milliseconds, until),
    };
  }

  /** Registers a user and gives a client with a session. */
  async user(localpart: string): Promise<FederatedUser> {
    const body = { username: localpart, password: "a good password", auth: { type: "m.login.dummy" } };
    const reply = await this.request("POST", "/_matrix/client/v3/register", { body });
    if (reply.status !== 200) throw new Error(`could not register ${localpart}: ${reply.text}`);
    return new FederatedUser(this, String(reply.body.user_id), String(reply.body.access_token));
  }

  async request(
    method: string,
    path: string,
    { body, token }: { body?: JsonValue; token?: string } = {},
  ): Promise<FederatedReply> {
    const headers: Record<string, string> = token === undefined ? {} : { Authorization: `Bearer ${token}` };
    const init = body === undefined ? { method, headers } : { method, headers, body: JSON.stringify(body) };
    const response = await this.fetch(new Request(`https://${this.name}${path}`, init));
    const text = await response.text();
    const json: JsonValue = text === "" ? null : JSON.parse(text);
    return { status: response.status, body: isObject(json) ? json : {}, json, text };
  }

  #stub(kind: KindName, name: string): object {
    const host = this.#host(kind, name);
    return new Proxy(
      {},
      {
        get: (_target, method) => {
          if (typeof method !== "string" || method === "then") return undefined;
          return (...args: unknown[]) => {
            this.onArguments(method, args);
            return this.onCall(method, () => transferring(host.actor.rpc, method)(...args));
          };
        },
      },
    );
  }

  #egressStub(): object {
    const rpc = egressRpc(this.egressContext());
    return new Proxy(
      {},
      {
        get: (_target, method) => {
          if (typeof method !== "string" || method === "then") return undefined;
          return (...args: unknown[]) => this.onCall(method, () => transferring(rpc, method)(...args));
        },
      },
    );
  }

  #host(kind: KindName, name: string): ActorHost {
    const key = `${kind}:${name}`;
    const known = this.#hosts.get(key);
    if (known !== undefined) return known;
    const definition = productionKinds[kind];
    const sql = openNodeSql();
    migrate(sql, definition.migrations);
    const begin = (): RunningActor => {
      const alarm = new KeptAlarm({
        set: (atMs) => {
          host.alarmAt = atMs;
        },
        clear: () => {
          host.alarmAt = null;
        },
      });
      alarm.know(host.alarmAt);
      const actor = definition.start(this.#context(sql, alarm, key), name, { list: () => [] });
      return { ...actor, onAlarm: () => alarm.serve(this.#federation.clock.now(), () => actor.onAlarm()) };
    };
    const host: ActorHost = {
      sql,
      actor: { rpc: {}, onAlarm: async () => undefined },
      alarmAt: null,
      start: () => {
        host.actor = begin();
      },
    };
    this.#hosts.set(key, host);
    host.start();
    return host;
  }

  #context(sql: NodeSql, alarm: KeptAlarm, label: string): ActorContext {
    const federation = this.#federation;
    return {
      sql: { ...sql, transaction: (body) => alarm.restoring(() => sql.transaction(body)) },
      actors: this.actors,
      egress: this.egress,
      clock: federation.clock,
      random: federation.random,
      log: this.#log(),
      config: this.config,
      directory: this.#directory,
      alarm,
      background: (task) => void federation.track(task().catch((thrown) => this.#failed(label, thrown))),
    };
  }

  #log(): Services["log"] {
    const write =
      (level: string) =>
      (message: string, fields: LogFields = {}) =>
        void this.logged.push({ level, message, fields });
    return { info: write("info"), warn: write("warn"), error: write("error") };
  }

  #failed(label: string, thrown: unknown): void {
    this.#log().error("background work failed", { actor: label, error: describeError(thrown) });
  }
}

export interface FederatedReply {
  readonly status: number;
  readonly body: JsonObject;
  readonly json: JsonValue;
  readonly text: string;
}

/** A local user of one of the servers, with a session. */
export class FederatedUser {
  readonly server: FederatedServer;
  readonly userId: string;
  readonly token: string;
  #since: string | null = null;

  constructor(server: FederatedServer, userId: string, token: string) {
    this.server = server;
    this.userId = userId;
    this.token = token;
  }

  /** @param path below `/_matrix/client/` */
  request(method: string, path: string, body?: JsonValue): Promise<FederatedReply> {
    const options = body === undefined ? { token: this.token } : { token: this.token, body };
    return this.server.request(method, `/_matrix/client/${path}`, options);
  }

  get(path: string): Promise<FederatedReply> {
    return this.request("GET", path);
  }

  put(path: string, body: JsonValue): Promise<FederatedReply> {
    return this.request("PUT", path, body);
  }

  post(path: string, body: JsonValue = {}): Promise<FederatedReply> {
    return this.request("POST", path, body);
  }

  /** What is new since the last call. */
  async sync(query = ""): Promise<JsonObject> {
    const since = this.#since === null ? "" : `&since=${encodeURIComponent(this.#since)}`;
    const reply = await this.get(`v3/sync?timeout=0${since}${query}`);
    this.#since = String(reply.body.next_batch);
    return reply.body;
  }
}

/** Calls a method with copies of plain data, as RPC does. */
function transferring(rpc: object, method: string): (...args: unknown[]) => Promise<unknown> {
  return async (...args) => {
    const found: unknown = Reflect.get(rpc, method);
    if (typeof found !== "function") throw new Error(`no method ${method}`);
    return transfer(await Reflect.apply(found, rpc, args.map(transfer)));
  };
}
