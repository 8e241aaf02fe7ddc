import type { Sql } from "../../../schema/sql.ts";

/** SQL of the table `openid_tokens`. */
export class OpenIdReader {
  protected readonly sql: Sql;

  constructor(sql: Sql) {
    this.sql = sql;
  }

  /** ms since epoch; null: there is no such token. */
  findExpiry(hash: Uint8Array): number | null {
    const query = "SELECT expires_ts FROM openid_tokens WHERE token_hash = ?";
    return this.sql.one<{ expires_ts: number }>(query, hash)?.expires_ts ?? null;
  }
}

/** Exists only inside a transaction. */
export class OpenIdWriter extends OpenIdReader {
  insert(hash: Uint8Array, expiresTs: number): void {
    this.sql.run("INSERT INTO openid_tokens (token_hash, expires_ts) VALUES (?, ?)", hash, expiresTs);
  }

  deleteExpired(now: number): void {
    this.sql.run("DELETE FROM openid_tokens WHERE expires_ts <= ?", now);
  }

  /** Leaves only those that live longest. */
  keepNewest(count: number): void {
    this.sql.run(
      `DELETE FROM openid_tokens WHERE token_hash IN (
         SELECT token_hash FROM openid_tokens ORDER BY expires_ts DESC, token_hash LIMIT -1 OFFSET +?)`,
      count,
    );
  }
}
