import type { Sql } from "../../../schema/sql.ts";
import type { RoomId } from "../../../shared/ids.ts";
import type { PduText } from "../../../shared/rpc/room-peers.ts";

/** Answers that are kept. A server sends its next transaction only once it has the answer to the last. */
const slots = 16;

/** A transaction that was answered. */
export interface AnsweredTransaction {
  readonly txnId: string;
  readonly digest: string;
  /** JSON */
  readonly answer: string;
}

/** An event that waits for others. */
export interface WaitingEvent {
  readonly inboxNid: number;
  /** Its event id or, where that is not known, a hash. */
  readonly name: string;
  readonly pdu: PduText;
  readonly tries: number;
  /** ms since epoch; when what it lacks is looked for next */
  readonly dueTs: number;
}

type WaitingRow = { inbox_nid: number; event_id: string; pdu: string; tries: number; due_ts: number };

/** SQL of the tables `inbox_transactions` and `inbox_events`. */
export class InboxReader {
  protected readonly sql: Sql;

  constructor(sql: Sql) {
    this.sql = sql;
  }

  /** The stored answer to a transaction that carried the same under the same id. */
  findAnswer(txnId: string, digest: string): string | null {
    const query = "SELECT answer FROM inbox_transactions WHERE txn_id = ? AND digest = ?";
    return this.sql.one<{ answer: string }>(query, txnId, digest)?.answer ?? null;
  }

  /** The events of a room that wait, in order of arrival. */
  waitingOf(roomId: RoomId): WaitingEvent[] {
    const query =
      "SELECT inbox_nid, event_id, pdu, tries, due_ts FROM inbox_events WHERE room_id = ? ORDER BY inbox_nid";
    return this.sql.all<WaitingRow>(query, roomId).map((row) => ({
      inboxNid: row.inbox_nid,
      name: row.event_id,
      pdu: row.pdu,
      tries: row.tries,
      dueTs: row.due_ts,
    }));
  }

  /** When the first event of a room that waits is due, ms since epoch; null: none waits. */
  findDueTs(roomId: RoomId): number | null {
    const query = "SELECT MIN(due_ts) AS due_ts FROM inbox_events WHERE room_id = ?";
    return this.sql.one<{ due_ts: number | null }>(query, roomId)?.due_ts ?? null;
  }

  isWaiting(inboxNid: number): boolean {
    const query = "SELECT 1 AS found FROM inbox_events WHERE inbox_nid = ?";
    return this.sql.one<{ found: number }>(query, inboxNid) !== null;
  }

  /** The rooms of which events wait, with when the first of them is due, ms since epoch. The earliest first. */
  waitingRooms(): { roomId: RoomId; dueTs: number }[] {
    const query = "SELECT room_id, MIN(due_ts) AS due_ts FROM inbox_events GROUP BY room_id ORDER BY due_ts";
    return this.sql
      .all<{ room_id: RoomId; due_ts: number }>(query)
      .map((row) => ({ roomId: row.room_id, dueTs: row.due_ts }));
  }

  /** How many events wait: of the room, and of all rooms. */
  countWaiting(roomId: RoomId): { ofRoom: number; ofAll: number } {
    const query = `SELECT COUNT(*) AS of_all, COUNT(*) FILTER (WHERE room_id = ?) AS of_room FROM inbox_events`;
    const row = this.sql.one<{ of_all: number; of_room: number }>(query, roomId);
    return { ofRoom: row?.of_room ?? 0, ofAll: row?.of_all ?? 0 };
  }
}

/** Exists only inside a transaction. */
export class InboxWriter extends InboxReader {
  /** Stores an answer in place of the oldest. */
  putAnswer({ txnId, digest, answer }: AnsweredTransaction): void {
    const newest = this.sql.one<{ nid: number | null }>("SELECT MAX(transaction_nid) AS nid FROM inbox_transactions");
    const nid = (newest?.nid ?? 0) + 1;
    this.sql.run(
      `INSERT OR REPLACE INTO inbox_transactions (slot, transaction_nid, txn_id, digest, answer) VALUES (?, ?, ?, ?, ?)`,
      nid % slots,
      nid,
      txnId,
      digest,
      answer,
    );
  }

  /** Stores an event that waits; one that waits already stays as it is. */
  addWaiting(roomId: RoomId, event: Pick<WaitingEvent, "name" | "pdu" | "dueTs">): void {
    this.sql.run(
      "INSERT OR IGNORE INTO inbox_events (room_id, event_id, pdu, due_ts) VALUES (?, ?, ?, ?)",
      roomId,
      event.name,
      event.pdu,
      event.dueTs,
    );
  }

  /** What an event lacks was looked for in vain. */
  postpone(inboxNid: number, tries: number, dueTs: number): void {
    this.sql.run("UPDATE inbox_events SET tries = ?, due_ts = ? WHERE inbox_nid = ?", tries, dueTs, inboxNid);
  }

  deleteWaiting(inboxNids: readonly number[]): void {
    this.sql.run(
      "DELETE FROM inbox_events WHERE inbox_nid IN (SELECT value FROM json_each(?))",
      JSON.stringify(inboxNids),
    );
  }
}
