import type { Sql } from "../../../schema/sql.ts";
import type { UserId } from "../../../shared/ids.ts";

/** SQL of the table `member_profiles`. Writing methods are for use inside a transaction only. */
export class MemberProfileStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** The version of the profile that the user told last; 0 before the first. */
  versionOf(userId: UserId): number {
    const query = "SELECT version FROM member_profiles WHERE user_id = ?";
    return this.#sql.one<{ version: number }>(query, userId)?.version ?? 0;
  }

  setVersion(userId: UserId, version: number): void {
    const query = `INSERT INTO member_profiles (user_id, version) VALUES (?, ?)
       ON CONFLICT (user_id) DO UPDATE SET version = excluded.version`;
    this.#sql.run(query, userId, version);
  }
}
