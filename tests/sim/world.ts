/**
 * A whole server in one process: every actor with its storage, the network between them, and what goes wrong.
 *
 * A call is a message to the callee and a message back, each a step of the scheduler. An instance can die between any
 * two steps: what it has stored stays, what it remembers or awaits is gone.
 */
import type { ActorContext } from "../../actors/context.ts";
import type { Waiter } from "../../shared/endpoint.ts";
import type { Config } from "../../shared/env.ts";
import { parseConfig } from "../../shared/env.ts";
import type { DeviceId, UserId } from "../../shared/ids.ts";
import { describeError, type LogFields } from "../../shared/log.ts";
import { type Actors, actorsOf } from "../../shared/rpc/actors.ts";
import { noEgress } from "../support/no-egress.ts";
import type { Call, Callee, Caller, Ending, Site } from "./calls.ts";
import type { WallClock } from "./clock.ts";
import { newSimDirectory, type SimDirectory } from "./directory.ts";
import { type FaultRates, Faults, isSimulated, SimulatedFault } from "./faults.ts";
import { type ActorKind, type HeldRequest, Host, Instance, type KindName } from "./host.ts";
import type { Random } from "./random.ts";
import { Scheduler } from "./scheduler.ts";
import { transfer } from "./transfer.ts";

export interface WorldOptions {
  random: Random;
  rates: FaultRates;
  kinds: Record<KindName, ActorKind>;
  /** Methods, as `kind.method`, that promise to be safe to repeat. */
  repeatable: ReadonlySet<string>;
  /** Absent: the server is alone in the world. */
  site?: Site;
}

/** When the platform first runs an alarm again that has failed. */
const retryAfterMs = 2_000;

export class World {
  readonly scheduler: Scheduler;
  readonly clock: WallClock;
  readonly faults: Faults;
  /** What must not have happened, in words. */
  readonly violations: string[] = [];
  readonly directory: SimDirectory;
  readonly config: Config;
  /** The whole machine is off: nothing runs, and nobody is answered. */
  isDown = false;
  readonly #options: WorldOptions;
  readonly #hosts = new Map<string, Host>();

  constructor(options: WorldOptions) {
    this.#options = options;
    const { site } = options;
    this.scheduler = site?.scheduler ?? new Scheduler(options.random.fork("order"));
    this.clock = site?.clock ?? this.scheduler.clock;
    this.faults = site?.faults ?? new Faults(options.random.fork("faults"), options.rates);
    this.directory = newSimDirectory(this.scheduler, this.faults);
    const variables = { SERVER_NAME: site?.serverName ?? "sim.test", REGISTRATION: "open", RATE_LIMITS: "off" };
    this.config = { ...parseConfig(variables), passwordHashing: { memoryKib: 64, passes: 1 } };
    if (site === undefined) this.scheduler.betweenSteps = () => this.#strike();
  }

  hosts(kind: KindName): Host[] {
    return [...this.#hosts.values()].filter((host) => host.kindName === kind);
  }

  /** The actor of this name; made on demand. */
  host(kind: KindName, name: string): Host {
    const key = `${kind}:${name}`;
    const known = this.#hosts.get(key);
    if (known !== undefined) return known;
    const { site, kinds } = this.#options;
    const host = new Host(kind, kinds[kind], name, site === undefined ? "" : `${site.serverName}/`);
    this.#hosts.set(key, host);
    return host;
  }

  /** Typed clients for somebody outside of all actors. */
  outside(label: string): Actors {
    return this.actorsFor({ label, instance: null });
  }

  /** A stub as `actorsOf` wants it, for somebody outside of all actors. */
  stub(caller: string, kind: KindName, name: string): object {
    return this.#stub({ label: caller, instance: null }, kind, name);
  }

  /**
   * Opens a line to a user's actor over which it says that there is news, as the gateway does. Rejects when the line
   * cannot be made. It survives the actor's sleep, not its crash.
   */
  openWaiter(userId: UserId, deviceId: DeviceId, since: string): Promise<Waiter> {
    const label = `${deviceId} waits since ${since}`;
    return new Promise((resolve, reject) => {
      const fail = (thrown: unknown): void => this.#after(`${label}: failed`, () => reject(thrown));
      if (this.faults.strikes("lostRequest")) {
        fail(new SimulatedFault("connection refused"));
        return;
      }
      this.#after(label, () => {
        try {
          const { request, outcome } = this.#heldRequest(deviceId, label);
          this.#hold(this.host("user", userId), request, since);
          const close = (): void => {
            request.isOpen = false;
          };
          if (this.faults.strikes("lostReply")) fail(new SimulatedFault("connection lost"));
          else this.#after(`${label}: open`, () => resolve({ outcome, close }));
        } catch (thrown) {
          this.report(label, thrown);
          fail(thrown);
        }
      });
    });
  }

  #heldRequest(deviceId: DeviceId, label: string): { request: HeldRequest; outcome: Waiter["outcome"] } {
    const { promise: outcome, resolve } = Promise.withResolvers<"news" | "closed">();
    const end = (why: "news" | "closed"): void => {
      if (!request.isOpen) return;
      request.isOpen = false;
      this.#after(`${label}: ${why}`, () => resolve(why));
    };
    const request: HeldRequest = { deviceId, isOpen: true, send: () => end("news"), close: () => end("closed") };
    return { request, outcome };
  }

  #hold(host: Host, request: HeldRequest, since: string): void {
    if (this.isDown) throw new SimulatedFault("the server is down");
    const instance = this.#alive(host);
    if (!instance.isAlive) throw new SimulatedFault(`${host.label} did not start`);
    if (instance.actor.onWait?.(request, since) === "news") request.send("news");
    else host.held = [...host.held.filter((held) => held.isOpen), request];
  }

  /** Ends an instance between two steps. */
  evict(instance: Instance, kind: "hibernates" | "crashes"): void {
    this.scheduler.note(`${instance.host.label} ${kind}`);
    instance.die(`it ${kind}`);
    if (kind === "hibernates") return;
    for (const request of instance.host.held.splice(0)) request.close();
  }

  /** Ends some instance, most of the time one that waits for an answer. */
  evictOne(kind: "eviction" | "crash"): void {
    const instances = this.instances();
    const busy = instances.filter((instance) => instance.outbound > 0);
    const { random } = this.faults;
    const candidates = busy.length > 0 && random.chance(0.7) ? busy : instances;
    if (candidates.length > 0) this.evict(random.pick(candidates), kind === "crash" ? "crashes" : "hibernates");
  }

  /** Everything that lives, for a seeded choice. */
  instances(): Instance[] {
    return [...this.#hosts.values()].map((host) => host.instance).filter((instance) => instance !== null);
  }

  /** The power goes. */
  shutDown(): void {
    this.isDown = true;
    for (const instance of this.instances()) this.evict(instance, "crashes");
    for (const host of this.#hosts.values()) for (const request of host.held.splice(0)) request.close();
  }

  /** The power is back. */
  startUp(): void {
    this.isDown = false;
    for (const host of this.#hosts.values()) this.#postAlarm(host);
  }

  close(): void {
    for (const host of this.#hosts.values()) host.storage.sql.close();
    this.directory.close();
  }

  #strike(): void {
    if (!this.faults.isOn) return;
    for (const kind of ["eviction", "crash"] as const) if (this.faults.strikes(kind)) this.evictOne(kind);
    if (this.faults.strikes("clockJump")) this.jumpClock();
  }

  /** Sets the clock forward, by an hour at most. */
  jumpClock(): void {
    const byMs = this.faults.random.int(1_000, 3_600_000);
    this.scheduler.note(`clock jumps by ${byMs}`);
    this.clock.jump(byMs);
    for (const host of this.#hosts.values()) this.#postAlarm(host);
  }

  #alive(host: Host): Instance {
    if (host.instance !== null) return host.instance;
    const instance = new Instance(host, {
      context: (made) => this.#contextOf(host, made),
      alarmOf: () => ({ set: (atMs) => this.#setAlarm(host, atMs), clear: () => this.#setAlarm(host, null) }),
      failsCommit: () => this.faults.strikes("failedCommit"),
    });
    // A commit that fails while the actor starts leaves a dead instance behind; whoever calls it hears of that.
    if (instance.isAlive) host.instance = instance;
    return instance;
  }

  #contextOf(host: Host, instance: Instance): Omit<ActorContext, "sql"> {
    const { clock } = this;
    const random = this.#options.random.fork(`${host.label}/${this.scheduler.stepCount}`);
    return {
      actors: this.actorsFor({ label: host.label, instance }),
      egress: this.#options.site?.egressFor({ label: host.label, instance }) ?? noEgress,
      clock,
      random,
      log: this.logOf(host.label),
      config: this.config,
      directory: this.directory.forInstance(instance),
      alarm: instance.alarm,
      background: (task) => {
        task().catch((thrown: unknown) => this.report(`background work of ${host.label}`, thrown));
      },
      committed: () =>
        new Promise((resolve) => {
          this.scheduler.post(`${host.label} is durable`, this.faults.random.int(0, 3), () => {
            if (instance.isAlive) resolve();
          });
        }),
    };
  }

  /** A log in which errors are violations, but for those that the simulation made. */
  logOf(label: string): ActorContext["log"] {
    const warn = (message: string, fields: LogFields = {}): void => {
      this.scheduler.note(`${label}: ${message} ${JSON.stringify(fields)}`);
    };
    const error = (message: string, fields: LogFields = {}): void => {
      const text = JSON.stringify(fields);
      warn(message, fields);
      if (!isSimulated(text)) this.violations.push(`${label} logged an error: ${message} ${text}`);
    };
    return { info: () => undefined, warn, error };
  }

  /** Something threw: a violation, unless the simulation did it. */
  report(what: string, thrown: unknown): void {
    if (isSimulated(thrown)) return;
    const stack = thrown instanceof Error ? `\n${thrown.stack ?? ""}` : "";
    this.violations.push(`${what} threw ${describeError(thrown)}${stack}`);
  }

  #after(label: string, run: () => void): void {
    this.scheduler.post(label, this.faults.delayMs(), run);
  }

  /** Typed clients for a caller. */
  actorsFor(caller: Caller): Actors {
    const namespace = (kind: KindName) => ({ getByName: (name: string) => this.#stub(caller, kind, name) });
    return actorsOf({ room: namespace("room"), user: namespace("user"), server: namespace("server") });
  }

  #stub(caller: Caller, kind: KindName, name: string): object {
    const get = (_target: object, method: string | symbol): unknown => {
      if (typeof method !== "string" || method === "then") return undefined;
      return (...args: unknown[]) => this.call(caller, this.#calleeOf(this.host(kind, name)), { method, args });
    };
    return new Proxy({}, { get });
  }

  #calleeOf(host: Host): Callee {
    return {
      label: host.label,
      isRepeatable: (method) => this.#options.repeatable.has(`${host.kindName}.${method}`),
      execute: (call, ending) => this.#execute(host, call, ending),
    };
  }

  /** A message to a callee, and one back. Never settles for a caller who has died meanwhile. */
  call(caller: Caller, callee: Callee, { method, args }: Call): Promise<unknown> {
    const label = `${caller.label} → ${callee.label}.${method}`;
    const call = { method, args: args.map(transfer) };
    const { instance } = caller;
    if (instance?.isAlive === false) return new Promise(() => undefined);
    if (instance !== null) instance.outbound += 1;
    return new Promise((resolve, reject) => {
      const answer = (what: string, settle: () => void): void =>
        this.#after(`${label}: ${what}`, () => {
          if (instance !== null) instance.outbound -= 1;
          if (instance?.isAlive !== false) settle();
        });
      const fail = (fault: unknown): void => answer("failed", () => reject(fault));
      if (this.faults.strikes("lostRequest")) {
        fail(new SimulatedFault("request lost"));
        return;
      }
      const deliver = (): void => {
        // What an instance wanted to say when it died may or may not have left it.
        if (instance?.isAlive === false && this.faults.random.chance(0.5)) return;
        callee.execute(call, { succeed: (value) => answer("ok", () => resolve(value)), fail });
      };
      this.#after(label, deliver);
      if (callee.isRepeatable(method) && this.faults.strikes("duplicate")) {
        this.#after(`${label} (again)`, () =>
          callee.execute(call, { succeed: () => undefined, fail: () => undefined }),
        );
      }
    });
  }

  #execute(host: Host, call: Call, caller: Ending): void {
    if (this.isDown) {
      caller.fail(new SimulatedFault("the server is down"));
      return;
    }
    const instance = this.#alive(host);
    if (!instance.isAlive) {
      caller.fail(new SimulatedFault(`${host.label} did not start`));
      return;
    }
    instance.inbound.add(caller.fail);
    this.#invoke(instance, call).then(
      (value) => {
        if (!instance.inbound.delete(caller.fail)) return;
        if (this.faults.strikes("lostReply")) caller.fail(new SimulatedFault("reply lost"));
        else caller.succeed(value);
      },
      (thrown: unknown) => {
        this.report(`${host.label}.${call.method}`, thrown);
        if (instance.inbound.delete(caller.fail)) caller.fail(thrown);
      },
    );
  }

  async #invoke(instance: Instance, call: Call): Promise<unknown> {
    const { rpc } = instance.actor;
    const method: unknown = Reflect.get(rpc, call.method);
    if (typeof method !== "function") throw new Error(`no method ${call.method}`);
    return transfer(await Reflect.apply(method, rpc, call.args));
  }

  /** Puts the stored alarm into the queue. A step whose alarm has been moved since does nothing. */
  #postAlarm(host: Host): void {
    const at = host.storage.alarmAt();
    if (at === null) return;
    const lateMs = this.faults.strikes("lateAlarm") ? this.faults.random.int(1, 30_000) : 0;
    this.scheduler.post(`${host.label} alarm`, this.clock.untilMs(at) + lateMs, () => this.#fireAlarm(host));
  }

  #fireAlarm(host: Host): void {
    const at = host.storage.alarmAt();
    if (at === null || at > this.clock.now() || this.isDown || host.instance?.isServingAlarm === true) return;
    const instance = this.#alive(host);
    // The platform runs an alarm again when its handler did not end, unless the next one is set already.
    const again = (): void => {
      if (host.storage.alarmAt() === null) this.#setAlarm(host, this.clock.now() + retryAfterMs);
      // What came due while the handler ran was passed over.
      else this.#postAlarm(host);
    };
    host.storage.setAlarm(null);
    if (!instance.isAlive || this.faults.strikes("repeatedAlarm")) again();
    if (!instance.isAlive) return;
    // In a step of its own: the instance may be dying inside a transaction that will be rolled back.
    const died = (): void => this.scheduler.post(`${host.label} alarm failed`, 0, again);
    const end = (): void => {
      instance.isServingAlarm = false;
      instance.inbound.delete(died);
      this.#postAlarm(host);
    };
    instance.inbound.add(died);
    instance.isServingAlarm = true;
    instance.alarm
      .serve(this.clock.now(), () => instance.actor.onAlarm())
      .catch((thrown: unknown) => this.report(`alarm of ${host.label}`, thrown))
      .then(end);
  }

  #setAlarm(host: Host, atMs: number | null): void {
    host.storage.setAlarm(atMs);
    this.#postAlarm(host);
  }
}
