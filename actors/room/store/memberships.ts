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
  /** Where the membership began: a joined user's member event may be a later one, by which their profile changed. */
  readonly beganPosition: number;
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
  began_position: number;
  is_local: number;
  is_forgotten: number;
};

const columns = `user_id, membership, event_nid, stream_position,
  COALESCE(joined_position, stream_position) AS began_position, is_local, is_forgotten`;

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

  /** Users of this server of whom there is any membership, by user id. */
  local(limit: number): UserId[] {
    const query = "SELECT user_id FROM room_memberships WHERE is_local = 1 ORDER BY user_id LIMIT +?";
    return this.sql.all<{ user_id: UserId }>(query, limit).map((row) => row.user_id);
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
    // By name, so that no query planner ever reads the members of a large room one by one for this.
    const query = (index: string, memberships: string): string =>
      `SELECT user_id FROM room_memberships INDEXED BY ${index} WHERE membership IN (${memberships}) AND user_id <> ?
       ORDER BY stream_position LIMIT +?`;
    const find = (text: string): UserId[] =>
      this.sql.all<{ user_id: UserId }>(text, except, limit).map((row) => row.user_id);
    const present = find(query("room_memberships_present", "'join', 'invite'"));
    return present.length > 0 ? present : find(query("room_memberships_gone", "'leave', 'ban'"));
  }
}

type CountRow = { server_name: ServerName; membership: Membership; count: number };

/** Exists only inside a transaction. */
export class MembershipsWriter extends MembershipsReader {
  /** Notes what the member events of a state say; those that say nothing are left out. */
  noteTold(entries: readonly { stateKeyNid: number; eventNid: number }[]): void {
    this.sql.run(
      `INSERT OR IGNORE INTO told_members (event_nid, state_key_nid, user_id, membership)
       SELECT event_nid, state_key_nid, state_key, membership FROM (
         SELECT e.event_nid, entry.value ->> 0 AS state_key_nid, e.state_key, e.json ->> '$.content.membership' AS membership
         FROM json_each(?) AS entry CROSS JOIN events e ON e.event_nid = entry.value ->> 1)
       WHERE membership IN ('join', 'invite', 'knock', 'leave', 'ban')`,
      JSON.stringify(entries.map(({ stateKeyNid, eventNid }) => [stateKeyNid, eventNid])),
    );
  }

  /** Numbers of the events that are noted. */
  told(): number[] {
    return this.sql.all<{ event_nid: number }>("SELECT event_nid FROM told_members").map((row) => row.event_nid);
  }

  /** How many users of a server are noted with a membership. */
  countTold(): { server: ServerName; membership: Membership; count: number }[] {
    const query = `SELECT substr(user_id, instr(user_id, ':') + 1) AS server_name, membership, COUNT(*) AS count
      FROM told_members GROUP BY 1, 2 ORDER BY 1, 2`;
    return this.sql.all<CountRow>(query).map((row) => ({
      server: row.server_name,
      membership: row.membership,
      count: row.count,
    }));
  }

  /** Forgets what these say. */
  dropTold(eventNids: readonly number[]): void {
    const query = "DELETE FROM told_members WHERE event_nid IN (SELECT value FROM json_each(?))";
    this.sql.run(query, JSON.stringify(eventNids));
  }

  /** Forgets what is told of users who have a membership. @returns the numbers of the events that say so */
  dropToldOfKnown(): number[] {
    const query = `DELETE FROM told_members WHERE user_id IN (SELECT user_id FROM room_memberships) RETURNING event_nid`;
    return this.sql.all<{ event_nid: number }>(query).map((row) => row.event_nid);
  }

  /** Makes what was noted the current state, and forgets it. */
  storeTold(streamPosition: number): void {
    // In the order of the index, which is many times faster.
    this.sql.run(
      `INSERT INTO room_memberships (user_id, membership, event_nid, stream_position, is_local)
       SELECT user_id, membership, event_nid, ?, 0 FROM told_members ORDER BY user_id`,
      streamPosition,
    );
    this.sql.run(
      `INSERT INTO current_state_events (state_key_nid, event_nid)
       SELECT state_key_nid, event_nid FROM told_members WHERE true ORDER BY state_key_nid
       ON CONFLICT (state_key_nid) DO UPDATE SET event_nid = excluded.event_nid`,
    );
    this.forgetTold();
  }

  forgetTold(): void {
    this.sql.run("DELETE FROM told_members");
  }

  /** Sets a user's membership; a new one means that the room is not forgotten. */
  put(record: Omit<MembershipRecord, "beganPosition" | "isForgotten">): void {
    this.sql.run(
      `INSERT INTO room_memberships (user_id, membership, event_nid, stream_position, is_local) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (user_id) DO UPDATE SET membership = excluded.membership, event_nid = excluded.event_nid,
         stream_position = excluded.stream_position, is_forgotten = 0,
         joined_position = CASE WHEN membership = 'join' AND excluded.membership = 'join'
           THEN COALESCE(joined_position, stream_position) END`,
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
    beganPosition: row.began_position,
    isLocal: row.is_local === 1,
    isForgotten: row.is_forgotten === 1,
  };
}
