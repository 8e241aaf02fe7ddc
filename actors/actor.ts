import { DurableObject } from "cloudflare:workers";
import { withSchema } from "../schema/lazy.ts";
import type { Migration } from "../schema/migrate.ts";
import { systemClock, systemRandom } from "../shared/clock.ts";
import { type Config, parseConfig } from "../shared/env.ts";
import { consoleLog, describeError } from "../shared/log.ts";
import { meter, metered } from "../shared/meter.ts";
import { actorsOf } from "../shared/rpc/actors.ts";
import { egressOf } from "../shared/rpc/egress-client.ts";
import { type Reply, reply } from "../shared/rpc/reply.ts";
import { KeptAlarm } from "./alarm.ts";
import type { ActorContext } from "./context.ts";
import { d1Directory } from "./d1-directory.ts";
import { durableSql } from "./durable-sql.ts";

/** The bindings that gateway and actors see, on Cloudflare and self-hosted alike. */
export interface Env {
  readonly ROOM: DurableObjectNamespace;
  readonly USER: DurableObjectNamespace;
  readonly SERVER: DurableObjectNamespace;
  readonly DB: D1Database;
  readonly MEDIA: R2Bucket;
}

/**
 * What the three actors have in common: a schema that is there when it is needed, a context for the functions that
 * do the work, refusals as values, and an alarm that never dies of an exception (the platform drops it after six).
 */
export abstract class Actor extends DurableObject<Env> {
  /** The room id, user id or server name that this actor owns. */
  protected readonly name: string;
  protected readonly context: ActorContext;
  readonly #alarm: KeptAlarm;

  constructor(state: DurableObjectState, env: Env, migrations: readonly Migration[]) {
    super(state, env);
    if (state.id.name === undefined) throw new Error("an actor is only ever reached by its name");
    this.name = state.id.name;
    // Not awaited: what is set inside a transaction is stored with that transaction's writes.
    this.#alarm = new KeptAlarm({
      set: (atMs) => void state.storage.setAlarm(atMs),
      clear: () => void state.storage.deleteAlarm(),
    });
    this.context = contextOf(state, env, { alarm: this.#alarm, migrations });
    void state.blockConcurrencyWhile(async () => this.#alarm.know(await state.storage.getAlarm()));
  }

  /** Answers an RPC. */
  protected reply<T>(body: () => T | Promise<T>): Promise<Reply<T>> {
    return reply(body);
  }

  /** What is due. Throwing is allowed: the alarm is set again. */
  protected abstract onAlarm(): Promise<void>;

  override async alarm(): Promise<void> {
    meter.alarms += 1;
    try {
      await metered(() => this.#alarm.serve(this.context.clock.now(), () => this.onAlarm()));
    } catch (thrown) {
      this.context.log.error("alarm failed", { actor: this.name, error: describeError(thrown) });
    }
  }
}

function contextOf(
  state: DurableObjectState,
  env: Env,
  { alarm, migrations }: { alarm: KeptAlarm; migrations: readonly Migration[] },
): ActorContext {
  const config: Config = parseConfig({ ...env });
  const sql = withSchema(durableSql(state.storage), migrations);
  return {
    sql: { ...sql, transaction: (body) => alarm.restoring(() => sql.transaction(body)) },
    actors: actorsOf({ room: env.ROOM, user: env.USER, server: env.SERVER }),
    egress: egressOf(state.exports),
    clock: systemClock,
    random: systemRandom,
    log: consoleLog,
    config,
    directory: d1Directory(env.DB),
    alarm,
    committed: () => state.storage.sync(),
    giveWay: () => scheduler.wait(0),
    background: (task) => {
      state.waitUntil(
        metered(task).catch((thrown: unknown) => {
          consoleLog.error("background work failed", { actor: state.id.name, error: describeError(thrown) });
        }),
      );
    },
  };
}
