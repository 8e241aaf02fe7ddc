import type { Sql } from "../../../schema/sql.ts";

/** How it stands with a server that does not answer. */
export interface StoredContact {
  /** Attempts since it answered last. */
  readonly attempts: number;
  /** ms since epoch: when nothing of what was asked in vain counts any more */
  readonly restoredTs: number;
}

/** SQL of the table `contact`. */
export class ContactReader {
  protected readonly sql: Sql;

  constructor(sql: Sql) {
    this.sql = sql;
  }

  /** Null: the server answered when it was asked last. */
  find(): StoredContact | null {
    const query = "SELECT attempts, restored_ts FROM contact";
    const row = this.sql.one<{ attempts: number; restored_ts: number }>(query);
    return row === null ? null : { attempts: row.attempts, restoredTs: row.restored_ts };
  }

  /** Whether the server is one that this server has to do with: it has answered or spoken, or something waits for it. */
  isKnown(): boolean {
    const query = `SELECT EXISTS (SELECT 1 FROM routes) OR EXISTS (SELECT 1 FROM outbound_rooms)
      OR EXISTS (SELECT 1 FROM outbound_edus) OR EXISTS (SELECT 1 FROM verify_keys) AS known`;
    return this.sql.one<{ known: number }>(query)?.known === 1;
  }
}

/** Exists only inside a transaction. */
export class ContactWriter extends ContactReader {
  set({ attempts, restoredTs }: StoredContact): void {
    this.sql.run("INSERT OR REPLACE INTO contact (id, attempts, restored_ts) VALUES (1, ?, ?)", attempts, restoredTs);
  }

  clear(): void {
    this.sql.run("DELETE FROM contact");
  }
}
