import type { Sql } from "../../../schema/sql.ts";
import type { EventId } from "../../../shared/ids.ts";
import type { StateRoot } from "../state-tree.ts";

/** An event that no other event follows yet. */
export interface Extremity {
  readonly eventNid: number;
  readonly eventId: EventId;
  readonly depth: number;
}

type ExtremityRow = { event_nid: number; event_id: EventId; depth: number };

/** SQL of the tables `event_forward_extremities` and `event_backward_extremities`. */
export class ExtremitiesReader {
  protected readonly sql: Sql;

  constructor(sql: Sql) {
    this.sql = sql;
  }

  /** The newest ends of the graph, deepest first. */
  forward(limit: number): Extremity[] {
    const rows = this.sql.all<ExtremityRow>(
      // CROSS JOIN fixes the order of the loops: for ORDER BY's sake the planner would walk all events otherwise.
      `SELECT e.event_nid, e.event_id, e.depth FROM event_forward_extremities f CROSS JOIN events e USING (event_nid)
       ORDER BY e.depth DESC, e.event_nid DESC LIMIT +?`,
      limit,
    );
    return rows.map((row) => ({ eventNid: row.event_nid, eventId: row.event_id, depth: row.depth }));
  }

  /** How many ends the graph has. */
  count(): number {
    return this.sql.one<{ count: number }>("SELECT COUNT(*) AS count FROM event_forward_extremities")?.count ?? 0;
  }

  /** All ends of the graph with the states after them. */
  ends(): { eventId: EventId; root: StateRoot }[] {
    return this.sql
      .all<{ event_id: EventId; state_root_after: number | null }>(
        "SELECT e.event_id, e.state_root_after FROM event_forward_extremities f CROSS JOIN events e USING (event_nid)",
      )
      .map((row) => ({ eventId: row.event_id, root: row.state_root_after }));
  }

  /** Whether an event that is not here is known to stand before one that is. */
  isMissing(eventId: EventId): boolean {
    const query = "SELECT event_id FROM event_backward_extremities WHERE event_id = ?";
    return this.sql.one<{ event_id: string }>(query, eventId) !== null;
  }

  /** Events that stand before those that are here, and are not here themselves. */
  backward(limit: number): EventId[] {
    const query = "SELECT event_id FROM event_backward_extremities ORDER BY event_id LIMIT +?";
    return this.sql.all<{ event_id: EventId }>(query, limit).map((row) => row.event_id);
  }

  /** Those of them that belong behind a stream position, or (null) before everything. */
  missingBehind(afterPosition: number | null, limit: number): EventId[] {
    const query =
      "SELECT event_id FROM event_backward_extremities WHERE after_position IS ? ORDER BY event_id LIMIT +?";
    return this.sql.all<{ event_id: EventId }>(query, afterPosition, limit).map((row) => row.event_id);
  }

  /** The newest gap in the stream below a position: what is missing there belongs behind this. Null: there is none. */
  gapBelow(position: number): number | null {
    const query = "SELECT MAX(after_position) AS position FROM event_backward_extremities WHERE after_position < ?";
    return this.sql.one<{ position: number | null }>(query, position)?.position ?? null;
  }
}

/** Exists only inside a transaction. */
export class ExtremitiesWriter extends ExtremitiesReader {
  /** Makes an event an end of the graph in place of the ends that it follows. */
  replace(eventNid: number, prevEvents: readonly EventId[]): void {
    for (const prevEventId of prevEvents) {
      this.sql.run(
        "DELETE FROM event_forward_extremities WHERE event_nid = (SELECT event_nid FROM events WHERE event_id = ?)",
        prevEventId,
      );
    }
    this.sql.run("INSERT INTO event_forward_extremities (event_nid) VALUES (?)", eventNid);
  }

  /** For a graph that goes on after a gap: nothing follows on what was its end before. */
  deleteForward(): void {
    this.sql.run("DELETE FROM event_forward_extremities");
  }

  /**
   * Notes events that stand before one that is here, and are not here themselves.
   * @param afterPosition where they belong in the stream; null: before everything.
   */
  addMissing(eventIds: readonly EventId[], afterPosition: number | null): void {
    for (const eventId of eventIds) {
      this.sql.run(
        "INSERT INTO event_backward_extremities (event_id, after_position) VALUES (?, ?) ON CONFLICT DO NOTHING",
        eventId,
        afterPosition,
      );
    }
  }

  removeMissing(eventId: EventId): void {
    this.sql.run("DELETE FROM event_backward_extremities WHERE event_id = ?", eventId);
  }
}
