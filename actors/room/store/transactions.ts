import type { Sql } from "../../../schema/sql.ts";
import type { EventId } from "../../../shared/ids.ts";

/** SQL of the table `transactions`: which event a client's request has made. */
export class TransactionsReader {
  protected readonly sql: Sql;

  constructor(sql: Sql) {
    this.sql = sql;
  }

  /** The event that this request has made already. */
  find(scope: string, txnId: string): EventId | null {
    const query = "SELECT event_id FROM transactions WHERE scope = ? AND txn_id = ?";
    return this.sql.one<{ event_id: EventId }>(query, scope, txnId)?.event_id ?? null;
  }

  /** When the oldest was made, ms since epoch; null when there is none. */
  oldestTs(): number | null {
    const query = "SELECT MIN(created_ts) AS oldest FROM transactions";
    return this.sql.one<{ oldest: number | null }>(query)?.oldest ?? null;
  }
}

/** Exists only inside a transaction. */
export class TransactionsWriter extends TransactionsReader {
  insert(record: { scope: string; txnId: string; eventId: EventId; createdTs: number }): void {
    this.sql.run(
      "INSERT INTO transactions (scope, txn_id, event_id, created_ts) VALUES (?, ?, ?, ?)",
      record.scope,
      record.txnId,
      record.eventId,
      record.createdTs,
    );
  }

  /** Drops what was made before `ts`, ms since epoch. */
  deleteBefore(ts: number): void {
    this.sql.run("DELETE FROM transactions WHERE created_ts < ?", ts);
  }
}
