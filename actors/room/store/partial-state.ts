import type { Sql } from "../../../schema/sql.ts";
import type { EventId, ServerName } from "../../../shared/ids.ts";
import type { BegunAnswer } from "../../../shared/rpc/room-joining.ts";
import type { PlaceInPast } from "../gaps.ts";
import type { StateRoot } from "../state-tree.ts";
import type { RoomCaches } from "./cache.ts";
import type { EventStatus } from "./events.ts";
import {
  type Changed,
  columns,
  type EventRow,
  eventColumns,
  type Found,
  type FoundRow,
  type PartialEvent,
  type PartialRow,
  type PartialState,
  type PastColumns,
  partialEventOf,
  partialStateOf,
  pastOf,
  type ToldState,
} from "./partial-state-rows.ts";

const isEvent = "event_nid = (SELECT event_nid FROM events WHERE event_id = ?)";

/** SQL of the tables `partial_state…`. */
export class PartialStateReader {
  protected readonly sql: Sql;
  protected readonly caches: RoomCaches;

  constructor(sql: Sql, caches: RoomCaches) {
    this.sql = sql;
    this.caches = caches;
  }

  /** Whether members of the room are not known. */
  isOn(): boolean {
    this.caches.isPartial ??= this.sql.one<{ id: number }>("SELECT id FROM partial_state") !== null;
    return this.caches.isPartial;
  }

  /** Null: all members are known. */
  find(): PartialState | null {
    if (!this.isOn()) return null;
    const row = this.sql.one<PartialRow>(`SELECT ${columns} FROM partial_state WHERE id = 1`);
    return row === null ? null : partialStateOf(row);
  }

  /** Whether members of the room are still to be fetched. */
  lacksMembers(): boolean {
    return this.find()?.lacksMembers ?? false;
  }

  /** Events after one of them, in their order. */
  eventsAfter(sequence: number, limit: number): PartialEvent[] {
    const query = `SELECT ${eventColumns} FROM partial_state_events WHERE sequence > ? ORDER BY sequence LIMIT +?`;
    return this.sql.all<EventRow>(query, sequence, limit).map(partialEventOf);
  }

  /** The first event whose state is to be fetched. */
  firstToFetch(): PartialEvent | null {
    const query = `SELECT ${eventColumns} FROM partial_state_events WHERE is_partial = 1 ORDER BY sequence LIMIT 1`;
    const row = this.sql.one<EventRow>(query);
    return row === null ? null : partialEventOf(row);
  }

  /** The place of an event among these; null: it is none of them. */
  sequenceOf(eventNid: number): number | null {
    const query = "SELECT sequence FROM partial_state_events WHERE event_nid = ?";
    return this.sql.one<{ sequence: number }>(query, eventNid)?.sequence ?? null;
  }

  /** What an event was found to be; null: it was not looked at, or is none of these. */
  foundOf(eventNid: number): Found | null {
    const query = `SELECT status, root_before, root_after, current_root FROM partial_state_events
      WHERE event_nid = ? AND status IS NOT NULL`;
    const row = this.sql.one<FoundRow>(query, eventNid);
    if (row === null) return null;
    return { status: row.status, before: row.root_before, after: row.root_after, current: row.current_root };
  }

  /** Events outside of the graph that came before one of these, and were not looked at, in their order. */
  outliersBefore(sequence: number, limit: number): number[] {
    const query = `SELECT event_nid FROM partial_state_outliers WHERE status IS NULL AND after_sequence < ?
      ORDER BY number LIMIT +?`;
    return this.sql.all<{ event_nid: number }>(query, sequence, limit).map((row) => row.event_nid);
  }

  /** Whether events outside of the graph are to be looked at anew. */
  isAnyOutlier(): boolean {
    return this.sql.one<{ number: number }>("SELECT number FROM partial_state_outliers LIMIT 1") !== null;
  }

  /** What an event was found to be in its place in the graph or, where it has none, outside of it; null: as {@link foundOf}. */
  statusOf(eventNid: number): EventStatus | null {
    const inPlace = this.foundOf(eventNid);
    if (inPlace !== null) return inPlace.status;
    const query = "SELECT status FROM partial_state_outliers WHERE event_nid = ?";
    return this.sql.one<{ status: EventStatus | null }>(query, eventNid)?.status ?? null;
  }

  /** Which of these events are to be looked at anew. */
  doubtfulOf(eventNids: readonly number[]): number[] {
    const query = `SELECT value AS event_nid FROM json_each(?) WHERE value IN (SELECT event_nid FROM partial_state_events)
      OR value IN (SELECT event_nid FROM partial_state_outliers)`;
    return this.sql.all<{ event_nid: number }>(query, JSON.stringify(eventNids)).map((row) => row.event_nid);
  }

  /** The lowest position in a gap that an event of the past has, also one that is rejected for now; null: there is none. */
  lowestPast(after: number | null): number | null {
    const query = "SELECT MIN(past_position) AS position FROM partial_state_events WHERE past_after IS ?";
    return this.sql.one<{ position: number | null }>(query, after)?.position ?? null;
  }

  /** Events that are not what they were found to be, in their order. */
  changed(): Changed[] {
    return this.sql
      .all<PastColumns & { event_nid: number; status: EventStatus }>(
        `SELECT f.event_nid, e.status, f.past_position, f.past_after FROM partial_state_events f
         JOIN events e ON e.event_nid = f.event_nid WHERE f.status <> e.status ORDER BY f.sequence`,
      )
      .map((row) => ({ eventNid: row.event_nid, was: row.status, past: pastOf(row) }));
  }

  /** The same of events that have no place in the graph yet. */
  changedOutliers(): number[] {
    return this.sql
      .all<{ event_nid: number }>(
        `SELECT f.event_nid FROM partial_state_outliers f JOIN events e ON e.event_nid = f.event_nid
         WHERE f.status <> e.status AND e.state_root_after IS NULL ORDER BY f.number`,
      )
      .map((row) => row.event_nid);
  }

  /** Servers that were told to be in the room. */
  toldServers(): ServerName[] {
    const query = "SELECT server_name FROM partial_state_servers ORDER BY server_name";
    return this.sql.all<{ server_name: ServerName }>(query).map((row) => row.server_name);
  }

  /** The state told before the time, in which a position lies when members were not known. */
  toldAt(position: number): StateRoot {
    const query = `SELECT told_root FROM partial_state_past
      WHERE until_position > ?1 AND since_position <= ?1 ORDER BY until_position LIMIT 1`;
    return this.sql.one<{ told_root: number }>(query, position)?.told_root ?? null;
  }
}

/** Exists only inside a transaction. */
export class PartialStateWriter extends PartialStateReader {
  begin(
    begun: Pick<PartialState, "since" | "server" | "lacksMembers" | "unverifiedUntilTs" | "retryTs"> & {
      toldRoot: number;
      /** Ends of the graph from before the join that are ends yet. */
      formerEnds: readonly number[];
    },
  ): void {
    this.#forget();
    this.sql.run(
      `INSERT INTO partial_state (id, since_position, told_root, server_name, lacks_members, is_applied, unverified_until,
         retry_ts, former_ends, ends) VALUES (1, ?1, ?2, ?3, ?4, 1 - ?4, ?5, ?6, ?7, ?7)`,
      begun.since,
      begun.toldRoot,
      begun.server,
      begun.lacksMembers ? 1 : 0,
      begun.unverifiedUntilTs,
      begun.retryTs,
      JSON.stringify(begun.formerEnds),
    );
  }

  /** What is known has become the room's, and there is more to be verified: all is looked at anew when that comes. */
  goOn(next: { since: number; toldRoot: StateRoot; unverifiedUntilTs: number; retryTs: number }): void {
    this.sql.run(
      `UPDATE partial_state SET since_position = ?, told_root = ?, lacks_members = 0, is_applied = 1, unverified_until = ?,
         worker_id = NULL, retry_ts = ?, attempts = 0, replayed = 0, current_root = NULL,
         ends = former_ends WHERE id = 1`,
      next.since,
      next.toldRoot,
      next.unverifiedUntilTs,
      next.retryTs,
    );
    this.sql.run(
      "UPDATE partial_state_events SET status = NULL, root_before = NULL, root_after = NULL, current_root = NULL",
    );
    this.sql.run("UPDATE partial_state_outliers SET status = NULL");
    this.sql.run("DELETE FROM partial_state_servers");
  }

  /** More of the state is known that was told before an event. */
  setToldRoot(sequence: number, root: StateRoot): void {
    const query = "UPDATE partial_state_events SET told = ?, told_doubtful = '[]' WHERE sequence = ?";
    this.sql.run(query, JSON.stringify([root]), sequence);
    this.setUnapplied();
  }

  /** All is to be looked at anew. */
  setUnapplied(): void {
    this.sql.run("UPDATE partial_state SET is_applied = 0 WHERE id = 1");
  }

  /** Forgets all but which times are past. */
  end(): void {
    if (!this.isOn()) return;
    this.#forget();
    const tables = ["", "_events", "_outliers", "_servers", "_waiting", "_unverified"];
    for (const table of tables) this.sql.run(`DELETE FROM partial_state${table}`);
    this.sql.run("DELETE FROM told_members");
  }

  insertPast(until: number, { since, toldRoot }: PartialState): void {
    const query = "INSERT INTO partial_state_past (until_position, since_position, told_root) VALUES (?, ?, ?)";
    this.sql.run(query, until, since, toldRoot);
  }

  addServer(server: ServerName): void {
    this.sql.run("INSERT OR IGNORE INTO partial_state_servers (server_name) VALUES (?)", server);
  }

  /** Notes that an event has taken its place. */
  note(eventNid: number): void {
    this.sql.run("INSERT OR IGNORE INTO partial_state_events (event_nid) VALUES (?)", eventNid);
  }

  /** The states that were told of those of an event's prev events that were not here. */
  setTold(eventId: EventId, told: readonly ToldState[]): void {
    const query = `UPDATE partial_state_events SET told = ?, told_doubtful = ? WHERE ${isEvent}`;
    const roots = JSON.stringify(told.map(({ root }) => root));
    this.sql.run(query, roots, JSON.stringify(told.map(({ doubtful }) => doubtful)), eventId);
  }

  setPast(eventId: EventId, { position, after }: PlaceInPast): void {
    const query = `UPDATE partial_state_events SET past_position = ?, past_after = ? WHERE ${isEvent}`;
    this.sql.run(query, position, after, eventId);
  }

  /** Notes an event outside of the graph that is to be looked at anew. */
  noteOutlier(eventId: EventId): void {
    this.sql.run(
      `INSERT OR IGNORE INTO partial_state_outliers (event_nid, after_sequence)
       SELECT event_nid, (SELECT COALESCE(MAX(sequence), 0) FROM partial_state_events) FROM events WHERE event_id = ?`,
      eventId,
    );
  }

  setOutlierFound(eventNid: number, status: EventStatus): void {
    this.sql.run("UPDATE partial_state_outliers SET status = ? WHERE event_nid = ?", status, eventNid);
  }

  /** What was told of these lacks members. */
  markPartial(eventId: EventId): void {
    this.sql.run(`UPDATE partial_state_events SET is_partial = 1 WHERE ${isEvent} AND told <> '[]'`, eventId);
  }

  setFound(eventNid: number, { status, before, after, current }: Found): void {
    this.sql.run(
      `UPDATE partial_state_events SET status = ?, root_before = ?, root_after = ?, current_root = ?
       WHERE event_nid = ?`,
      status,
      before,
      after,
      current,
      eventNid,
    );
  }

  setReplayed({ replayed, currentRoot, ends }: Pick<PartialState, "replayed" | "currentRoot" | "ends">): void {
    const query = "UPDATE partial_state SET replayed = ?, current_root = ?, ends = ? WHERE id = 1";
    this.sql.run(query, replayed, currentRoot, JSON.stringify(ends));
  }

  /** A worker begins where the last one ended. */
  setWorker(workerId: string, at: { retryTs: number; attempts: number }): void {
    const query = "UPDATE partial_state SET worker_id = ?, retry_ts = ?, attempts = ? WHERE id = 1";
    this.sql.run(query, workerId, at.retryTs, at.attempts);
  }

  /** The worker has given up for now. */
  setIdle(retryTs: number): void {
    this.sql.run("UPDATE partial_state SET worker_id = NULL, retry_ts = ? WHERE id = 1", retryTs);
  }

  /** More of a state is here. */
  setFetchedRoot(root: StateRoot): void {
    this.sql.run("UPDATE partial_state SET fetched_root = ? WHERE id = 1", root);
  }

  /** More of a server's answer was taken. */
  setBegun({ server, events, digest }: BegunAnswer): void {
    const query = "UPDATE partial_state SET fetched_from = ?, fetched_events = ?, fetched_digest = ? WHERE id = 1";
    this.sql.run(query, server, events, digest);
  }

  /** What is fetched is of no use: the next server's is not mixed with it. */
  dropFetched(): void {
    this.sql.run("DELETE FROM partial_state_waiting");
    this.sql.run(
      `UPDATE partial_state SET fetched_root = NULL, fetched_from = NULL, fetched_events = 0, fetched_digest = ''
       WHERE id = 1`,
    );
  }

  /** The whole state before an event is known. */
  setFetched(sequence: number, root: StateRoot): void {
    this.dropFetched();
    this.sql.run("UPDATE partial_state SET attempts = 0 WHERE id = 1");
    const query = "UPDATE partial_state_events SET told = ?, told_doubtful = '[]', is_partial = 0 WHERE sequence = ?";
    this.sql.run(query, JSON.stringify([root]), sequence);
  }

  /** Makes all events what they were found to be. What is rejected, or failed softly, is in no client's sight any more. */
  applyFound(): void {
    this.caches.writes += 1;
    this.sql.run(
      `UPDATE events SET status = f.status, state_root_before = f.root_before, state_root_after = f.root_after,
         current_root = CASE WHEN f.status = 'accepted' AND events.current_root IS NOT NULL THEN f.current_root END,
         stream_position = CASE WHEN f.status = 'accepted' THEN events.stream_position END
       FROM partial_state_events f WHERE f.event_nid = events.event_nid AND f.status IS NOT NULL`,
    );
    this.sql.run(
      `UPDATE events SET status = f.status FROM partial_state_outliers f
       WHERE f.event_nid = events.event_nid AND f.status IS NOT NULL AND events.state_root_after IS NULL`,
    );
    this.caches.clear();
  }

  #forget(): void {
    this.caches.writes += 1;
    this.caches.isPartial = null;
  }
}
