import type { Sql } from "../../../schema/sql.ts";
import type { RoomId } from "../../../shared/ids.ts";
import { type JsonObject, parseStoredObject } from "../../../shared/json.ts";

/** With what surrounds each in an answer. */
const rowBytes = "octet_length(content) + octet_length(type) + octet_length(room_id) + 64";

/** SQL of the table `account_data`. A room id of `""` stands for the user's global account data. */
export class AccountDataReader {
  protected readonly sql: Sql;

  constructor(sql: Sql) {
    this.sql = sql;
  }

  find(roomId: RoomId | "", type: string): JsonObject | null {
    const query = "SELECT content FROM account_data WHERE room_id = ? AND type = ?";
    const row = this.sql.one<{ content: string }>(query, roomId, type);
    return row === null ? null : parseStoredObject(row.content);
  }

  /** What all of it together takes, in bytes. Reads every row. */
  totalBytes(): number {
    return (
      this.sql.one<{ bytes: number }>(`SELECT COALESCE(SUM(${rowBytes}), 0) AS bytes FROM account_data`)?.bytes ?? 0
    );
  }

  /** What one type takes, in bytes; 0 when there is none. */
  bytesOf(roomId: RoomId | "", type: string): number {
    const query = `SELECT ${rowBytes} AS bytes FROM account_data WHERE room_id = ? AND type = ?`;
    return this.sql.one<{ bytes: number }>(query, roomId, type)?.bytes ?? 0;
  }

  /** Whether the user has set anything that can be about one room: tags, direct chats, push rules. */
  hasRoomSettings(): boolean {
    const query = `SELECT EXISTS (SELECT 1 FROM account_data
        WHERE room_id = '' AND type IN ('m.direct', 'm.push_rules') OR type = 'm.tag') AS has_any`;
    return this.sql.one<{ has_any: number }>(query)?.has_any === 1;
  }

  /** What changed after a position of the user's stream, oldest change first, as events without sender. */
  since(roomId: RoomId | "", position: number): { type: string; content: JsonObject }[] {
    const query = "SELECT type, content FROM account_data WHERE room_id = ? AND position > ? ORDER BY position";
    return this.sql
      .all<{ type: string; content: string }>(query, roomId, position)
      .map((row) => ({ type: row.type, content: parseStoredObject(row.content) }));
  }
}

/** Exists only inside a transaction. */
export class AccountDataWriter extends AccountDataReader {
  set(entry: { roomId: RoomId | ""; type: string; content: JsonObject; position: number }): void {
    this.sql.run(
      `INSERT INTO account_data (room_id, type, content, position) VALUES (?, ?, ?, ?)
       ON CONFLICT (room_id, type) DO UPDATE SET content = excluded.content, position = excluded.position`,
      entry.roomId,
      entry.type,
      JSON.stringify(entry.content),
      entry.position,
    );
  }

  deleteAll(): void {
    this.sql.run("DELETE FROM account_data");
  }
}
