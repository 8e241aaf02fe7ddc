import type { Sql } from "../../../schema/sql.ts";
import type { EventId, RoomId, UserId } from "../../../shared/ids.ts";
import type { RemoteReceipt } from "../../../shared/rpc/room-peers.ts";

/** A receipt that its room has not taken yet. */
export interface WaitingReceipt {
  readonly roomId: RoomId;
  readonly receipt: RemoteReceipt;
  /** How often the room was told. */
  readonly tries: number;
  /** ms since epoch; when it is told again */
  readonly dueTs: number;
}

type ReceiptRow = {
  room_id: RoomId;
  user_id: UserId;
  thread_id: string;
  event_id: EventId;
  ts: number;
  tries: number;
  due_ts: number;
};

/** SQL of the table `inbox_receipts`. */
export class ReceiptsReader {
  protected readonly sql: Sql;

  constructor(sql: Sql) {
    this.sql = sql;
  }

  all(): WaitingReceipt[] {
    const query = "SELECT room_id, user_id, thread_id, event_id, ts, tries, due_ts FROM inbox_receipts";
    return this.sql.all<ReceiptRow>(query).map((row) => ({
      roomId: row.room_id,
      receipt: {
        userId: row.user_id,
        eventId: row.event_id,
        threadId: row.thread_id === "" ? null : row.thread_id,
        ts: row.ts,
      },
      tries: row.tries,
      dueTs: row.due_ts,
    }));
  }

  count(): number {
    return this.sql.one<{ count: number }>("SELECT COUNT(*) AS count FROM inbox_receipts")?.count ?? 0;
  }

  /** Whether a receipt waits for this user and thread already, for whichever event. */
  has(roomId: RoomId, { userId, threadId }: RemoteReceipt): boolean {
    const query = "SELECT 1 AS found FROM inbox_receipts WHERE room_id = ? AND user_id = ? AND thread_id = ?";
    return this.sql.one<{ found: number }>(query, roomId, userId, threadId ?? "") !== null;
  }
}

/** Exists only inside a transaction. */
export class ReceiptsWriter extends ReceiptsReader {
  /** Stores a receipt, in place of the one of the same user and thread. */
  put({ roomId, receipt, tries, dueTs }: WaitingReceipt): void {
    const { userId, threadId, eventId, ts } = receipt;
    this.sql.run(
      `INSERT OR REPLACE INTO inbox_receipts (room_id, user_id, thread_id, event_id, ts, tries, due_ts)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
      roomId,
      userId,
      threadId ?? "",
      eventId,
      ts,
      tries,
      dueTs,
    );
  }

  /** Deletes a receipt, unless a newer one has taken its place. */
  delete(roomId: RoomId, { userId, threadId, eventId }: RemoteReceipt): void {
    const query = "DELETE FROM inbox_receipts WHERE room_id = ? AND user_id = ? AND thread_id = ? AND event_id = ?";
    this.sql.run(query, roomId, userId, threadId ?? "", eventId);
  }
}
