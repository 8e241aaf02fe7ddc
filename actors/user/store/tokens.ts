import type { Sql } from "../../../schema/sql.ts";
import type { TokenKind } from "../../../shared/access-token.ts";
import type { DeviceId } from "../../../shared/ids.ts";

/** A token as it is stored; times in ms since epoch. */
export interface StoredToken {
  hash: Uint8Array;
  deviceId: DeviceId;
  expiresTs: number | null;
  /** The refresh token of the pair that this token belongs to. */
  pairHash: Uint8Array | null;
  /** The refresh token that made the pair. */
  parentHash: Uint8Array | null;
  /** When either of the pair was first used. */
  usedTs: number | null;
  spentTs: number | null;
}

/** An access token together with what must be known of its owner to let a request pass. */
export interface AccessGrant extends StoredToken {
  lastSeenTs: number;
  isAdmin: boolean;
  isGuest: boolean;
  isDeactivated: boolean;
  isLocked: boolean;
}

type TokenRow = {
  token_hash: Uint8Array;
  device_id: DeviceId;
  expires_ts: number | null;
  pair_hash: Uint8Array | null;
  parent_hash: Uint8Array | null;
  used_ts: number | null;
  spent_ts: number | null;
};
type GrantRow = TokenRow & {
  last_seen_ts: number;
  is_admin: number;
  is_guest: number;
  is_deactivated: number;
  is_locked: number;
};

const columns = "token_hash, device_id, expires_ts, pair_hash, parent_hash, used_ts, spent_ts";

/** SQL of the table `tokens`. */
export class TokensReader {
  protected readonly sql: Sql;

  constructor(sql: Sql) {
    this.sql = sql;
  }

  findAccess(hash: Uint8Array): AccessGrant | null {
    const row = this.sql.one<GrantRow>(
      `SELECT token_hash, t.device_id, expires_ts, pair_hash, parent_hash, used_ts, spent_ts,
         last_seen_ts, is_admin, is_guest, is_deactivated, is_locked
       FROM tokens t JOIN devices d ON d.device_id = t.device_id JOIN account ON account.id = 1
       WHERE token_hash = ? AND kind = 'access'`,
      hash,
    );
    if (row === null) return null;
    return {
      ...tokenOf(row),
      lastSeenTs: row.last_seen_ts,
      isAdmin: row.is_admin === 1,
      isGuest: row.is_guest === 1,
      isDeactivated: row.is_deactivated === 1,
      isLocked: row.is_locked === 1,
    };
  }

  findRefresh(hash: Uint8Array): StoredToken | null {
    const query = `SELECT ${columns} FROM tokens WHERE token_hash = ? AND kind = 'refresh'`;
    const row = this.sql.one<TokenRow>(query, hash);
    return row === null ? null : tokenOf(row);
  }
}

/** Exists only inside a transaction. */
export class TokensWriter extends TokensReader {
  insert(token: {
    hash: Uint8Array;
    kind: TokenKind;
    deviceId: DeviceId;
    createdTs: number;
    expiresTs: number | null;
    pairHash: Uint8Array | null;
    parentHash: Uint8Array | null;
  }): void {
    this.sql.run(
      `INSERT INTO tokens (token_hash, kind, device_id, created_ts, expires_ts, pair_hash, parent_hash)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
      token.hash,
      token.kind,
      token.deviceId,
      token.createdTs,
      token.expiresTs,
      token.pairHash,
      token.parentHash,
    );
  }

  /** Records the first use of a pair that a refresh made, and spends the refresh token that made it. */
  markUsed(token: StoredToken, now: number): void {
    const { deviceId, pairHash } = token;
    this.sql.run("UPDATE tokens SET used_ts = ? WHERE device_id = ? AND pair_hash = ?", now, deviceId, pairHash);
    const query = "UPDATE tokens SET spent_ts = ? WHERE token_hash = ? AND spent_ts IS NULL";
    this.sql.run(query, now, token.parentHash);
  }

  deleteOfDevice(deviceId: DeviceId): void {
    this.sql.run("DELETE FROM tokens WHERE device_id = ?", deviceId);
  }

  /**
   * Drops what a device no longer needs: spent and expired tokens from before `forgottenBefore`, and tokens that nobody
   * used although the refresh token that made them was spent before `spentBefore`. Times in ms since epoch.
   */
  trim(deviceId: DeviceId, horizon: { spentBefore: number; forgottenBefore: number }): void {
    this.sql.run(
      "DELETE FROM tokens WHERE device_id = ? AND (spent_ts < ? OR (kind = 'access' AND expires_ts < ?))",
      deviceId,
      horizon.forgottenBefore,
      horizon.forgottenBefore,
    );
    this.sql.run(
      `DELETE FROM tokens WHERE device_id = ?1 AND used_ts IS NULL AND parent_hash IN (
         SELECT token_hash FROM tokens WHERE device_id = ?1 AND spent_ts < ?2)`,
      deviceId,
      horizon.spentBefore,
    );
  }

  /** Drops all but the `kept` newest pairs that a refresh token made and nobody has used. */
  trimUnused(deviceId: DeviceId, parentHash: Uint8Array, kept: number): void {
    this.sql.run(
      `DELETE FROM tokens WHERE token_hash IN (
         SELECT token_hash FROM tokens WHERE device_id = ? AND parent_hash = ? AND used_ts IS NULL
         ORDER BY created_ts DESC LIMIT -1 OFFSET ?)`,
      deviceId,
      parentHash,
      kept * 2,
    );
  }
}

function tokenOf(row: TokenRow): StoredToken {
  return {
    hash: row.token_hash,
    deviceId: row.device_id,
    expiresTs: row.expires_ts,
    pairHash: row.pair_hash,
    parentHash: row.parent_hash,
    usedTs: row.used_ts,
    spentTs: row.spent_ts,
  };
}
