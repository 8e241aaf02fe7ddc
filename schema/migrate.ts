import type { Sql } from "./sql.ts";

/** One step of a schema. Never edited after release. */
export interface Migration {
  /** 1, 2, 3, … without gaps. */
  readonly version: number;
  readonly name: string;
  readonly sql: string;
}

/**
 * Brings an actor's SQLite to the newest version of `migrations`: applies, in order, what is newer than the version it
 * has, each step in one transaction.
 */
export function migrate(sql: Sql, migrations: readonly Migration[]): void {
  sql.run(
    "CREATE TABLE IF NOT EXISTS schema_version (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL)",
  );
  const current = sql.one<{ version: number }>("SELECT version FROM schema_version WHERE id = 1")?.version ?? 0;
  for (const migration of migrations) {
    if (migration.version <= current) continue;
    sql.transaction(() => {
      sql.run(migration.sql);
      sql.run("INSERT OR REPLACE INTO schema_version (id, version) VALUES (1, ?)", migration.version);
    });
  }
}
