import type { Sql } from "../../../schema/sql.ts";
import type { UserId } from "../../../shared/ids.ts";
import type { RegistrationToken } from "../../../shared/rpc/server.ts";

type TokenRow = { token: string; uses_allowed: number | null; completed: number; expiry_ts: number | null };

const columns = "token, uses_allowed, completed, expiry_ts";

/** SQL of the tables `registration_tokens`, `registration_token_uses` and `registration_nonces`. */
export class RegistrationTokensReader {
  protected readonly sql: Sql;

  constructor(sql: Sql) {
    this.sql = sql;
  }

  find(token: string): RegistrationToken | null {
    const row = this.sql.one<TokenRow>(`SELECT ${columns} FROM registration_tokens WHERE token = ?`, token);
    return row === null ? null : tokenOf(row);
  }

  all(): RegistrationToken[] {
    const query = `SELECT ${columns} FROM registration_tokens ORDER BY created_ts, token`;
    return this.sql.all<TokenRow>(query).map(tokenOf);
  }

  hasUsed(token: string, userId: UserId): boolean {
    const query = "SELECT 1 AS used FROM registration_token_uses WHERE token = ? AND user_id = ?";
    return this.sql.one<{ used: number }>(query, token, userId) !== null;
  }
}

/** Exists only inside a transaction. */
export class RegistrationTokensWriter extends RegistrationTokensReader {
  insert(token: RegistrationToken, now: number): void {
    this.sql.run(
      "INSERT INTO registration_tokens (token, uses_allowed, completed, expiry_ts, created_ts) VALUES (?, ?, ?, ?, ?)",
      token.token,
      token.usesAllowed,
      token.completed,
      token.expiryTime,
      now,
    );
  }

  setLimits({ token, usesAllowed, expiryTime }: RegistrationToken): void {
    const query = "UPDATE registration_tokens SET uses_allowed = ?, expiry_ts = ? WHERE token = ?";
    this.sql.run(query, usesAllowed, expiryTime, token);
  }

  addUse(token: string, userId: UserId): void {
    this.sql.run("INSERT INTO registration_token_uses (token, user_id) VALUES (?, ?)", token, userId);
    this.sql.run("UPDATE registration_tokens SET completed = completed + 1 WHERE token = ?", token);
  }

  delete(token: string): void {
    this.sql.run("DELETE FROM registration_token_uses WHERE token = ?", token);
    this.sql.run("DELETE FROM registration_tokens WHERE token = ?", token);
  }

  /** Stores a nonce, and drops what lies more than `kept` nonces back. */
  insertNonce(nonce: string, now: number, kept: number): void {
    this.sql.run("INSERT INTO registration_nonces (nonce, created_ts) VALUES (?, ?)", nonce, now);
    const query =
      "DELETE FROM registration_nonces WHERE nonce_nid <= (SELECT MAX(nonce_nid) FROM registration_nonces) - ?";
    this.sql.run(query, kept);
  }

  /** Removes a nonce. @returns when it was made, ms since epoch; null when there is no such nonce. */
  takeNonce(nonce: string): number | null {
    const query = "DELETE FROM registration_nonces WHERE nonce = ? RETURNING created_ts";
    return this.sql.one<{ created_ts: number }>(query, nonce)?.created_ts ?? null;
  }

  dropNoncesBefore(horizon: number): void {
    this.sql.run("DELETE FROM registration_nonces WHERE created_ts < ?", horizon);
  }
}

function tokenOf(row: TokenRow): RegistrationToken {
  return {
    token: row.token,
    usesAllowed: row.uses_allowed,
    completed: row.completed,
    expiryTime: row.expiry_ts,
  };
}
