import type { Sql } from "../../../schema/sql.ts";
import { type RoomId, trusted } from "../../../shared/ids.ts";
import { parseStored } from "../../../shared/json.ts";

/** A room as far as it concerns the server. */
export interface OutboundRoom {
  readonly roomId: RoomId;
  /** Room position up to which the server has been given everything. */
  readonly position: number;
  /** Newest room position that the room spoke of. */
  readonly head: number;
}

/** An EDU that must arrive, as JSON text. */
export interface StoredEdu {
  readonly eduNid: number;
  readonly eduId: string;
  readonly json: string;
}

/** What of a room is in a transaction. */
export interface RoomRange {
  readonly roomId: RoomId;
  readonly since: number;
  readonly through: number;
}

/** A transaction that the server has not confirmed yet. Its content is what its ranges give. */
export interface PendingTransaction {
  readonly txnId: string;
  readonly rooms: readonly RoomRange[];
  /** The last stored EDU in it. */
  readonly eduThrough: number;
  /** Events and stored EDUs in it. */
  readonly items: number;
  /** ms since epoch; null: it is not on its way. */
  readonly sentTs: number | null;
}

/** How it stands with delivering. */
export interface OutboxState {
  readonly transaction: PendingTransaction | null;
  /** Items of the next transactions, at most; null: as many as are allowed. */
  readonly maxItems: number | null;
  readonly failures: number;
  /** ms since epoch: not before is anything sent */
  readonly retryTs: number;
  readonly earlyTries: number;
  /** ms since epoch: not before does it count again that the server speaks to us */
  readonly earlyTs: number;
}

type OutboxRow = {
  txn_id: string | null;
  rooms: string;
  edu_through: number;
  items: number;
  sent_ts: number | null;
  max_items: number | null;
  failures: number;
  retry_ts: number;
  early_tries: number;
  early_ts: number;
};

type RoomRow = { room_id: RoomId; position: number; head: number };
type EduRow = { edu_nid: number; edu_id: string; json: string };

const atFirst: OutboxState = {
  transaction: null,
  maxItems: null,
  failures: 0,
  retryTs: 0,
  earlyTries: 0,
  earlyTs: 0,
};

/** SQL of the tables `outbound_rooms`, `outbound_edus` and `outbox`. */
export class OutboxReader {
  protected readonly sql: Sql;

  constructor(sql: Sql) {
    this.sql = sql;
  }

  state(): OutboxState {
    const row = this.sql.one<OutboxRow>(
      `SELECT txn_id, rooms, edu_through, items, sent_ts, max_items, failures, retry_ts, early_tries, early_ts
       FROM outbox WHERE id = 1`,
    );
    return row === null ? atFirst : stateOf(row);
  }

  findRoom(roomId: RoomId): OutboundRoom | null {
    const query = "SELECT room_id, position, head FROM outbound_rooms WHERE room_id = ?";
    const row = this.sql.one<RoomRow>(query, roomId);
    return row === null ? null : roomOf(row);
  }

  /** Rooms of which the server is sent something, in no order that matters. */
  someRooms(limit: number): RoomId[] {
    const query = "SELECT room_id FROM outbound_rooms LIMIT +?";
    return this.sql.all<{ room_id: RoomId }>(query, limit).map((row) => row.room_id);
  }

  /** Rooms in which something may wait, by room id, a batch at a time. */
  roomsBehind(after: string, limit: number): OutboundRoom[] {
    return this.sql
      .all<RoomRow>(
        `SELECT room_id, position, head FROM outbound_rooms INDEXED BY outbound_rooms_behind
         WHERE head > position AND room_id > ? ORDER BY room_id LIMIT +?`,
        after,
        limit,
      )
      .map(roomOf);
  }

  /** Whether anything may wait for the server. */
  isAnythingOwed(): boolean {
    return this.roomsBehind("", 1).length > 0 || this.edus(0, 1).length > 0;
  }

  /** EDUs behind a number, oldest first. */
  edus(after: number, limit: number): StoredEdu[] {
    return this.sql
      .all<EduRow>(
        "SELECT edu_nid, edu_id, json FROM outbound_edus WHERE edu_nid > ? ORDER BY edu_nid LIMIT +?",
        after,
        limit,
      )
      .map((row) => ({ eduNid: row.edu_nid, eduId: row.edu_id, json: row.json }));
  }

  /** How many EDUs wait, and their size. Reads as many rows as there are. */
  eduTotals(): { count: number; size: number } {
    const query = "SELECT COUNT(*) AS count, COALESCE(SUM(size), 0) AS size FROM outbound_edus";
    return this.sql.one<{ count: number; size: number }>(query) ?? { count: 0, size: 0 };
  }

  hasEdu(eduId: string): boolean {
    return this.sql.one<{ found: number }>("SELECT 1 AS found FROM outbound_edus WHERE edu_id = ?", eduId) !== null;
  }
}

/** Exists only inside a transaction. */
export class OutboxWriter extends OutboxReader {
  setState(state: OutboxState): void {
    const { transaction } = state;
    const rooms = (transaction?.rooms ?? []).map(({ roomId, since, through }) => [roomId, since, through]);
    this.sql.run(
      `INSERT INTO outbox (id, txn_id, rooms, edu_through, items, sent_ts, max_items, failures, retry_ts, early_tries, early_ts)
       VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET txn_id = excluded.txn_id, rooms = excluded.rooms, edu_through = excluded.edu_through,
         items = excluded.items, sent_ts = excluded.sent_ts, max_items = excluded.max_items, failures = excluded.failures,
         retry_ts = excluded.retry_ts, early_tries = excluded.early_tries, early_ts = excluded.early_ts`,
      transaction?.txnId ?? null,
      JSON.stringify(rooms),
      transaction?.eduThrough ?? 0,
      transaction?.items ?? 0,
      transaction?.sentTs ?? null,
      state.maxItems,
      state.failures,
      state.retryTs,
      state.earlyTries,
      state.earlyTs,
    );
  }

  insertRoom({ roomId, position, head }: OutboundRoom): void {
    this.sql.run("INSERT INTO outbound_rooms (room_id, position, head) VALUES (?, ?, ?)", roomId, position, head);
  }

  /** The room has something up to `head`. */
  raiseHead(roomId: RoomId, head: number): void {
    this.sql.run("UPDATE outbound_rooms SET head = ?1 WHERE room_id = ?2 AND head < ?1", head, roomId);
  }

  /** The server has everything of the room up to `position`. */
  advance(roomId: RoomId, position: number): void {
    this.sql.run("UPDATE outbound_rooms SET position = ?1 WHERE room_id = ?2 AND position < ?1", position, roomId);
  }

  /**
   * The room has nothing after `position`. Its head may have been put higher, when the room spoke up in the middle of a
   * question; left there, it would hide the next wake.
   */
  catchUp(roomId: RoomId, position: number): void {
    const query = "UPDATE outbound_rooms SET position = MAX(position, ?1), head = MAX(position, ?1) WHERE room_id = ?2";
    this.sql.run(query, position, roomId);
  }

  deleteRoom(roomId: RoomId): void {
    this.sql.run("DELETE FROM outbound_rooms WHERE room_id = ?", roomId);
  }

  /** @returns the size of what is stored. */
  insertEdu(eduId: string, json: string): number {
    this.sql.run("INSERT INTO outbound_edus (edu_id, size, json) VALUES (?, ?, ?)", eduId, json.length, json);
    return json.length;
  }

  deleteEdusThrough(eduNid: number): void {
    this.sql.run("DELETE FROM outbound_edus WHERE edu_nid <= ?", eduNid);
  }

  deleteEdu(eduNid: number): void {
    this.sql.run("DELETE FROM outbound_edus WHERE edu_nid = ?", eduNid);
  }

  /** Deletes the oldest EDU. @returns its size; null when there is none. */
  deleteOldestEdu(): number | null {
    const query = "DELETE FROM outbound_edus WHERE edu_nid = (SELECT MIN(edu_nid) FROM outbound_edus) RETURNING size";
    return this.sql.one<{ size: number }>(query)?.size ?? null;
  }
}

function roomOf(row: RoomRow): OutboundRoom {
  return { roomId: row.room_id, position: row.position, head: row.head };
}

function stateOf(row: OutboxRow): OutboxState {
  const { txn_id: txnId, edu_through: eduThrough, items, sent_ts: sentTs } = row;
  return {
    transaction: txnId === null ? null : { txnId, rooms: rangesOf(row.rooms), eduThrough, items, sentTs },
    maxItems: row.max_items,
    failures: row.failures,
    retryTs: row.retry_ts,
    earlyTries: row.early_tries,
    earlyTs: row.early_ts,
  };
}

function rangesOf(json: string): RoomRange[] {
  const stored = parseStored(json);
  if (!Array.isArray(stored)) throw new Error("the stored transaction is malformed");
  return stored.map((entry) => {
    const [roomId, since, through] = Array.isArray(entry) ? entry : [];
    if (typeof roomId !== "string" || typeof since !== "number" || typeof through !== "number") {
      throw new Error("the stored transaction is malformed");
    }
    return { roomId: trusted.roomId(roomId), since, through };
  });
}
