import type { Sql } from "../../../schema/sql.ts";
import type { RoomAlias, RoomId, UserId } from "../../../shared/ids.ts";

export interface StoredAlias {
  roomId: RoomId;
  creator: UserId;
}

/** SQL of the table `aliases`. */
export class AliasesReader {
  protected readonly sql: Sql;

  constructor(sql: Sql) {
    this.sql = sql;
  }

  find(alias: RoomAlias): StoredAlias | null {
    const query = "SELECT room_id, creator FROM aliases WHERE alias = ?";
    const row = this.sql.one<{ room_id: RoomId; creator: UserId }>(query, alias);
    return row === null ? null : { roomId: row.room_id, creator: row.creator };
  }

  ofRoom(roomId: RoomId): RoomAlias[] {
    const query = "SELECT alias FROM aliases WHERE room_id = ? ORDER BY alias";
    return this.sql.all<{ alias: RoomAlias }>(query, roomId).map((row) => row.alias);
  }
}

/** Exists only inside a transaction. */
export class AliasesWriter extends AliasesReader {
  insert(alias: RoomAlias, entry: StoredAlias, now: number): void {
    const query = "INSERT INTO aliases (alias, room_id, creator, created_ts) VALUES (?, ?, ?, ?)";
    this.sql.run(query, alias, entry.roomId, entry.creator, now);
  }

  move(from: RoomId, to: RoomId): void {
    this.sql.run("UPDATE aliases SET room_id = ? WHERE room_id = ?", to, from);
  }

  delete(alias: RoomAlias): void {
    this.sql.run("DELETE FROM aliases WHERE alias = ?", alias);
  }
}
