import type { Sql } from "../../../schema/sql.ts";
import type { EventId, UserId } from "../../../shared/ids.ts";

export type ReceiptType = "m.read" | "m.read.private";

/** How far a user has read, in the whole room or one thread. */
export interface ReceiptRecord {
  readonly userId: UserId;
  readonly receiptType: ReceiptType;
  /** Null: unthreaded; `main`, or a thread root's event id. */
  readonly threadId: string | null;
  readonly eventId: EventId;
  /** Stream position of the event that was read. */
  readonly eventPosition: number;
  /** ms since epoch */
  readonly ts: number;
  /** Stream position of the receipt itself. */
  readonly streamPosition: number;
}

type ReceiptRow = {
  user_id: UserId;
  receipt_type: ReceiptType;
  thread_id: string;
  event_id: EventId;
  event_position: number;
  ts: number;
  stream_position: number;
};

const columns = "user_id, receipt_type, thread_id, event_id, event_position, ts, stream_position";

/** SQL of the table `receipts`. */
export class ReceiptsReader {
  protected readonly sql: Sql;

  constructor(sql: Sql) {
    this.sql = sql;
  }

  find(userId: UserId, receiptType: ReceiptType, threadId: string | null): ReceiptRecord | null {
    const row = this.sql.one<ReceiptRow>(
      `SELECT ${columns} FROM receipts WHERE user_id = ? AND receipt_type = ? AND thread_id = ?`,
      userId,
      receiptType,
      threadId ?? "",
    );
    return row === null ? null : recordOf(row);
  }

  /** All receipts of one user. */
  ofUser(userId: UserId): ReceiptRecord[] {
    return this.sql.all<ReceiptRow>(`SELECT ${columns} FROM receipts WHERE user_id = ?`, userId).map(recordOf);
  }

  /** Receipts that changed after a position and that `reader` may know of: private ones only if their own. Newest first. */
  changedSince(after: number, reader: UserId, limit: number): ReceiptRecord[] {
    return this.sql
      .all<ReceiptRow>(
        `SELECT ${columns} FROM receipts
         WHERE stream_position > ? AND (receipt_type <> 'm.read.private' OR user_id = ?)
         ORDER BY stream_position DESC LIMIT +?`,
        after,
        reader,
        limit,
      )
      .map(recordOf);
  }

  /** Public receipts of joined users of this server that changed with `after` < position ≤ `through`, oldest first. */
  ofLocalUsers(after: number, through: number, limit: number): ReceiptRecord[] {
    return this.sql
      .all<ReceiptRow>(
        `SELECT ${columns} FROM receipts
         WHERE stream_position > +? AND stream_position <= +? AND receipt_type = 'm.read' AND user_id IN (
           SELECT m.user_id FROM room_memberships m
           WHERE m.user_id = receipts.user_id AND m.is_local = 1 AND m.membership = 'join')
         ORDER BY stream_position LIMIT +?`,
        after,
        through,
        limit,
      )
      .map(recordOf);
  }
}

/** Exists only inside a transaction. */
export class ReceiptsWriter extends ReceiptsReader {
  put(receipt: ReceiptRecord): void {
    this.sql.run(
      `INSERT INTO receipts (user_id, receipt_type, thread_id, event_id, event_position, ts, stream_position)
       VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (user_id, receipt_type, thread_id) DO UPDATE SET event_id = excluded.event_id,
         event_position = excluded.event_position, ts = excluded.ts, stream_position = excluded.stream_position`,
      receipt.userId,
      receipt.receiptType,
      receipt.threadId ?? "",
      receipt.eventId,
      receipt.eventPosition,
      receipt.ts,
      receipt.streamPosition,
    );
  }
}

function recordOf(row: ReceiptRow): ReceiptRecord {
  return {
    userId: row.user_id,
    receiptType: row.receipt_type,
    threadId: row.thread_id === "" ? null : row.thread_id,
    eventId: row.event_id,
    eventPosition: row.event_position,
    ts: row.ts,
    streamPosition: row.stream_position,
  };
}
