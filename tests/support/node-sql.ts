import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { Sql, SqlRow, SqlUsage, SqlValue } from "../../schema/sql.ts";

/** `Sql` over `node:sqlite`, for tests and the simulator. */
export interface NodeSql extends Sql {
  readonly database: DatabaseSync;
  close(): void;
}

/**
 * Opens a database: in memory unless `path` names a file.
 *
 * Rows are counted about as the platform bills them: a row inserted or deleted counts once for its table and once for
 * each index of it, a row updated once; of rows read, only those returned are known.
 */
export function openNodeSql(path = ":memory:"): NodeSql {
  const database = new DatabaseSync(path);
  if (path !== ":memory:") database.exec("PRAGMA journal_mode = WAL");
  return sqlOver(database);
}

/** `Sql` over a database that is open already. */
export function sqlOver(database: DatabaseSync): NodeSql {
  const statements = new Map<string, StatementSync>();
  const costs = new Map<string, number>();
  const usage: SqlUsage = { rowsRead: 0, rowsWritten: 0 };
  let depth = 0;

  const prepare = (query: string): StatementSync => {
    let statement = statements.get(query);
    if (statement === undefined) {
      statement = database.prepare(query);
      statements.set(query, statement);
    }
    return statement;
  };
  const countWrites = (query: string, changes: number): void => {
    usage.rowsWritten += changes * costOf(database, costs, query);
  };
  const all = <Row extends SqlRow>(query: string, ...bindings: SqlValue[]): Row[] => {
    assertWithinPlatform(query, bindings);
    const rows: object[] = prepare(query).all(...bindings);
    usage.rowsRead += rows.length;
    if (isWrite(query)) countWrites(query, rows.length);
    return rows as Row[];
  };
  return {
    database,
    close: () => database.close(),
    all,
    one: <Row extends SqlRow>(query: string, ...bindings: SqlValue[]) => all<Row>(query, ...bindings)[0] ?? null,
    run: (query, ...bindings) => {
      // Several statements at once (migrations) cannot be prepared as one.
      if (bindings.length === 0 && query.includes(";")) {
        database.exec(query);
        statements.clear();
        costs.clear();
        return;
      }
      assertWithinPlatform(query, bindings);
      countWrites(query, Number(prepare(query).run(...bindings).changes));
    },
    transaction: (body) => {
      const level = depth;
      database.exec(level === 0 ? "BEGIN IMMEDIATE" : `SAVEPOINT level_${level}`);
      depth = level + 1;
      try {
        const result = body();
        database.exec(level === 0 ? "COMMIT" : `RELEASE level_${level}`);
        return result;
      } catch (thrown) {
        if (level > 0) database.exec(`ROLLBACK TO level_${level}; RELEASE level_${level}`);
        else if (database.isTransaction) database.exec("ROLLBACK");
        throw thrown;
      } finally {
        depth = level;
      }
    },
    usage,
  };
}

/** What the platform takes of one statement. The local runtime takes more, so only here does it show. */
const maxBindings = 100;
const maxQueryBytes = 100_000;
/** Also of a row as a whole; no table has two columns that can be so large. */
const maxValueBytes = 2_000_000;

/** @throws Error where a Durable Object in production would */
function assertWithinPlatform(query: string, bindings: readonly SqlValue[]): void {
  if (bindings.length > maxBindings) throw new Error(`a statement binds at most ${maxBindings} parameters`);
  if (query.length > maxQueryBytes) throw new Error(`a statement has at most ${maxQueryBytes} bytes`);
  const isTooLarge = bindings.some((value) =>
    typeof value === "string" ? Buffer.byteLength(value) > maxValueBytes : bytesOf(value) > maxValueBytes,
  );
  if (isTooLarge) throw new Error(`a value has at most ${maxValueBytes} bytes`);
}

function bytesOf(value: SqlValue): number {
  return value instanceof Uint8Array ? value.byteLength : 0;
}

const writes = /^\s*(INSERT|REPLACE|UPDATE|DELETE)\b(?:\s+OR\s+\w+)?(?:\s+INTO|\s+FROM)?\s+"?(\w+)/i;

function isWrite(query: string): boolean {
  return writes.test(query);
}

/** Rows billed for each row that the statement changes. */
function costOf(database: DatabaseSync, costs: Map<string, number>, query: string): number {
  const known = costs.get(query);
  if (known !== undefined) return known;
  const match = writes.exec(query);
  const [, verb, table] = match ?? [];
  let cost = match === null ? 0 : 1;
  if (verb !== undefined && table !== undefined && verb.toUpperCase() !== "UPDATE") {
    const indexes = database.prepare(`SELECT origin FROM pragma_index_list(?)`).all(table);
    const isWithoutRowid = /WITHOUT\s+ROWID/i.test(sqlOf(database, table));
    cost += indexes.filter((index) => !(isWithoutRowid && index.origin === "pk")).length;
  }
  costs.set(query, cost);
  return cost;
}

function sqlOf(database: DatabaseSync, table: string): string {
  return String(
    database.prepare("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?").get(table)?.sql ?? "",
  );
}
