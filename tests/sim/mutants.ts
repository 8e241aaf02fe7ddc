/** Bugs planted from outside, to show that the simulation finds such. The production code knows nothing of them. */
import type { ActorContext, Alarm } from "../../actors/context.ts";
import type { Sql } from "../../schema/sql.ts";
import { formatSyncToken, parseSyncToken } from "../../shared/matrix/stream-token.ts";
import type { Actors } from "../../shared/rpc/actors.ts";
import type { Reply } from "../../shared/rpc/reply.ts";
import type { SyncResult } from "../../shared/rpc/user.ts";
import type { ActorKind, KindName } from "./host.ts";
import { productionKinds } from "./kinds.ts";

export interface Mutant {
  readonly name: string;
  readonly kinds: Record<KindName, ActorKind>;
}

export const mutants: readonly Mutant[] = [
  { name: "wakes are never sent", kinds: planted("room", { actors: withoutWakes }) },
  { name: "the room acknowledges before it commits", kinds: planted("room", { sql: writeBehind }) },
  { name: "the room forgets transaction ids", kinds: planted("room", { sql: withoutTransactionIds }) },
  { name: "sync tokens are off by one", kinds: planted("user", { rpc: withTokensAhead }) },
  { name: "wakes that are owed are lost on eviction", kinds: planted("room", { sql: withoutOwedWakes }) },
  { name: "repeated to-device deposits are taken twice", kinds: planted("user", { sql: withoutDeposits }) },
  { name: "devices never hear of rooms that are forgotten", kinds: planted("user", { sql: withoutForgottenRooms }) },
];

/** Where a bug can stand: between an actor and its database, its peers, or its callers. */
export interface Plant {
  sql?: (base: ActorContext) => Sql;
  actors?: (base: ActorContext) => Actors;
  alarm?: (base: ActorContext) => Alarm;
  rpc?: (rpc: object) => object;
}

export function planted(kindName: KindName, plant: Plant): Record<KindName, ActorKind> {
  const kind = productionKinds[kindName];
  const start: ActorKind["start"] = (base, name, waiters) => {
    const sql = plant.sql?.(base) ?? base.sql;
    const actors = plant.actors?.(base) ?? base.actors;
    const alarm = plant.alarm?.(base) ?? base.alarm;
    const actor = kind.start({ ...base, sql, actors, alarm }, name, waiters);
    return { ...actor, rpc: plant.rpc?.(actor.rpc) ?? actor.rpc };
  };
  return { ...productionKinds, [kindName]: { ...kind, start } };
}

/** The room takes each wake for delivered and read. */
function withoutWakes(base: ActorContext): Actors {
  const user: Actors["user"] = (userId) =>
    replacing(base.actors.user(userId), "roomAdvanced", async (wake) => ({ knownPosition: Number(wake.head) }));
  return { ...base.actors, user };
}

export function replacing<T extends object>(
  target: T,
  method: string,
  replacement: (input: Record<string, unknown>) => Promise<unknown>,
): T {
  return new Proxy(target, { get: (object, name) => (name === method ? replacement : Reflect.get(object, name)) });
}

/** Steps between an answer and the commit of what it speaks of. */
const stepsBehind = 10;
/** Databases that hold what is not committed yet. */
const openDatabases = new WeakSet<object>();

/** Everything is answered at once and committed later; an instance that dies in between takes it with it. */
export function writeBehind(base: ActorContext): Sql {
  const { sql } = base;
  // The counters of usage belong to the database: one object through all lives of the actor.
  const database = sql.usage;
  if (openDatabases.delete(database)) sql.run("ROLLBACK");
  const commitLater = async (): Promise<void> => {
    for (let step = 0; step < stepsBehind; step += 1) await base.committed?.();
    sql.run("COMMIT");
    openDatabases.delete(database);
  };
  let depth = 0;
  return {
    ...sql,
    transaction: (body) => {
      if (!openDatabases.has(database)) {
        // The tables are made by the first transaction that is stored: they shall stay.
        sql.transaction(() => undefined);
        sql.run("BEGIN");
        openDatabases.add(database);
        void commitLater();
      }
      depth += 1;
      const savepoint = `behind_${depth}`;
      sql.run(`SAVEPOINT ${savepoint}`);
      try {
        return body();
      } catch (thrown) {
        sql.run(`ROLLBACK TO ${savepoint}`);
        throw thrown;
      } finally {
        sql.run(`RELEASE ${savepoint}`);
        depth -= 1;
      }
    },
  };
}

/** Writes that match go nowhere. */
export function ignoring(sql: Sql, pattern: RegExp): Sql {
  return {
    ...sql,
    run: (query, ...bindings) => {
      if (!pattern.test(query)) sql.run(query, ...bindings);
    },
  };
}

function withoutTransactionIds(base: ActorContext): Sql {
  return ignoring(base.sql, /INTO transactions\b/);
}

function withoutDeposits(base: ActorContext): Sql {
  return ignoring(base.sql, /INTO to_device_received\b/);
}

function withoutForgottenRooms(base: ActorContext): Sql {
  return ignoring(base.sql, /INTO forgotten_rooms\b/);
}

/** As if the bits were kept in memory only. */
function withoutOwedWakes(base: ActorContext): Sql {
  base.sql.run("UPDATE wake_pages SET owed = zeroblob(length(owed))");
  return base.sql;
}

/** Each answer's token claims one position more than was read. */
function withTokensAhead(rpc: object): object {
  const sync: unknown = Reflect.get(rpc, "sync");
  if (typeof sync !== "function") throw new Error("the user's actor has no sync");
  const ahead = async (...args: unknown[]): Promise<Reply<SyncResult>> => {
    const answer: Reply<SyncResult> = await Reflect.apply(sync, rpc, args);
    const token = answer.ok ? parseSyncToken(answer.value.nextBatch) : null;
    if (!answer.ok || token === null) return answer;
    const nextBatch = formatSyncToken({ ...token, position: token.position + 1 });
    return { ok: true, value: { ...answer.value, nextBatch } };
  };
  return { ...rpc, sync: ahead };
}
