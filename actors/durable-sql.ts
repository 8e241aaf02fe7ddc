import type { Sql, SqlRow, SqlUsage, SqlValue } from "../schema/sql.ts";
import { meter } from "../shared/meter.ts";

/** `Sql` over a Durable Object's storage. */
export function durableSql(storage: DurableObjectStorage): Sql {
  const usage: SqlUsage = { rowsRead: 0, rowsWritten: 0 };
  const count = (cursor: { rowsRead: number; rowsWritten: number }): void => {
    usage.rowsRead += cursor.rowsRead;
    usage.rowsWritten += cursor.rowsWritten;
    meter.rowsRead += cursor.rowsRead;
    meter.rowsWritten += cursor.rowsWritten;
  };
  const all = <Row extends SqlRow>(query: string, ...bindings: SqlValue[]): Row[] => {
    const cursor = storage.sql.exec<Record<string, SqlStorageValue>>(query, ...bindings);
    const rows = cursor.toArray().map((row) => withBytes<Row>(row));
    count(cursor);
    return rows;
  };
  return {
    all,
    one: <Row extends SqlRow>(query: string, ...bindings: SqlValue[]) => all<Row>(query, ...bindings)[0] ?? null,
    run: (query, ...bindings) => {
      const cursor = storage.sql.exec(query, ...bindings);
      cursor.toArray();
      count(cursor);
    },
    transaction: (body) => storage.transactionSync(body),
    usage,
  };
}

/** The platform gives BLOBs as ArrayBuffer; stores read Uint8Array. */
function withBytes<Row extends SqlRow>(row: Record<string, SqlStorageValue>): Row {
  for (const key in row) {
    const value = row[key];
    if (value instanceof ArrayBuffer) Object.assign(row, { [key]: new Uint8Array(value) });
  }
  return row as Row;
}
