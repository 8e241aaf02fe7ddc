import type { Sql } from "../../../schema/sql.ts";
import type { EventId } from "../../../shared/ids.ts";

/** SQL of the table `pending_redactions`: redactions that came before what they redact. */
export class RedactionsReader {
  protected readonly sql: Sql;

  constructor(sql: Sql) {
    this.sql = sql;
  }

  /** The redactions that wait for an event, in the order in which they came. */
  waitingFor(target: EventId, limit: number): number[] {
    const query =
      "SELECT redaction_nid FROM pending_redactions WHERE target_event_id = ? ORDER BY redaction_nid LIMIT +?";
    return this.sql.all<{ redaction_nid: number }>(query, target, limit).map((row) => row.redaction_nid);
  }
}

/** Exists only inside a transaction. */
export class RedactionsWriter extends RedactionsReader {
  insert(target: EventId, redactionNid: number): void {
    this.sql.run(
      "INSERT INTO pending_redactions (target_event_id, redaction_nid) VALUES (?, ?) ON CONFLICT DO NOTHING",
      target,
      redactionNid,
    );
  }

  delete(target: EventId): void {
    this.sql.run("DELETE FROM pending_redactions WHERE target_event_id = ?", target);
  }
}
