import type { Sql } from "../../../schema/sql.ts";
import { type JsonObject, parseStoredObject } from "../../../shared/json.ts";

/** SQL of the table `filters`. */
export class FiltersReader {
  protected readonly sql: Sql;

  constructor(sql: Sql) {
    this.sql = sql;
  }

  find(filterId: number): JsonObject | null {
    const row = this.sql.one<{ json: string }>("SELECT json FROM filters WHERE filter_id = ?", filterId);
    return row === null ? null : parseStoredObject(row.json);
  }

  findId(json: string): number | null {
    return this.sql.one<{ filter_id: number }>("SELECT filter_id FROM filters WHERE json = ?", json)?.filter_id ?? null;
  }
}

/** Exists only inside a transaction. */
export class FiltersWriter extends FiltersReader {
  insert(json: string): number {
    const row = this.sql.one<{ filter_id: number }>("INSERT INTO filters (json) VALUES (?) RETURNING filter_id", json);
    if (row === null) throw new Error("the filter was not stored");
    return row.filter_id;
  }

  /** Drops the oldest filters beyond the `kept` newest. */
  trim(kept: number): void {
    this.sql.run("DELETE FROM filters WHERE filter_id <= (SELECT MAX(filter_id) FROM filters) - ?", kept);
  }

  deleteAll(): void {
    this.sql.run("DELETE FROM filters");
  }
}
