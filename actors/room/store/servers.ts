import type { Sql } from "../../../schema/sql.ts";
import type { EventId, ServerName, UserId } from "../../../shared/ids.ts";
import type { RoomCaches } from "./cache.ts";

/** A time for which another server was in the room. */
export interface ServerStay {
  readonly server: ServerName;
  /** What comes after this position is for the server. */
  readonly since: number;
  /** The last position that is for the server; null: it is in the room. */
  readonly until: number | null;
  /** Now or, where the stay is over, before the last of them left. None: a single event was for the server. */
  readonly joinedMembers: number;
}

/** An event that this server sends to the others. */
export interface OutboundEvent {
  readonly eventNid: number;
  readonly eventId: EventId;
  readonly streamPosition: number;
  readonly sender: UserId;
  readonly isRedacted: boolean;
  /** The PDU as it was made. */
  readonly json: string;
  /** Only for servers that it has put out of the room, whoever made it. */
  readonly isParting: boolean;
}

type StayRow = {
  server_name: ServerName;
  since_position: number;
  until_position: number | null;
  joined_members: number;
};

type OutboundEventRow = {
  event_nid: number;
  event_id: EventId;
  stream_position: number;
  sender: UserId;
  redacted_by: EventId | null;
  json: string;
  only_until: number | null;
};

const columns = "server_name, since_position, until_position, joined_members";

/** Stays that are over, kept for one server at most: the newest. */
const maxPastStays = 4;

/** SQL of the tables `room_servers` and `outbound_events`. */
export class ServersReader {
  protected readonly sql: Sql;
  protected readonly caches: RoomCaches;

  constructor(sql: Sql, caches: RoomCaches) {
    this.sql = sql;
    this.caches = caches;
  }

  /** The server's present stay; null: none of its users is joined. Knows nothing of our own server. */
  findStay(server: ServerName): ServerStay | null {
    const query = `SELECT ${columns} FROM room_servers WHERE server_name = ? AND until_position IS NULL`;
    const row = this.sql.one<StayRow>(query, server);
    return row === null ? null : stayOf(row);
  }

  /** Whether another server has a joined user. */
  isIn(server: ServerName): boolean {
    return this.findStay(server) !== null;
  }

  /** When the server was in the room for the last time, if it is not any more; null: it is, or never was. */
  findPastStay(server: ServerName): ServerStay | null {
    const stay = this.staysOf(server).findLast(({ until, joinedMembers }) => until === null || joinedMembers > 0);
    return stay === undefined || stay.until === null ? null : stay;
  }

  /** Whether any other server is in the room. */
  isAnyIn(): boolean {
    this.caches.isAnyServerIn ??=
      this.sql.one<{ found: number }>(`SELECT 1 AS found FROM room_servers ${isNow} LIMIT 1`) !== null;
    return this.caches.isAnyServerIn;
  }

  /** Other servers that are in the room, by name, a batch at a time. */
  inRoom(after: string, limit: number): ServerName[] {
    const query = `SELECT server_name FROM room_servers ${isNow} AND server_name > ? ORDER BY server_name LIMIT +?`;
    return this.sql.all<{ server_name: ServerName }>(query, after, limit).map((row) => row.server_name);
  }

  /** Servers that are in the room, those first that have been for longest, and have the most members. */
  longestIn(limit: number): ServerName[] {
    const query = `SELECT server_name FROM room_servers ${isNow} ORDER BY since_position, joined_members DESC LIMIT +?`;
    return this.sql.all<{ server_name: ServerName }>(query, limit).map((row) => row.server_name);
  }

  /** All times that the server was in the room and may not have been given everything of, oldest first. */
  staysOf(server: ServerName): ServerStay[] {
    const query = `SELECT ${columns} FROM room_servers WHERE server_name = ? ORDER BY since_position`;
    return this.sql.all<StayRow>(query, server).map(stayOf);
  }

  /** Events that this server sends for a stay, with `after` < position ≤ `through`, oldest first. */
  outbound(
    { until }: ServerStay,
    { after, through }: { after: number; through: number },
    limit: number,
  ): OutboundEvent[] {
    return this.sql
      .all<OutboundEventRow>(
        `SELECT e.event_nid, e.event_id, o.stream_position, o.only_until, e.sender, e.redacted_by, e.json
         FROM outbound_events o CROSS JOIN events e USING (event_nid)
         WHERE o.stream_position > ? AND o.stream_position <= ? AND (o.only_until IS NULL OR o.only_until = ?)
         ORDER BY o.stream_position LIMIT +?`,
        after,
        through,
        until,
        limit,
      )
      .map((row) => ({
        eventNid: row.event_nid,
        eventId: row.event_id,
        streamPosition: row.stream_position,
        sender: row.sender,
        isRedacted: row.redacted_by !== null,
        json: row.json,
        isParting: row.only_until !== null,
      }));
  }
}

const isNow = "INDEXED BY room_servers_now WHERE until_position IS NULL";

/** Exists only inside a transaction. */
export class ServersWriter extends ServersReader {
  /** The server's first users have joined, by the event at `since`. */
  open(server: ServerName, since: number, joinedMembers: number): void {
    this.#forget();
    this.sql.run(
      `INSERT INTO room_servers (${columns}) VALUES (?, ?, NULL, ?)
       ON CONFLICT (server_name, since_position) DO UPDATE SET until_position = NULL, joined_members = excluded.joined_members`,
      server,
      since,
      joinedMembers,
    );
    this.sql.run(
      `DELETE FROM room_servers WHERE server_name = ?1 AND since_position < (
         SELECT since_position FROM room_servers WHERE server_name = ?1 ORDER BY since_position DESC LIMIT 1 OFFSET +?2)`,
      server,
      maxPastStays,
    );
  }

  /** Notes that this server sends an event to the others. */
  insertOutbound(streamPosition: number, eventNid: number): void {
    this.sql.run("INSERT INTO outbound_events (stream_position, event_nid) VALUES (?, ?)", streamPosition, eventNid);
  }

  /** The same of an event that another server has sent, if it is not noted yet. */
  includeOutbound(streamPosition: number, eventNid: number): void {
    const query = "INSERT OR IGNORE INTO outbound_events (stream_position, event_nid) VALUES (?, ?)";
    this.sql.run(query, streamPosition, eventNid);
  }

  /** Notes an event that is sent only to the servers that have gone out of the room at a position. */
  insertParting(streamPosition: number, eventNid: number, until: number): void {
    const query = "INSERT INTO outbound_events (stream_position, event_nid, only_until) VALUES (?, ?, ?)";
    this.sql.run(query, streamPosition, eventNid, until);
  }

  /** What comes after an earlier position is for the server, too. */
  beginEarlier({ server, since }: ServerStay, earlier: number): void {
    const query = "UPDATE OR IGNORE room_servers SET since_position = ? WHERE server_name = ? AND since_position = ?";
    this.sql.run(query, earlier, server, since);
  }

  /** A stay of one event: one that concerns a user of a server that is not in the room. */
  insertVisit(server: ServerName, position: number): void {
    this.sql.run(`INSERT OR IGNORE INTO room_servers (${columns}) VALUES (?, ?, ?, 0)`, server, position - 1, position);
  }

  setJoinedMembers(stay: ServerStay, joinedMembers: number): void {
    this.sql.run(
      "UPDATE room_servers SET joined_members = ? WHERE server_name = ? AND since_position = ?",
      joinedMembers,
      stay.server,
      stay.since,
    );
  }

  /** The server's last user is out, by the event at `until`. */
  close(stay: ServerStay, until: number): void {
    this.#forget();
    this.sql.run(
      "UPDATE room_servers SET until_position = ? WHERE server_name = ? AND since_position = ?",
      until,
      stay.server,
      stay.since,
    );
  }

  /** What comes until a later position than its end is for the stay, too. */
  endLater(server: ServerName, until: number, later: number): void {
    const query = "UPDATE room_servers SET until_position = ? WHERE server_name = ? AND until_position = ?";
    this.sql.run(query, later, server, until);
  }

  /** Forgets stays of which the server has been given everything, but for the last: it may ask for what it lacks of that. */
  deleteUntil(server: ServerName, position: number): void {
    this.sql.run(
      `DELETE FROM room_servers WHERE server_name = ?1 AND until_position <= ?2 AND (joined_members = 0
         OR since_position < (SELECT max(since_position) FROM room_servers WHERE server_name = ?1 AND joined_members > 0))`,
      server,
      position,
    );
  }

  #forget(): void {
    this.caches.writes += 1;
    this.caches.isAnyServerIn = null;
  }
}

function stayOf(row: StayRow): ServerStay {
  return {
    server: row.server_name,
    since: row.since_position,
    until: row.until_position,
    joinedMembers: row.joined_members,
  };
}
