/**
 * The egress as an entrypoint of the Worker: stateless, so that waiting for a peer costs nothing. The gateway and the
 * actors reach it through `ctx.exports`, on Cloudflare and self-hosted alike, and nobody from outside.
 */
import { WorkerEntrypoint } from "cloudflare:workers";
import { systemClock, systemRandom } from "../../shared/clock.ts";
import { parseConfig } from "../../shared/env.ts";
import { consoleLog, describeError } from "../../shared/log.ts";
import { actorsOf } from "../../shared/rpc/actors.ts";
import type { EgressRpc } from "../../shared/rpc/egress.ts";
import type { EgressContext } from "./context.ts";
import { egressRpc } from "./rpc.ts";
import { workerdTransport } from "./workerd-transport.ts";

/** The bindings as the egress uses them. */
export interface EgressEnv {
  readonly ROOM: DurableObjectNamespace;
  readonly USER: DurableObjectNamespace;
  readonly SERVER: DurableObjectNamespace;
  /** Self-hosted only: sockets to the network, under the address policy. */
  readonly INTERNET?: Fetcher;
}

/** Cloudflare ends what goes on for 30 s after the reply; whoever waits for its end must still be told. */
const cloudflareBackgroundMs = 25_000;

type Args<Method extends keyof EgressRpc> = Parameters<EgressRpc[Method]>;
type FixedContext = Omit<EgressContext, "background">;

/** The bindings of an isolate never change, so what is made of them is made once. */
let fixed: FixedContext | null = null;

/** The platform calls only what the class itself declares, hence a line for each method. */
export class Egress extends WorkerEntrypoint<EgressEnv> implements EgressRpc {
  readonly #rpc: EgressRpc;

  constructor(ctx: ExecutionContext, env: EgressEnv) {
    super(ctx, env);
    fixed ??= fixedContext(env);
    this.#rpc = egressRpc({ ...fixed, background: (task) => ctx.waitUntil(task().catch(logFailure)) });
  }

  request(...args: Args<"request">) {
    return this.#rpc.request(...args);
  }
  discover(...args: Args<"discover">) {
    return this.#rpc.discover(...args);
  }
  fetchState(...args: Args<"fetchState">) {
    return this.#rpc.fetchState(...args);
  }
  isKeyValid(...args: Args<"isKeyValid">) {
    return this.#rpc.isKeyValid(...args);
  }
  deliver(...args: Args<"deliver">) {
    return this.#rpc.deliver(...args);
  }
  joinRoom(...args: Args<"joinRoom">) {
    return this.#rpc.joinRoom(...args);
  }
  completeState(...args: Args<"completeState">) {
    return this.#rpc.completeState(...args);
  }
  leaveRoom(...args: Args<"leaveRoom">) {
    return this.#rpc.leaveRoom(...args);
  }
  startLeave(...args: Args<"startLeave">) {
    return this.#rpc.startLeave(...args);
  }
  knockRoom(...args: Args<"knockRoom">) {
    return this.#rpc.knockRoom(...args);
  }
  inviteUser(...args: Args<"inviteUser">) {
    return this.#rpc.inviteUser(...args);
  }
}

function fixedContext(env: EgressEnv): FixedContext {
  const config = parseConfig({ ...env });
  const internet = env.INTERNET ?? null;
  const context: FixedContext = {
    actors: actorsOf({ room: env.ROOM, user: env.USER, server: env.SERVER }),
    config,
    clock: systemClock,
    random: systemRandom,
    log: consoleLog,
    transport: workerdTransport({ internet, dnsOverHttps: config.dnsOverHttps }),
  };
  return internet === null ? { ...context, maxBackgroundMs: cloudflareBackgroundMs } : context;
}

function logFailure(thrown: unknown): void {
  consoleLog.error("background work failed", { actor: "egress", error: describeError(thrown) });
}
