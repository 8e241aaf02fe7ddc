import type { Sql } from "../../../schema/sql.ts";
import type { EventId, ServerName, UserId } from "../../../shared/ids.ts";
import { isObject, type JsonObject, parseStored } from "../../../shared/json.ts";
import type { Membership } from "../../../shared/rpc/room.ts";
import type { PduText } from "../../../shared/rpc/room-peers.ts";

/** A local user's membership in a room that this server is not in. */
export interface OutsideMembership {
  readonly userId: UserId;
  readonly membership: Exclude<Membership, "join">;
  /** In the room's stream. */
  readonly position: number;
  readonly roomVersion: string;
  /** Whom to ask about the room. */
  readonly server: ServerName;
  readonly eventId: EventId;
  readonly pdu: PduText;
  /** Stripped events that describe the room. */
  readonly strippedState: JsonObject[];
  /** The user has forgotten the room since. */
  readonly isForgotten: boolean;
}

type OutsideRow = {
  user_id: UserId;
  membership: OutsideMembership["membership"];
  position: number;
  room_version: string;
  server_name: ServerName;
  event_id: EventId;
  pdu: string;
  stripped_state: string;
  is_forgotten: number;
};

const written = "user_id, membership, position, room_version, server_name, event_id, pdu, stripped_state";
const columns = `${written}, is_forgotten`;

/** SQL of the table `outside_memberships`. Writing methods are for use inside a transaction only. */
export class OutsideStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  find(userId: UserId): OutsideMembership | null {
    const row = this.#sql.one<OutsideRow>(`SELECT ${columns} FROM outside_memberships WHERE user_id = ?`, userId);
    return row === null ? null : outsideOf(row);
  }

  /** Those whose users have not been told of them. */
  untold(limit: number): OutsideMembership[] {
    const query = `SELECT ${columns} FROM outside_memberships WHERE is_told = 0 LIMIT ?`;
    return this.#sql.all<OutsideRow>(query, limit).map(outsideOf);
  }

  /** The newest position of them all; 0: there are none. */
  newestPosition(): number {
    const query = "SELECT COALESCE(MAX(position), 0) AS position FROM outside_memberships";
    return this.#sql.one<{ position: number }>(query)?.position ?? 0;
  }

  /** Sets a user's membership; a new one means that the room is not forgotten. */
  put(outside: Omit<OutsideMembership, "isForgotten">): void {
    this.#sql.run(
      `INSERT OR REPLACE INTO outside_memberships (${written}, is_told) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)`,
      outside.userId,
      outside.membership,
      outside.position,
      outside.roomVersion,
      outside.server,
      outside.eventId,
      outside.pdu,
      JSON.stringify(outside.strippedState),
    );
  }

  setTold({ userId, position }: Pick<OutsideMembership, "userId" | "position">): void {
    this.#sql.run("UPDATE outside_memberships SET is_told = 1 WHERE user_id = ? AND position = ?", userId, position);
  }

  forget(userId: UserId): void {
    this.#sql.run("UPDATE outside_memberships SET is_forgotten = 1 WHERE user_id = ?", userId);
  }

  delete(userId: UserId): void {
    this.#sql.run("DELETE FROM outside_memberships WHERE user_id = ?", userId);
  }
}

function outsideOf(row: OutsideRow): OutsideMembership {
  const stripped = parseStored(row.stripped_state);
  return {
    userId: row.user_id,
    membership: row.membership,
    position: row.position,
    roomVersion: row.room_version,
    server: row.server_name,
    eventId: row.event_id,
    pdu: row.pdu,
    strippedState: Array.isArray(stripped) ? stripped.filter(isObject) : [],
    isForgotten: row.is_forgotten === 1,
  };
}
