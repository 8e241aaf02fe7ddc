import type { Sql } from "../../../schema/sql.ts";
import type { SigningKey } from "../../../shared/rpc/server.ts";

/** SQL of the table `signing_keys`. */
export class SigningKeysReader {
  protected readonly sql: Sql;

  constructor(sql: Sql) {
    this.sql = sql;
  }

  findCurrent(): SigningKey | null {
    const query = "SELECT key_id, seed FROM signing_keys WHERE expired_ts IS NULL";
    const row = this.sql.one<{ key_id: string; seed: string }>(query);
    return row === null ? null : { keyId: row.key_id, seed: row.seed };
  }

  /** Keys that were replaced, and must still verify; `expiredTs`: from when on they sign no more, ms since epoch. */
  replaced(): (SigningKey & { expiredTs: number })[] {
    return this.sql
      .all<{ key_id: string; seed: string; expired_ts: number }>(
        "SELECT key_id, seed, expired_ts FROM signing_keys WHERE expired_ts IS NOT NULL",
      )
      .map((row) => ({ keyId: row.key_id, seed: row.seed, expiredTs: row.expired_ts }));
  }
}

/** Exists only inside a transaction. */
export class SigningKeysWriter extends SigningKeysReader {
  /** @param expiredTs ms since epoch */
  expire(keyId: string, expiredTs: number): void {
    this.sql.run("UPDATE signing_keys SET expired_ts = ? WHERE key_id = ?", expiredTs, keyId);
  }

  insert(key: SigningKey, now: number): void {
    this.sql.run("INSERT INTO signing_keys (key_id, seed, created_ts) VALUES (?, ?, ?)", key.keyId, key.seed, now);
  }
}
