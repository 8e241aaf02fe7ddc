import type { Sql } from "../../../schema/sql.ts";
import type { EventId } from "../../../shared/ids.ts";

/** SQL of the table `event_edges`: the room's graph, newer to older. */
export class EdgesReader {
  protected readonly sql: Sql;

  constructor(sql: Sql) {
    this.sql = sql;
  }

  /** The prev events of an event, known here or not. */
  prevEventsOf(eventNid: number): EventId[] {
    const query = "SELECT prev_event_id FROM event_edges WHERE event_nid = ? ORDER BY prev_event_id";
    return this.sql.all<{ prev_event_id: EventId }>(query, eventNid).map((row) => row.prev_event_id);
  }
}

/** Exists only inside a transaction. */
export class EdgesWriter extends EdgesReader {
  insert(eventNid: number, prevEvents: readonly EventId[]): void {
    for (const prevEventId of prevEvents) {
      this.sql.run("INSERT INTO event_edges (event_nid, prev_event_id) VALUES (?, ?)", eventNid, prevEventId);
    }
  }
}
