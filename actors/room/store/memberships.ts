import type { Sql } from "../../../schema/sql.ts";
import type { ServerName, UserId } from "../../../shared/ids.ts";
import type { Membership } from "../../../shared/rpc/room.ts";

/** A user's current membership. */
export interface MembershipRecord {
  readonly userId: UserId;
  readonly membership: Membership;
  /** The member event. */
  readonly eventNid: number;
  readonly streamPosition: number;
  /** A user of this server. */
  readonly isLocal: boolean;
  /** The user left and asked to forget the room. */
  readonly isForgotten: boolean;
}

type MembershipRow = {
  user_id: UserId;
  membership: Membership;
  event_nid: number;
  stream_position: number;
  is_local: number;
  is_forgotten: number;
};

const columns = "user_id, membership, event_nid, stream_position, is_local, is_forgotten";

/** SQL of the table `room_memberships`. */
export class MembershipsReader {
  protected readonly sql: Sql;

  constructor(sql: Sql) {
    this.sql = sql;
  }

  /** Null: the user has no member event here. */
  find(userId: UserId): MembershipRecord | null {
    const row = this.sql.one<MembershipRow>(`SELECT ${columns} FROM room_memberships WHERE user_id = ?`, userId);
    return row === null ? null : recordOf(row);
  }

  /** Whether the user is joined now. */
  isJoined(userId: UserId): boolean {
    return this.find(userId)?.membership === "join";
  }

  /** Users of a membership whose id is greater than `after`, by user id, a batch at a time. */
  withMembership(membership: Membership, after: string, limit: number): MembershipRecord[] {
    return this.sql
      .all<MembershipRow>(
        `SELECT ${columns} FROM room_memberships WHERE membership = ? AND user_id > ? ORDER BY user_id LIMIT +?`,
        membership,
        after,
        limit,
      )
      .map(recordOf);
  }

  /** Joined users of this server, by user id, a batch at a time. */
  localJoined(after: string, limit: number): MembershipRecord[] {
    return this.sql
      .all<MembershipRow>(
        `SELECT ${columns} FROM room_memberships WHERE is_local = 1 AND membership = 'join' AND user_id > ?
         ORDER BY user_id LIMIT +?`,
        after,
        limit,
      )
      .map(recordOf);
  }

  /** Whether a user of a server is invited. */
  isAnyInvited(server: ServerName): boolean {
    const query = `SELECT 1 AS found FROM room_memberships
      WHERE membership = 'invite' AND substr(user_id, instr(user_id, ':') + 1) = ? LIMIT 1`;
    return this.sql.one<{ found: number }>(query, server) !== null;
  }

  /** The servers of all joined users. */
  joinedServers(): ServerName[] {
    const query = `SELECT DISTINCT substr(user_id, instr(user_id, ':') + 1) AS server_name FROM room_memberships
      WHERE membership = 'join'`;
    return this.sql.all<{ server_name: ServerName }>(query).map((row) => row.server_name);
  }

  /** The first few of the others, by stream position: joined and invited users or, where there are none, those who left. */
  heroes(except: UserId, limit: number): UserId[] {
    const query = (memberships: string): string =>
      `SELECT user_id FROM room_memberships WHERE membership IN (${memberships}) AND user_id <> ?
       ORDER BY stream_position LIMIT +?`;
    const present = this.sql.all<{ user_id: UserId }>(query("'join', 'invite'"), except, limit);
    const rows =
      present.length > 0 ? present : this.sql.all<{ user_id: UserId }>(query("'leave', 'ban'"), except, limit);
    return rows.map((row) => row.user_id);
  }
}

/** Exists only inside a transaction. */
export class MembershipsWriter extends MembershipsReader {
  /** Sets a user's membership; a new one means that the room is not forgotten. */
  put(record: Omit<MembershipRecord, "isForgotten">): void {
    this.sql.run(
      `INSERT INTO room_memberships (user_id, membership, event_nid, stream_position, is_local) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (user_id) DO UPDATE SET membership = excluded.membership, event_nid = excluded.event_nid,
         stream_position = excluded.stream_position, is_forgotten = 0`,
      record.userId,
      record.membership,
      record.eventNid,
      record.streamPosition,
      record.isLocal ? 1 : 0,
    );
  }

  forget(userId: UserId): void {
    this.sql.run("UPDATE room_memberships SET is_forgotten = 1 WHERE user_id = ?", userId);
  }
}

function recordOf(row: MembershipRow): MembershipRecord {
  return {
    userId: row.user_id,
    membership: row.membership,
    eventNid: row.event_nid,
    streamPosition: row.stream_position,
    isLocal: row.is_local === 1,
    isForgotten: row.is_forgotten === 1,
  };
}
