/** What may be bound to a statement or come out of a column. */
export type SqlValue = string | number | null | Uint8Array;

/** A row as SQLite gives it: column name → value. */
export type SqlRow = Record<string, SqlValue>;

/**
 * What a store may ask of SQLite. Two implementations: a Durable Object's storage (`actors/durable-sql.ts`) and
 * `node:sqlite` (tests). BLOB columns come back as `Uint8Array` from both.
 *
 * Statements are prepared once, but the SQLite of `node:sqlite` prepares anew, at ten times the cost of the call, where
 * another value of a bare `?` could change the plan: in `LIMIT ?`, and in a range of a column with a partial index. There
 * stores write `+?`, which costs nothing in workerd and spares the simulator much.
 */
export interface Sql {
  /** All rows. `Row` names the selected columns and their types; the query must select just these. */
  all<Row extends SqlRow>(query: string, ...bindings: SqlValue[]): Row[];
  /** The first row, or null. */
  one<Row extends SqlRow>(query: string, ...bindings: SqlValue[]): Row | null;
  /** Runs a statement that returns no rows. */
  run(query: string, ...bindings: SqlValue[]): void;
  /** Runs `body` atomically: all of its writes are stored or, when it throws, none. Nests. */
  transaction<T>(body: () => T): T;
  /** Rows read and written since the object came to life, as the platform bills them. */
  readonly usage: SqlUsage;
}

/** Counted rows: an insert into a table with one secondary index writes two. */
export interface SqlUsage {
  rowsRead: number;
  rowsWritten: number;
}
