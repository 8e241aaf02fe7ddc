import { type Migration, migrate } from "./migrate.ts";
import type { Sql, SqlRow, SqlValue } from "./sql.ts";

/** Ends a transaction in which only was read. */
class OnlyRead extends Error {}

/**
 * `Sql` over a database whose schema is made by the first transaction that is stored. Anybody may ask for the profile of
 * any name, and each name has an actor: asking must leave nothing behind.
 *
 * Until then, each statement outside of a transaction must read, and finds empty tables: they are made for it and rolled
 * back. A database that has a schema is brought up to date at once.
 */
export function withSchema(sql: Sql, migrations: readonly Migration[]): Sql {
  const query = "SELECT 1 AS found FROM sqlite_master WHERE type = 'table' AND name = 'schema_version'";
  let hasSchema = sql.one<{ found: number }>(query) !== null;
  if (hasSchema) migrate(sql, migrations);

  const inSchema = <T>(body: () => T): T => {
    if (hasSchema) return body();
    try {
      return sql.transaction(() => {
        migrate(sql, migrations);
        hasSchema = true;
        return body();
      });
    } catch (thrown) {
      hasSchema = false;
      throw thrown;
    }
  };
  const reading = <Row extends SqlRow>(text: string, bindings: SqlValue[]): Row[] => {
    if (hasSchema) return sql.all<Row>(text, ...bindings);
    let rows: Row[] = [];
    try {
      inSchema(() => {
        rows = sql.all<Row>(text, ...bindings);
        throw new OnlyRead();
      });
    } catch (thrown) {
      if (!(thrown instanceof OnlyRead)) throw thrown;
    }
    return rows;
  };
  return {
    all: <Row extends SqlRow>(text: string, ...bindings: SqlValue[]) => reading<Row>(text, bindings),
    one: <Row extends SqlRow>(text: string, ...bindings: SqlValue[]) => reading<Row>(text, bindings)[0] ?? null,
    run: (text, ...bindings) => inSchema(() => sql.run(text, ...bindings)),
    transaction: (body) => (hasSchema ? sql.transaction(body) : inSchema(body)),
    usage: sql.usage,
  };
}
