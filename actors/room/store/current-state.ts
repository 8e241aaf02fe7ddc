import type { Sql } from "../../../schema/sql.ts";

/** SQL of the table `current_state_events`: the current state, flat. */
export class CurrentStateReader {
  protected readonly sql: Sql;

  constructor(sql: Sql) {
    this.sql = sql;
  }

  /** The event number of a key; null when it is not set. */
  find(stateKeyNid: number): number | null {
    const query = "SELECT event_nid FROM current_state_events WHERE state_key_nid = ?";
    return this.sql.one<{ event_nid: number }>(query, stateKeyNid)?.event_nid ?? null;
  }

  /** Event numbers of the whole current state, by ascending state key number. */
  all(): number[] {
    const query = "SELECT event_nid FROM current_state_events ORDER BY state_key_nid";
    return this.sql.all<{ event_nid: number }>(query).map((row) => row.event_nid);
  }
}

/** Exists only inside a transaction. */
export class CurrentStateWriter extends CurrentStateReader {
  set(stateKeyNid: number, eventNid: number): void {
    this.sql.run(
      `INSERT INTO current_state_events (state_key_nid, event_nid) VALUES (?, ?)
       ON CONFLICT (state_key_nid) DO UPDATE SET event_nid = excluded.event_nid`,
      stateKeyNid,
      eventNid,
    );
  }

  delete(stateKeyNid: number): void {
    this.sql.run("DELETE FROM current_state_events WHERE state_key_nid = ?", stateKeyNid);
  }
}
