import type { Sql } from "../../../schema/sql.ts";
import { type JsonObject, parseStoredObject } from "../../../shared/json.ts";

/** The user's account, without its profile. */
export interface Account {
  /** PHC string; null: no login with a password. */
  passwordHash: string | null;
  isAdmin: boolean;
  isGuest: boolean;
  isDeactivated: boolean;
  isLocked: boolean;
}

type AccountRow = {
  password_hash: string | null;
  is_admin: number;
  is_guest: number;
  is_deactivated: number;
  is_locked: number;
};

/** SQL of the table `account`. */
export class AccountReader {
  protected readonly sql: Sql;

  constructor(sql: Sql) {
    this.sql = sql;
  }

  /** Null until the user registers. */
  find(): Account | null {
    const row = this.sql.one<AccountRow>(
      "SELECT password_hash, is_admin, is_guest, is_deactivated, is_locked FROM account WHERE id = 1",
    );
    if (row === null) return null;
    return {
      passwordHash: row.password_hash,
      isAdmin: row.is_admin === 1,
      isGuest: row.is_guest === 1,
      isDeactivated: row.is_deactivated === 1,
      isLocked: row.is_locked === 1,
    };
  }

  /** The profile of an active account; null when there is none. */
  findProfile(): { fields: JsonObject; version: number } | null {
    const row = this.sql.one<{ profile: string; profile_version: number }>(
      "SELECT profile, profile_version FROM account WHERE id = 1 AND is_deactivated = 0",
    );
    return row === null ? null : { fields: parseStoredObject(row.profile), version: row.profile_version };
  }

  /** How often the profile has changed; 0 before there is an account. */
  profileVersion(): number {
    const query = "SELECT profile_version FROM account WHERE id = 1";
    return this.sql.one<{ profile_version: number }>(query)?.profile_version ?? 0;
  }
}

/** Exists only inside a transaction. */
export class AccountWriter extends AccountReader {
  insert(account: { passwordHash: string | null; createdTs: number; isAdmin: boolean; profile: JsonObject }): void {
    this.sql.run(
      "INSERT INTO account (id, password_hash, created_ts, is_admin, profile) VALUES (1, ?, ?, ?, ?)",
      account.passwordHash,
      account.createdTs,
      account.isAdmin ? 1 : 0,
      JSON.stringify(account.profile),
    );
  }

  setPasswordHash(passwordHash: string): void {
    this.sql.run("UPDATE account SET password_hash = ? WHERE id = 1", passwordHash);
  }

  setProfile(fields: JsonObject): void {
    const query = "UPDATE account SET profile = ?, profile_version = profile_version + 1 WHERE id = 1";
    this.sql.run(query, JSON.stringify(fields));
  }

  /**
   * A time for the create event of a new room: now, but later than that of every earlier one. From room version 12 on a
   * room's id is its create event's hash, and two rooms made in the same millisecond would be one.
   */
  nextRoomTs(now: number): number | null {
    const query = "UPDATE account SET last_room_ts = MAX(?, last_room_ts + 1) WHERE id = 1 RETURNING last_room_ts";
    return this.sql.one<{ last_room_ts: number }>(query, now)?.last_room_ts ?? null;
  }

  /** The name stays taken forever; what proved or described the user is gone. */
  deactivate(isErased: boolean): void {
    this.sql.run(
      `UPDATE account SET password_hash = NULL, profile = '{}', profile_version = profile_version + 1,
         is_admin = 0, is_deactivated = 1, is_erased = MAX(is_erased, ?) WHERE id = 1`,
      isErased ? 1 : 0,
    );
  }
}
