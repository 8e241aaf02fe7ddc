import type { Sql, SqlRow, SqlValue } from "../../schema/sql.ts";
import { type NodeSql, openNodeSql } from "../support/node-sql.ts";

/** What outlives an actor's instances: its database and, in it, its alarm. */
export interface ActorStorage {
  readonly sql: NodeSql;
  /** When the stored alarm is to go off, in ms since epoch; null: none is set. Set inside a transaction, it is part of it. */
  alarmAt(): number | null;
  setAlarm(atMs: number | null): void;
}

export function newActorStorage(): ActorStorage {
  const sql = openNodeSql();
  sql.run("CREATE TABLE sim_alarm (id INTEGER PRIMARY KEY CHECK (id = 1), at_ms INTEGER NOT NULL)");
  return {
    sql,
    alarmAt: () => sql.one<{ at_ms: number }>("SELECT at_ms FROM sim_alarm")?.at_ms ?? null,
    setAlarm: (atMs) => {
      if (atMs === null) sql.run("DELETE FROM sim_alarm");
      else
        sql.run("INSERT INTO sim_alarm (id, at_ms) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET at_ms = ?", atMs, atMs);
    },
  };
}

/** What an instance's view of its database asks before it does anything. */
export interface StorageGuard {
  /** @throws when the instance is no more: whatever still runs of it must not write. */
  assertAlive(): void;
  /** Called before the outermost transaction commits. @throws to make it fail */
  beforeCommit(): void;
}

/** One instance's view of its actor's database. */
export function guardedSql(sql: Sql, guard: StorageGuard): Sql {
  let depth = 0;
  return {
    all: <Row extends SqlRow>(query: string, ...bindings: SqlValue[]) => {
      guard.assertAlive();
      return sql.all<Row>(query, ...bindings);
    },
    one: <Row extends SqlRow>(query: string, ...bindings: SqlValue[]) => {
      guard.assertAlive();
      return sql.one<Row>(query, ...bindings);
    },
    run: (query, ...bindings) => {
      guard.assertAlive();
      sql.run(query, ...bindings);
    },
    transaction: (body) => {
      guard.assertAlive();
      depth += 1;
      try {
        return sql.transaction(() => {
          const result = body();
          if (depth === 1) guard.beforeCommit();
          return result;
        });
      } finally {
        depth -= 1;
      }
    },
    usage: sql.usage,
  };
}
