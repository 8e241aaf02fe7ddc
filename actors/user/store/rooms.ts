import type { Sql } from "../../../schema/sql.ts";
import type { RoomId } from "../../../shared/ids.ts";
import type { Membership } from "../../../shared/rpc/room.ts";

/** What the user's actor knows of one of its rooms. */
export interface UserRoom {
  roomNid: number;
  roomId: RoomId;
  membership: Membership;
  /** Room position at which the membership began. */
  membershipPosition: number;
  /** Newest room position that a wake spoke of. */
  headHint: number;
  /** Room position that an answer to this user has read for certain. */
  headKnown: number;
}

/** A room, and how far a sync token has read it: null if the token has never been given it. */
export interface RoomRead extends UserRoom {
  readPosition: number | null;
}

/** A room that the user has left and forgotten. */
export interface ForgottenRoom {
  roomNid: number;
  roomId: RoomId;
  /** Room position at which the user left. */
  membershipPosition: number;
}

type ForgottenRow = { room_nid: number; room_id: RoomId; membership_position: number };

type RoomRow = {
  room_nid: number;
  room_id: RoomId;
  membership: Membership;
  membership_position: number;
  head_hint: number;
  head_known: number;
};

const columns = "room_nid, room_id, membership, membership_position, head_hint, head_known";
const forgottenColumns = "room_nid, room_id, membership_position";
/** Up to where the token at a position has read the room of a table. */
const readPosition = (table: string): string =>
  `(SELECT room_position FROM room_reads WHERE room_reads.room_nid = ${table}.room_nid AND token_position <= ?
    ORDER BY token_position DESC LIMIT 1) AS read_position`;

/** SQL of the tables `rooms`, `forgotten_rooms` and `room_reads`. */
export class RoomsReader {
  protected readonly sql: Sql;

  constructor(sql: Sql) {
    this.sql = sql;
  }

  find(roomId: RoomId): UserRoom | null {
    const row = this.sql.one<RoomRow>(`SELECT ${columns} FROM rooms WHERE room_id = ?`, roomId);
    return row === null ? null : roomOf(row);
  }

  withMembership(membership: Membership): RoomId[] {
    const query = "SELECT room_id FROM rooms WHERE membership = ? ORDER BY room_nid";
    return this.sql.all<{ room_id: RoomId }>(query, membership).map((row) => row.room_id);
  }

  /** Whether some room has spoken of more than any answer has read. */
  isAnyBehind(): boolean {
    const query = "SELECT EXISTS (SELECT 1 FROM rooms WHERE head_hint > head_known) AS is_behind";
    return this.sql.one<{ is_behind: number }>(query)?.is_behind === 1;
  }

  /** Every room, with how far the token at `tokenPosition` has read it. */
  readsAt(tokenPosition: number): RoomRead[] {
    return this.sql
      .all<RoomRow & { read_position: number | null }>(
        `SELECT ${columns}, ${readPosition("rooms")} FROM rooms ORDER BY room_nid`,
        tokenPosition,
      )
      .map((row) => ({ ...roomOf(row), readPosition: row.read_position }));
  }

  findForgotten(roomId: RoomId): ForgottenRoom | null {
    const row = this.sql.one<ForgottenRow>(`SELECT ${forgottenColumns} FROM forgotten_rooms WHERE room_id = ?`, roomId);
    return row === null ? null : forgottenOf(row);
  }

  /** Every room that was forgotten after a position of the user's stream, with how far the token at `tokenPosition` has read it. */
  forgottenAfter(position: number, tokenPosition: number): RoomRead[] {
    return this.sql
      .all<ForgottenRow & { read_position: number | null }>(
        `SELECT ${forgottenColumns}, ${readPosition("forgotten_rooms")} FROM forgotten_rooms WHERE forgotten_at > ?
         ORDER BY room_nid`,
        tokenPosition,
        position,
      )
      .map((row) => {
        const room = forgottenOf(row);
        const head = room.membershipPosition;
        return { ...room, membership: "leave", headHint: head, headKnown: head, readPosition: row.read_position };
      });
  }

  /** How far the token at `tokenPosition` has read one room; null if it has never been given it. */
  findRead(roomId: RoomId, tokenPosition: number): number | null {
    const row = this.sql.one<{ room_position: number }>(
      `SELECT room_position FROM room_reads JOIN rooms USING (room_nid)
       WHERE room_id = ? AND token_position <= ? ORDER BY token_position DESC LIMIT 1`,
      roomId,
      tokenPosition,
    );
    return row?.room_position ?? null;
  }
}

/** Exists only inside a transaction. */
export class RoomsWriter extends RoomsReader {
  /** A number for a room that has none yet. Rooms that are forgotten keep theirs, by which tokens know them. */
  newNid(): number {
    const query = `SELECT MAX(COALESCE((SELECT MAX(room_nid) FROM rooms), 0),
      COALESCE((SELECT MAX(room_nid) FROM forgotten_rooms), 0)) AS newest`;
    return 1 + (this.sql.one<{ newest: number }>(query)?.newest ?? 0);
  }

  insert(room: Omit<UserRoom, "roomNid" | "headKnown">): void {
    this.sql.run(
      `INSERT INTO rooms (${columns}) VALUES (?, ?, ?, ?, ?, 0)`,
      this.newNid(),
      room.roomId,
      room.membership,
      room.membershipPosition,
      room.headHint,
    );
  }

  /** Takes a room off the list. `forgottenAt`: position in the user's stream that no token has yet that has not been told. */
  forget({ roomNid, roomId, membershipPosition }: ForgottenRoom, forgottenAt: number): void {
    this.sql.run(
      `INSERT OR REPLACE INTO forgotten_rooms (${forgottenColumns}, forgotten_at) VALUES (?, ?, ?, ?)`,
      roomNid,
      roomId,
      membershipPosition,
      forgottenAt,
    );
    this.sql.run("DELETE FROM rooms WHERE room_nid = ?", roomNid);
  }

  /** Some token from before `forgottenAt` has not been told that the user left. */
  setForgottenAt(roomNid: number, forgottenAt: number): void {
    this.sql.run("UPDATE forgotten_rooms SET forgotten_at = ? WHERE room_nid = ?", forgottenAt, roomNid);
  }

  /** Puts a forgotten room on the list again. */
  recall(room: UserRoom): void {
    this.sql.run("DELETE FROM forgotten_rooms WHERE room_nid = ?", room.roomNid);
    this.sql.run(
      `INSERT INTO rooms (${columns}) VALUES (?, ?, ?, ?, ?, ?)`,
      room.roomNid,
      room.roomId,
      room.membership,
      room.membershipPosition,
      room.headHint,
      room.headKnown,
    );
  }

  update(room: UserRoom): void {
    this.sql.run(
      "UPDATE rooms SET membership = ?, membership_position = ?, head_hint = ?, head_known = ? WHERE room_nid = ?",
      room.membership,
      room.membershipPosition,
      room.headHint,
      room.headKnown,
      room.roomNid,
    );
  }

  insertRead(read: { roomNid: number; tokenPosition: number; roomPosition: number }): void {
    this.sql.run(
      `INSERT INTO room_reads (room_nid, token_position, room_position) VALUES (?, ?, ?)
       ON CONFLICT (room_nid, token_position) DO UPDATE SET room_position = excluded.room_position`,
      read.roomNid,
      read.tokenPosition,
      read.roomPosition,
    );
  }

  /** Drops what only tokens before `horizon` could still ask for. Such a token is given those rooms anew. */
  trimReads(horizon: number): void {
    this.sql.run(
      `DELETE FROM room_reads WHERE token_position < ?1 AND EXISTS (
         SELECT 1 FROM room_reads AS newer WHERE newer.room_nid = room_reads.room_nid
         AND newer.token_position > room_reads.token_position AND newer.token_position <= ?1)`,
      horizon,
    );
  }
}

function forgottenOf(row: ForgottenRow): ForgottenRoom {
  return { roomNid: row.room_nid, roomId: row.room_id, membershipPosition: row.membership_position };
}

function roomOf(row: RoomRow): UserRoom {
  return {
    roomNid: row.room_nid,
    roomId: row.room_id,
    membership: row.membership,
    membershipPosition: row.membership_position,
    headHint: row.head_hint,
    headKnown: row.head_known,
  };
}
