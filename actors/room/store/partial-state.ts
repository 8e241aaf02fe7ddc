import type { Sql } from "../../../schema/sql.ts";
import type { EventId, ServerName } from "../../../shared/ids.ts";
import type { StateRoot } from "../state-tree.ts";
import type { RoomCaches } from "./cache.ts";
import type { EventStatus } from "./events.ts";

/** A room some of whose members are not known. */
export interface PartialState {
  /** Stream position of the join. */
  readonly since: number;
  /** The state before the join, as it was told. */
  readonly toldRoot: StateRoot;
  /** Who told it. */
  readonly server: ServerName;
  readonly workerId: string | null;
  /** ms since epoch */
  readonly leaseTs: number;
  readonly retryTs: number;
  readonly attempts: number;
  /** The state that is being fetched, as far as it is here; null: none is. */
  readonly fetchedRoot: StateRoot;
  /** The last event whose states are found. */
  readonly replayed: number;
  /** The current state after it, and the events that were ends of the graph. */
  readonly currentRoot: StateRoot;
  readonly ends: number[];
}

/** An event that took its place in the graph while members were not known. */
export interface PartialEvent {
  readonly sequence: number;
  readonly eventNid: number;
  readonly told: StateRoot[];
  /** A state without all members was told. */
  readonly isPartial: boolean;
  /** It was fetched as part of the past, and changed nothing of the present. */
  readonly isPast: boolean;
}

/** What an event is found to be once all members are known. */
export interface Found {
  readonly status: EventStatus;
  readonly before: StateRoot;
  readonly after: StateRoot;
  readonly current: StateRoot;
}

type PartialRow = {
  since_position: number;
  told_root: number;
  server_name: ServerName;
  worker_id: string | null;
  lease_ts: number;
  retry_ts: number;
  attempts: number;
  fetched_root: number | null;
  replayed: number;
  current_root: number | null;
  ends: string;
};

type EventRow = { sequence: number; event_nid: number; told: string; is_partial: number; is_past: number };
type FoundRow = {
  status: EventStatus;
  root_before: number | null;
  root_after: number | null;
  current_root: number | null;
};

const columns = `since_position, told_root, server_name, worker_id, lease_ts, retry_ts, attempts, fetched_root, replayed,
  current_root, ends`;
const eventColumns = "sequence, event_nid, told, is_partial, is_past";

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
  begin({
    since,
    toldRoot,
    server,
    nowMs,
  }: {
    since: number;
    toldRoot: number;
    server: ServerName;
    nowMs: number;
  }): void {
    this.#forget();
    this.sql.run(
      `INSERT INTO partial_state (id, since_position, told_root, server_name, lease_ts, retry_ts)
       VALUES (1, ?, ?, ?, 0, ?)`,
      since,
      toldRoot,
      server,
      nowMs,
    );
  }

  /** Forgets all but which times are past. */
  end(): void {
    if (!this.isOn()) return;
    this.#forget();
    for (const table of ["partial_state", "partial_state_events", "partial_state_servers", "partial_state_waiting"]) {
      this.sql.run(`DELETE FROM ${table}`);
    }
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
  setTold(eventId: EventId, told: readonly StateRoot[]): void {
    const query = `UPDATE partial_state_events SET told = ? WHERE ${isEvent}`;
    this.sql.run(query, JSON.stringify(told), eventId);
  }

  markPast(eventId: EventId): void {
    this.sql.run(`UPDATE partial_state_events SET is_past = 1 WHERE ${isEvent}`, eventId);
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

  /** A worker begins, anew with what it fetches; the events that it has stored are here. */
  setWorker(workerId: string, at: { leaseTs: number; attempts: number }): void {
    this.sql.run("DELETE FROM partial_state_waiting");
    this.sql.run(
      "UPDATE partial_state SET worker_id = ?, lease_ts = ?, attempts = ?, fetched_root = NULL WHERE id = 1",
      workerId,
      at.leaseTs,
      at.attempts,
    );
  }

  setLease(leaseTs: number): void {
    this.sql.run("UPDATE partial_state SET lease_ts = ? WHERE id = 1", leaseTs);
  }

  /** The worker has given up for now. */
  setIdle(retryTs: number): void {
    this.sql.run("UPDATE partial_state SET worker_id = NULL, lease_ts = 0, retry_ts = ? WHERE id = 1", retryTs);
  }

  setFetchedRoot(root: StateRoot): void {
    this.sql.run("UPDATE partial_state SET fetched_root = ? WHERE id = 1", root);
  }

  /** What is fetched is of no use: the next server's is not mixed with it. */
  dropFetched(): void {
    this.sql.run("DELETE FROM partial_state_waiting");
    this.setFetchedRoot(null);
  }

  /** The whole state before an event is known. */
  setFetched(sequence: number, root: StateRoot): void {
    this.dropFetched();
    this.sql.run("UPDATE partial_state SET attempts = 0 WHERE id = 1");
    const query = "UPDATE partial_state_events SET told = ?, is_partial = 0 WHERE sequence = ?";
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
    this.caches.clear();
  }

  #forget(): void {
    this.caches.writes += 1;
    this.caches.isPartial = null;
  }
}

function partialStateOf(row: PartialRow): PartialState {
  return {
    since: row.since_position,
    toldRoot: row.told_root,
    server: row.server_name,
    workerId: row.worker_id,
    leaseTs: row.lease_ts,
    retryTs: row.retry_ts,
    attempts: row.attempts,
    fetchedRoot: row.fetched_root,
    replayed: row.replayed,
    currentRoot: row.current_root,
    ends: numbersOf(row.ends),
  };
}

function partialEventOf(row: EventRow): PartialEvent {
  return {
    sequence: row.sequence,
    eventNid: row.event_nid,
    told: numbersOf(row.told),
    isPartial: row.is_partial === 1,
    isPast: row.is_past === 1,
  };
}

/** Written by this server itself. */
function numbersOf(text: string): number[] {
  return JSON.parse(text);
}
