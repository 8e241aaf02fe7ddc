/** One homeserver of several: a world of actors, with a gateway before it and an egress behind it. */
import type { Services } from "../../shared/endpoint.ts";
import { trusted } from "../../shared/ids.ts";
import { clientOf } from "../../shared/rpc/actors.ts";
import type { EgressRpc } from "../../shared/rpc/egress.ts";
import type { Client } from "../../shared/rpc/reply.ts";
import type { Answered, EgressContext, Exchange, Target } from "../../workers/egress/context.ts";
import { egressRpc } from "../../workers/egress/rpc.ts";
import { allEndpoints } from "../../workers/gateway/gateway.ts";
import { makeRouter } from "../../workers/gateway/router.ts";
import type { Call, Caller, Ending, Life } from "./calls.ts";
import { ServerClock } from "./clock.ts";
import { type Faults, isSimulated, SimulatedFault } from "./faults.ts";
import type { ActorKind, KindName } from "./host.ts";
import { type Background, type Invocation, Invocations } from "./invocations.ts";
import { repeatableMethods } from "./kinds.ts";
import type { Random } from "./random.ts";
import type { Scheduler } from "./scheduler.ts";
import { transfer } from "./transfer.ts";
import { World } from "./world.ts";

const route = makeRouter(allEndpoints);

/** The network, as a server sees it. */
export interface Wire {
  readonly scheduler: Scheduler;
  readonly faults: Faults;
  /** One request to another server. Settled by steps only. */
  exchange(from: string, target: Target, request: Exchange): Promise<Answered>;
}

export interface ServerOptions {
  random: Random;
  kinds: Record<KindName, ActorKind>;
  wire: Wire;
  /** A bug between the actors and the network. */
  plantEgress?: (rpc: EgressRpc) => EgressRpc;
}

export class SimServer {
  readonly name: string;
  readonly world: World;
  readonly invocations = new Invocations();
  readonly #options: ServerOptions;
  readonly #random: Random;

  constructor(name: string, options: ServerOptions) {
    const { scheduler, faults } = options.wire;
    this.name = name;
    this.#options = options;
    this.#random = options.random.fork("stateless");
    const egressFor = (caller: Caller): Client<EgressRpc> => this.#egressFor(caller);
    this.world = new World({
      random: options.random.fork("world"),
      rates: faults.rates,
      kinds: options.kinds,
      repeatable: repeatableMethods,
      site: { serverName: name, scheduler, clock: new ServerClock(scheduler.clock), faults, egressFor },
    });
  }

  get isDown(): boolean {
    return this.world.isDown;
  }

  /** Answers as the gateway does. Rejects when the server is down, or its gateway dies over it. */
  fetch(request: Request): Promise<Response> {
    if (this.isDown) return Promise.reject(new SimulatedFault(`${this.name} is down`));
    const label = `${this.name}/gateway`;
    return this.invocations.run(label, async (invocation) => {
      const response = await route(request, this.#services(request, { label, instance: invocation }));
      const { status, headers } = response;
      return new Response(await response.text(), { status, headers });
    });
  }

  /** Gives the server a new signing key, if its actor can be had. */
  async rotateKey(): Promise<void> {
    try {
      await this.world.outside(`${this.name}'s operator`).server(trusted.serverName(this.name)).rotateSigningKey();
    } catch (thrown) {
      if (!isSimulated(thrown)) this.world.report("the operator", thrown);
    }
  }

  shutDown(): void {
    this.world.shutDown();
    for (const invocation of this.invocations.running) invocation.die("its server went down");
  }

  startUp(): void {
    this.world.startUp();
  }

  #services(request: Request, caller: Caller): Services {
    return {
      actors: this.world.actorsFor(caller),
      egress: this.#egressFor(caller),
      config: this.world.config,
      support: { contact: null, page: null },
      clock: this.world.clock,
      random: this.#random,
      log: this.world.logOf(caller.label),
      clientAddress: null,
      signal: request.signal,
      openWaiter: (userId, deviceId, since) => this.world.openWaiter(userId, deviceId, since),
      pause: (milliseconds, until) => this.#pause(caller, milliseconds, until),
    };
  }

  #pause({ label, instance }: Caller, milliseconds: number, until?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      until?.addEventListener("abort", () => resolve());
      const wake = (): void => {
        if (instance?.isAlive !== false) resolve();
      };
      this.#options.wire.scheduler.post(`${label} goes on`, milliseconds, wake);
    });
  }

  #egressFor(caller: Caller): Client<EgressRpc> {
    const callee = {
      label: `${this.name}/egress`,
      isRepeatable: (method: string) => repeatableMethods.has(`egress.${method}`),
      execute: (call: Call, ending: Ending) => this.#runEgress(call, ending),
    };
    const get = (_target: object, method: string | symbol): unknown => {
      if (typeof method !== "string" || method === "then") return undefined;
      return (...args: unknown[]) => this.world.call(caller, callee, { method, args });
    };
    const stub = new Proxy({}, { get });
    return clientOf<EgressRpc>(() => stub);
  }

  #runEgress(call: Call, ending: Ending): void {
    if (this.isDown) {
      ending.fail(new SimulatedFault(`${this.name} is down`));
      return;
    }
    const run = async (invocation: Invocation, background: Background): Promise<unknown> => {
      const honest = egressRpc(this.#egressContext(invocation, background));
      const rpc = this.#options.plantEgress?.(honest) ?? honest;
      const method: unknown = Reflect.get(rpc, call.method);
      if (typeof method !== "function") throw new Error(`no method ${call.method}`);
      return transfer(await Reflect.apply(method, rpc, call.args));
    };
    this.invocations.run(`${this.name}/egress.${call.method}`, run).then(
      (value) => {
        if (this.#options.wire.faults.strikes("lostReply")) ending.fail(new SimulatedFault("reply lost"));
        else ending.succeed(value);
      },
      (thrown: unknown) => {
        this.world.report(`${this.name}/egress.${call.method}`, thrown);
        ending.fail(thrown);
      },
    );
  }

  #egressContext(invocation: Invocation, background: Background): EgressContext {
    const { wire } = this.#options;
    const { label } = invocation;
    return {
      actors: this.world.actorsFor({ label, instance: invocation }),
      config: this.world.config,
      clock: this.world.clock,
      random: this.#random,
      log: this.world.logOf(label),
      transport: {
        exchange: (target, request) => whileAlive(invocation, wire.exchange(this.name, target, request)),
        resolveSrv: async () => [],
      },
      background: (task) =>
        background(() => task().catch((thrown: unknown) => this.world.report(`background work of ${label}`, thrown))),
    };
  }
}

/** Never settles for who has died meanwhile. */
function whileAlive<T>(life: Life, promised: Promise<T>): Promise<T> {
  if (!life.isAlive) return new Promise(() => undefined);
  life.outbound += 1;
  return new Promise((resolve, reject) => {
    const settle = (how: () => void): void => {
      life.outbound -= 1;
      if (life.isAlive) how();
    };
    promised.then(
      (value) => settle(() => resolve(value)),
      (thrown: unknown) => settle(() => reject(thrown)),
    );
  });
}
