import type { Sql } from "../../../schema/sql.ts";

/** The user's own stream: positions of account data, to-device messages and sync tokens. */
export class StreamReader {
  protected readonly sql: Sql;

  constructor(sql: Sql) {
    this.sql = sql;
  }

  /** Newest position that was given out; 0 before the first. */
  head(): number {
    return this.sql.one<{ position: number }>("SELECT position FROM stream WHERE id = 1")?.position ?? 0;
  }
}

/** Exists only inside a transaction. */
export class StreamWriter extends StreamReader {
  /** Gives out the next position. */
  next(): number {
    const row = this.sql.one<{ position: number }>(
      `INSERT INTO stream (id, position) VALUES (1, 1)
       ON CONFLICT (id) DO UPDATE SET position = position + 1 RETURNING position`,
    );
    if (row === null) throw new Error("the stream's position could not be advanced");
    return row.position;
  }
}
