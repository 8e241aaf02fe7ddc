import type { Sql } from "../../../schema/sql.ts";

/**
 * What the user owes to others: `directory` (its row of the user directory; no subject), `profile` (a room must learn
 * the profile), `leave` (a room must be left), `alias` (the alias of a room that was perhaps never made; room id and alias),
 * `upgrade` (a room was joined: what the user has set for the room that it replaces goes with it).
 */
export type ObligationKind = "directory" | "profile" | "leave" | "alias" | "upgrade";

export interface Obligation {
  kind: ObligationKind;
  subject: string;
  version: number;
}

/** SQL of the table `obligations`. */
export class ObligationsReader {
  protected readonly sql: Sql;

  constructor(sql: Sql) {
    this.sql = sql;
  }

  all(limit: number): Obligation[] {
    return this.sql.all<{ kind: ObligationKind; subject: string; version: number }>(
      "SELECT kind, subject, version FROM obligations ORDER BY kind, subject LIMIT ?",
      limit,
    );
  }

  isAny(): boolean {
    const query = "SELECT EXISTS (SELECT 1 FROM obligations) AS is_any";
    return this.sql.one<{ is_any: number }>(query)?.is_any === 1;
  }
}

/** Exists only inside a transaction. */
export class ObligationsWriter extends ObligationsReader {
  owe(kind: ObligationKind, subject = ""): void {
    this.sql.run(
      `INSERT INTO obligations (kind, subject, version) VALUES (?, ?, 1)
       ON CONFLICT (kind, subject) DO UPDATE SET version = version + 1`,
      kind,
      subject,
    );
  }

  /** Removes what was settled, unless the same has come to be owed once more meanwhile. */
  settle(obligation: Obligation): void {
    const { kind, subject, version } = obligation;
    this.sql.run("DELETE FROM obligations WHERE kind = ? AND subject = ? AND version = ?", kind, subject, version);
  }

  cancel(kind: ObligationKind, subject: string): void {
    this.sql.run("DELETE FROM obligations WHERE kind = ? AND subject = ?", kind, subject);
  }
}
