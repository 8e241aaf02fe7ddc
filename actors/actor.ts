import { DurableObject } from "cloudflare:workers";
import { type Migration, migrate } from "../schema/migrate.ts";
import { systemClock, systemRandom } from "../shared/clock.ts";
import { type Config, parseConfig } from "../shared/env.ts";
import { consoleLog, describeError } from "../shared/log.ts";
import { meter } from "../shared/meter.ts";
import { actorsOf } from "../shared/rpc/actors.ts";
import { type Reply, reply } from "../shared/rpc/reply.ts";
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

/** How long an alarm whose work failed waits before it tries again. */
const alarmRetryMs = 30_000;

/**
 * What the three actors have in common: a schema brought up to date on construction, a context for the functions that
 * do the work, refusals as values, and an alarm that never dies of an exception (the platform drops it after six).
 */
export abstract class Actor extends DurableObject<Env> {
  /** The room id, user id or server name that this actor owns. */
  protected readonly name: string;
  protected readonly context: ActorContext;
  readonly #alarm: KnownAlarm = { atMs: null };

  constructor(state: DurableObjectState, env: Env, migrations: readonly Migration[]) {
    super(state, env);
    if (state.id.name === undefined) throw new Error("an actor is only ever reached by its name");
    this.name = state.id.name;
    this.context = contextOf(state, env, this.#alarm);
    // An earlier life may have set it: unknown, it would be replaced by a later one.
    void state.blockConcurrencyWhile(async () => {
      this.#alarm.atMs = await state.storage.getAlarm();
    });
    migrate(this.context.sql, migrations);
  }

  /** Answers an RPC. */
  protected reply<T>(body: () => T | Promise<T>): Promise<Reply<T>> {
    return reply(body);
  }

  /** What is due. Throwing is allowed: the alarm is set again. */
  protected abstract onAlarm(): Promise<void>;

  override async alarm(): Promise<void> {
    meter.alarms += 1;
    this.#alarm.atMs = null;
    try {
      await this.onAlarm();
    } catch (thrown) {
      this.context.log.error("alarm failed", { actor: this.name, error: describeError(thrown) });
      this.context.alarm.ensure(this.context.clock.now() + alarmRetryMs);
    }
  }
}

/** When the actor's one alarm will go off, as this instance knows it; null: it is not set. */
interface KnownAlarm {
  atMs: number | null;
}

function contextOf(state: DurableObjectState, env: Env, alarm: KnownAlarm): ActorContext {
  const config: Config = parseConfig({ ...env });
  const sql = durableSql(state.storage);
  return {
    sql: { ...sql, transaction: (body) => withAlarmRestored(alarm, () => sql.transaction(body)) },
    actors: actorsOf({ room: env.ROOM, user: env.USER, server: env.SERVER }),
    clock: systemClock,
    random: systemRandom,
    log: consoleLog,
    config,
    directory: d1Directory(env.DB),
    alarm: {
      ensure: (atMs) => {
        if (alarm.atMs !== null && alarm.atMs <= atMs) return;
        alarm.atMs = atMs;
        // Not awaited: called inside a transaction, it is stored with that transaction's writes.
        void state.storage.setAlarm(atMs);
      },
    },
    committed: () => state.storage.sync(),
    background: (task) => {
      state.waitUntil(
        task().catch((thrown: unknown) => {
          consoleLog.error("background work failed", { actor: state.id.name, error: describeError(thrown) });
        }),
      );
    },
  };
}

/** An alarm that was set inside a transaction is rolled back with it. */
function withAlarmRestored<T>(alarm: KnownAlarm, transaction: () => T): T {
  const before = alarm.atMs;
  try {
    return transaction();
  } catch (thrown) {
    alarm.atMs = before;
    throw thrown;
  }
}
