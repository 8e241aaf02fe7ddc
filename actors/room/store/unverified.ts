import type { Sql } from "../../../schema/sql.ts";
import type { EventId } from "../../../shared/ids.ts";
import type { PduText } from "../../../shared/rpc/room-peers.ts";
import { forKeys, type WaitingTable } from "./remote-join.ts";

/** An event that waits for the keys of who signed it. */
export interface UnverifiedEvent {
  readonly eventId: EventId;
  readonly isState: boolean;
  readonly pdu: PduText;
}

type Row = { event_id: EventId; is_state: number; pdu: string };

/** What only members may be of: other servers than the one that told the state have no say in the rest. */
const isOfState = "CASE WHEN ?3 OR json_extract(pdu, '$.type') = 'm.room.member' THEN is_state ELSE 0 END";

/**
 * SQL of the table `partial_state_unverified`, and of what waits for keys in others. Writing methods are for use inside a
 * transaction only.
 */
export class UnverifiedStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** Whether events wait for keys. */
  isAny(table: WaitingTable = "partial_state_unverified"): boolean {
    return (
      this.#sql.one<{ found: number }>(`SELECT 1 AS found FROM ${table} WHERE waits_for = ? LIMIT 1`, forKeys) !== null
    );
  }

  /** Users whom events of the state that wait say to be joined, as these name them. */
  joinedMembers(table: WaitingTable = "partial_state_unverified"): string[] {
    const query = `SELECT DISTINCT CAST(json_extract(pdu, '$.state_key') AS TEXT) AS user_id FROM ${table}
      WHERE is_state = 1 AND json_extract(pdu, '$.type') = 'm.room.member'
        AND json_extract(pdu, '$.content.membership') = 'join' ORDER BY user_id`;
    return this.#sql.all<{ user_id: string }>(query).map((row) => row.user_id);
  }

  /**
   * Takes over what waits for keys, and then what waits for something else: it may be for one of those.
   * @param mayTellAll whether more than members may become part of the state
   */
  keepFrom(table: WaitingTable, { limit, mayTellAll }: { limit: number; mayTellAll: boolean }): void {
    for (const waits of ["waits_for = ?1", "waits_for <> ?1"]) {
      this.#sql.run(
        `INSERT INTO partial_state_unverified (event_id, is_state, waits_for, keys, pdu)
         SELECT event_id, ${isOfState}, waits_for, keys, pdu FROM ${table}
         WHERE ${waits} ORDER BY is_state DESC, event_id
         LIMIT MAX(0, ?2 - (SELECT COUNT(*) FROM partial_state_unverified))
         ON CONFLICT (event_id) DO UPDATE SET is_state = MAX(is_state, excluded.is_state)`,
        forKeys,
        limit,
        mayTellAll ? 1 : 0,
      );
    }
  }

  /** The next of those that wait for keys and that a worker has not tried. */
  untried(workerId: string, limit: number): UnverifiedEvent[] {
    return this.#sql
      .all<Row>(
        `SELECT event_id, is_state, pdu FROM partial_state_unverified
         WHERE waits_for = ? AND tried_by IS NOT ? ORDER BY event_id LIMIT ?`,
        forKeys,
        workerId,
        limit,
      )
      .map((row) => ({ eventId: row.event_id, isState: row.is_state === 1, pdu: row.pdu }));
  }

  setTried(eventIds: readonly EventId[], workerId: string): void {
    const query = `UPDATE partial_state_unverified SET tried_by = ?
      WHERE event_id IN (SELECT value FROM json_each(?))`;
    this.#sql.run(query, workerId, JSON.stringify(eventIds));
  }

  delete(eventIds: readonly EventId[]): void {
    const query = "DELETE FROM partial_state_unverified WHERE event_id IN (SELECT value FROM json_each(?))";
    this.#sql.run(query, JSON.stringify(eventIds));
  }

  deleteAll(): void {
    this.#sql.run("DELETE FROM partial_state_unverified");
  }
}
