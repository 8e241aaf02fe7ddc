import type { Sql } from "../../../schema/sql.ts";
import { type JsonObject, parseStored, parseStoredObject } from "../../../shared/json.ts";

/** A session of user-interactive authentication. */
export interface UiaSession {
  session: string;
  /** What it was begun for. */
  binding: string;
  completed: string[];
  params: JsonObject;
  /** ms since epoch */
  createdTs: number;
}

type SessionRow = { session: string; binding: string; completed: string; params: string; created_ts: number };

/** SQL of the table `uia_sessions`. */
export class UiaReader {
  protected readonly sql: Sql;

  constructor(sql: Sql) {
    this.sql = sql;
  }

  find(session: string): UiaSession | null {
    const query = "SELECT session, binding, completed, params, created_ts FROM uia_sessions WHERE session = ?";
    const row = this.sql.one<SessionRow>(query, session);
    if (row === null) return null;
    const completed = parseStored(row.completed);
    return {
      session: row.session,
      binding: row.binding,
      completed: Array.isArray(completed) ? completed.filter((stage) => typeof stage === "string") : [],
      params: parseStoredObject(row.params),
      createdTs: row.created_ts,
    };
  }
}

/** Exists only inside a transaction. */
export class UiaWriter extends UiaReader {
  /** Stores a new session, and drops what lies more than `kept` sessions back. */
  insert(session: { session: string; binding: string; createdTs: number }, kept: number): void {
    this.sql.run(
      "INSERT INTO uia_sessions (session, binding, created_ts) VALUES (?, ?, ?)",
      session.session,
      session.binding,
      session.createdTs,
    );
    const query = "DELETE FROM uia_sessions WHERE session_nid <= (SELECT MAX(session_nid) FROM uia_sessions) - ?";
    this.sql.run(query, kept);
  }

  setCompleted(session: string, completed: readonly string[]): void {
    this.sql.run("UPDATE uia_sessions SET completed = ? WHERE session = ?", JSON.stringify(completed), session);
  }

  setParams(session: string, params: JsonObject): void {
    this.sql.run("UPDATE uia_sessions SET params = ? WHERE session = ?", JSON.stringify(params), session);
  }

  /** Drops sessions begun before `horizon`, the oldest `limit` at most: a little on each start keeps the table short. */
  dropBefore(horizon: number, limit: number): void {
    this.sql.run(
      `DELETE FROM uia_sessions WHERE created_ts < ? AND session_nid IN (
         SELECT session_nid FROM uia_sessions ORDER BY session_nid LIMIT ?)`,
      horizon,
      limit,
    );
  }
}
