import type { Sql } from "../../../schema/sql.ts";
import type { RoomId, UserId } from "../../../shared/ids.ts";

/** SQL of the tables `rooms` and `users`: what lives on this server. */
export class RegisterReader {
  protected readonly sql: Sql;

  constructor(sql: Sql) {
    this.sql = sql;
  }

  /** The rooms that sort after `after`, at most `limit`. */
  roomsAfter(after: RoomId | "", limit: number): RoomId[] {
    const query = "SELECT room_id FROM rooms WHERE room_id > ? ORDER BY room_id LIMIT ?";
    return this.sql.all<{ room_id: RoomId }>(query, after, limit).map((row) => row.room_id);
  }

  /** The users that sort after `after`, at most `limit`. */
  usersAfter(after: UserId | "", limit: number): UserId[] {
    const query = "SELECT user_id FROM users WHERE user_id > ? ORDER BY user_id LIMIT ?";
    return this.sql.all<{ user_id: UserId }>(query, after, limit).map((row) => row.user_id);
  }
}

/** Exists only inside a transaction. */
export class RegisterWriter extends RegisterReader {
  addRoom(roomId: RoomId): void {
    this.sql.run("INSERT OR IGNORE INTO rooms (room_id) VALUES (?)", roomId);
  }

  addUser(userId: UserId): void {
    this.sql.run("INSERT OR IGNORE INTO users (user_id) VALUES (?)", userId);
  }
}
