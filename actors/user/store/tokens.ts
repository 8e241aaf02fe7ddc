import type { Sql } from "../../../schema/sql.ts";
import type { DeviceId } from "../../../shared/ids.ts";

/** A refresh token, and so the pair that it is half of. Times in ms since epoch. */
export interface RefreshToken {
  hash: Uint8Array;
  deviceId: DeviceId;
  /** The refresh token that made the pair; null: a login did. */
  parentHash: Uint8Array | null;
  /** When either of the pair was first used. */
  usedTs: number | null;
  /** When either of a pair that this one made was first used. */
  spentTs: number | null;
}

/** An access token together with what must be known of its owner to let a request pass. */
export interface AccessGrant {
  deviceId: DeviceId;
  /** ms since epoch; null: until logout */
  expiresTs: number | null;
  /** The refresh token that was made with it; null: none, or forgotten since. */
  pair: RefreshToken | null;
  lastSeenTs: number;
  isAdmin: boolean;
  isGuest: boolean;
  isDeactivated: boolean;
  isLocked: boolean;
}

type RefreshRow = {
  token_hash: Uint8Array;
  device_id: DeviceId;
  parent_hash: Uint8Array | null;
  used_ts: number | null;
  spent_ts: number | null;
};
type GrantRow = {
  device_id: DeviceId;
  expires_ts: number | null;
  pair_hash: Uint8Array | null;
  parent_hash: Uint8Array | null;
  used_ts: number | null;
  spent_ts: number | null;
  last_seen_ts: number;
  is_admin: number;
  is_guest: number;
  is_deactivated: number;
  is_locked: number;
};

/** SQL of the tables `access_tokens` and `refresh_tokens`. */
export class TokensReader {
  protected readonly sql: Sql;

  constructor(sql: Sql) {
    this.sql = sql;
  }

  findAccess(hash: Uint8Array): AccessGrant | null {
    const row = this.sql.one<GrantRow>(
      // `+?`: SQLite prepares a join anew at each call where the value of a bare `?` may change its plan.
      `SELECT t.device_id, t.expires_ts, pair.token_hash AS pair_hash, pair.parent_hash, pair.used_ts, pair.spent_ts,
         last_seen_ts, is_admin, is_guest, is_deactivated, is_locked
       FROM access_tokens t JOIN devices d ON d.device_id = t.device_id JOIN account ON account.id = 1
       LEFT JOIN refresh_tokens pair ON pair.token_hash = t.pair_hash
       WHERE t.token_hash = +?`,
      hash,
    );
    if (row === null) return null;
    const { device_id, pair_hash, parent_hash, used_ts, spent_ts } = row;
    return {
      deviceId: device_id,
      expiresTs: row.expires_ts,
      pair: pair_hash === null ? null : refreshOf({ token_hash: pair_hash, device_id, parent_hash, used_ts, spent_ts }),
      lastSeenTs: row.last_seen_ts,
      isAdmin: row.is_admin === 1,
      isGuest: row.is_guest === 1,
      isDeactivated: row.is_deactivated === 1,
      isLocked: row.is_locked === 1,
    };
  }

  findRefresh(hash: Uint8Array): RefreshToken | null {
    const row = this.sql.one<RefreshRow>(
      "SELECT token_hash, device_id, parent_hash, used_ts, spent_ts FROM refresh_tokens WHERE token_hash = ?",
      hash,
    );
    return row === null ? null : refreshOf(row);
  }
}

/** Exists only inside a transaction. */
export class TokensWriter extends TokensReader {
  insertAccess(token: {
    hash: Uint8Array;
    deviceId: DeviceId;
    expiresTs: number | null;
    pairHash: Uint8Array | null;
  }): void {
    this.sql.run(
      "INSERT INTO access_tokens (token_hash, device_id, expires_ts, pair_hash) VALUES (?, ?, ?, ?)",
      token.hash,
      token.deviceId,
      token.expiresTs,
      token.pairHash,
    );
  }

  insertRefresh(token: {
    hash: Uint8Array;
    deviceId: DeviceId;
    createdTs: number;
    parentHash: Uint8Array | null;
  }): void {
    this.sql.run(
      "INSERT INTO refresh_tokens (token_hash, device_id, created_ts, parent_hash) VALUES (?, ?, ?, ?)",
      token.hash,
      token.deviceId,
      token.createdTs,
      token.parentHash,
    );
  }

  /** Records the first use of a pair, and spends the refresh token that made it. */
  markUsed(pair: RefreshToken, now: number): void {
    this.sql.run("UPDATE refresh_tokens SET used_ts = ? WHERE token_hash = ?", now, pair.hash);
    const query = "UPDATE refresh_tokens SET spent_ts = ? WHERE token_hash = ? AND spent_ts IS NULL";
    this.sql.run(query, now, pair.parentHash);
  }

  /** Counts one more pair made by a refresh token. @returns how many it has made. */
  countPair(hash: Uint8Array): number {
    const query = "UPDATE refresh_tokens SET pairs_made = pairs_made + 1 WHERE token_hash = ? RETURNING pairs_made";
    return this.sql.one<{ pairs_made: number }>(query, hash)?.pairs_made ?? 0;
  }

  deleteOfDevice(deviceId: DeviceId): void {
    this.sql.run("DELETE FROM access_tokens WHERE device_id = ?", deviceId);
    this.sql.run("DELETE FROM refresh_tokens WHERE device_id = ?", deviceId);
  }

  /**
   * Drops pairs of all devices that can matter no more: those whose refresh token was spent before `forgottenBefore`, and
   * those that nobody used although the refresh token that made them was spent before `spentBefore`. Times in ms since
   * epoch. An expired access token that can still be refreshed stays, so that its client is told to refresh.
   */
  trim(horizon: { spentBefore: number; forgottenBefore: number }): void {
    const { spentBefore, forgottenBefore } = horizon;
    this.sql.run(
      `DELETE FROM refresh_tokens WHERE used_ts IS NULL AND parent_hash IN (
         SELECT token_hash FROM refresh_tokens WHERE spent_ts < ?)`,
      spentBefore,
    );
    this.sql.run("DELETE FROM refresh_tokens WHERE spent_ts < ?", forgottenBefore);
    this.#deleteHalfPairs();
  }

  /** Drops all but the `kept` newest pairs that a refresh token made and nobody has used. */
  trimUnused(deviceId: DeviceId, parentHash: Uint8Array, kept: number): void {
    this.sql.run(
      `DELETE FROM refresh_tokens WHERE token_hash IN (
         SELECT token_hash FROM refresh_tokens WHERE device_id = ? AND parent_hash = ? AND used_ts IS NULL
         ORDER BY created_ts DESC LIMIT -1 OFFSET ?)`,
      deviceId,
      parentHash,
      kept,
    );
    this.#deleteHalfPairs();
  }

  /** An access token goes with the refresh token that was made with it. */
  #deleteHalfPairs(): void {
    this.sql.run(
      `DELETE FROM access_tokens WHERE pair_hash IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM refresh_tokens r WHERE r.token_hash = access_tokens.pair_hash)`,
    );
  }
}

function refreshOf(row: RefreshRow): RefreshToken {
  return {
    hash: row.token_hash,
    deviceId: row.device_id,
    parentHash: row.parent_hash,
    usedTs: row.used_ts,
    spentTs: row.spent_ts,
  };
}
