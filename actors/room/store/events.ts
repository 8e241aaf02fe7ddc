import type { Sql } from "../../../schema/sql.ts";
import type { EventId, UserId } from "../../../shared/ids.ts";
import { type MatrixEvent, storedEvent } from "../../../shared/matrix/event.ts";
import type { StateRoot } from "../state-tree.ts";
import type { ChainPosition } from "./auth-chains.ts";
import type { RoomCaches } from "./cache.ts";
import { RoomReader } from "./room.ts";

/** What became of an event here. Only accepted events are seen by clients. */
export type EventStatus = "accepted" | "soft_failed" | "rejected" | "outlier";

/** An event as stored, with what this server knows of it beside its PDU. */
export interface EventRecord {
  /** Local number, in order of arrival. */
  readonly eventNid: number;
  readonly eventId: EventId;
  /** Null for what no client may see; negative for history fetched later. */
  readonly streamPosition: number | null;
  readonly status: EventStatus;
  readonly depth: number;
  /** ms since epoch, as its sender claims */
  readonly originServerTs: number;
  readonly sender: UserId;
  readonly type: string;
  /** Null: not a state event. */
  readonly stateKey: string | null;
  /** The state before and after the event; equal for message events. Without a state after it, it is an outlier. */
  readonly stateRootBefore: StateRoot;
  readonly stateRootAfter: StateRoot;
  /** The room's current state once the event was stored; null without a position in the live room. */
  readonly currentRoot: StateRoot;
  /** Place in the index of auth chains; null: not a state event, or rejected. */
  readonly authPosition: ChainPosition | null;
  /** The redaction that was applied. `event` is the original all the same: whoever serves it prunes it. */
  readonly redactedBy: EventId | null;
  /** The device and transaction id of the request that made it. */
  readonly deviceId: string | null;
  readonly txnId: string | null;
  /** The event itself; its JSON is parsed when a field is first asked for. */
  readonly event: MatrixEvent;
  /** Characters of its JSON. */
  readonly jsonLength: number;
}

/** An event to be stored. `json` is its PDU as canonical JSON. */
export type NewEvent = Omit<EventRecord, "redactedBy" | "jsonLength"> & { readonly json: string };

type EventRow = {
  event_nid: number;
  event_id: EventId;
  stream_position: number | null;
  status: EventStatus;
  depth: number;
  origin_server_ts: number;
  sender: UserId;
  type: string;
  state_key: string | null;
  state_root_before: number | null;
  state_root_after: number | null;
  current_root: number | null;
  auth_chain: number | null;
  auth_sequence: number | null;
  redacted_by: EventId | null;
  device_id: string | null;
  txn_id: string | null;
  json: string;
};

const columns = `e.event_nid, e.event_id, e.stream_position, e.status, e.depth, e.origin_server_ts, e.sender, e.type,
  e.state_key, e.state_root_before, e.state_root_after, e.current_root, e.auth_chain, e.auth_sequence, e.redacted_by,
  e.device_id, e.txn_id, e.json`;

/** Larger events are not worth their room in the cache. */
const maxCachedJson = 16_384;

/** SQL of the table `events`. */
export class EventsReader {
  protected readonly sql: Sql;
  protected readonly caches: RoomCaches;
  readonly #room: RoomReader;

  constructor(sql: Sql, caches: RoomCaches) {
    this.sql = sql;
    this.caches = caches;
    this.#room = new RoomReader(sql, caches);
  }

  byId(eventId: EventId): EventRecord | null {
    const nid = this.caches.eventNids.get(eventId);
    const cached = nid === undefined ? undefined : this.caches.events.get(nid);
    if (cached !== undefined) return cached;
    const row = this.sql.one<EventRow>(`SELECT ${columns} FROM events e WHERE e.event_id = ?`, eventId);
    if (row === null) return null;
    const record = this.#recordOf(row);
    this.caches.eventNids.set(eventId, row.event_nid);
    if (row.json.length <= maxCachedJson) this.caches.events.set(row.event_nid, record);
    return record;
  }

  /** @throws Error when there is no such event: numbers are only taken from this database. */
  byNid(eventNid: number): EventRecord {
    const cached = this.caches.events.get(eventNid);
    if (cached !== undefined) return cached;
    const row = this.sql.one<EventRow>(`SELECT ${columns} FROM events e WHERE e.event_nid = ?`, eventNid);
    if (row === null) throw new Error("an event that the room refers to is missing");
    const record = this.#recordOf(row);
    if (row.json.length <= maxCachedJson) this.caches.events.set(eventNid, record);
    return record;
  }

  /** The events of these numbers, in the order of the numbers given. */
  byNids(eventNids: readonly number[]): EventRecord[] {
    const rows = this.sql.all<EventRow>(
      `SELECT ${columns} FROM json_each(?) AS wanted JOIN events e ON e.event_nid = wanted.value ORDER BY wanted.key`,
      JSON.stringify(eventNids),
    );
    return rows.map((row) => this.#recordOf(row));
  }

  /** The event that took a position of the stream; null: a receipt or a change of typing did, or nothing. */
  atPosition(streamPosition: number): EventRecord | null {
    const row = this.sql.one<EventRow>(`SELECT ${columns} FROM events e WHERE e.stream_position = ?`, streamPosition);
    return row === null ? null : this.#recordOf(row);
  }

  /** Events with `after` < position ≤ `through`, oldest first. */
  forward(after: number, through: number, limit: number): EventRecord[] {
    const rows = this.sql.all<EventRow>(
      `SELECT ${columns} FROM events e WHERE e.stream_position > +? AND e.stream_position <= +?
       ORDER BY e.stream_position LIMIT +?`,
      after,
      through,
      limit,
    );
    return rows.map((row) => this.#recordOf(row));
  }

  /** Events with `after` < position ≤ `through`, newest first. */
  backward(through: number, after: number, limit: number): EventRecord[] {
    const rows = this.sql.all<EventRow>(
      `SELECT ${columns} FROM events e WHERE e.stream_position > +? AND e.stream_position <= +?
       ORDER BY e.stream_position DESC LIMIT +?`,
      after,
      through,
      limit,
    );
    return rows.map((row) => this.#recordOf(row));
  }

  /** Position of the oldest event that clients may be given; null when there is none. */
  oldestPosition(): number | null {
    const query = "SELECT MIN(stream_position) AS position FROM events WHERE stream_position IS NOT NULL";
    return this.sql.one<{ position: number | null }>(query)?.position ?? null;
  }

  /** Which of these events are not here, in their order. */
  unknownOf(eventIds: readonly EventId[]): EventId[] {
    return this.sql
      .all<{ event_id: EventId }>(
        `SELECT wanted.value AS event_id FROM json_each(?) AS wanted
         LEFT JOIN events e ON e.event_id = wanted.value WHERE e.event_nid IS NULL ORDER BY wanted.key`,
        JSON.stringify(eventIds),
      )
      .map((row) => row.event_id);
  }

  /** Which of these events have no place in the graph here, in their order: they are unknown, or outside of it. */
  unplacedOf(eventIds: readonly EventId[]): EventId[] {
    return this.sql
      .all<{ event_id: EventId }>(
        `SELECT wanted.value AS event_id FROM json_each(?) AS wanted
         LEFT JOIN events e ON e.event_id = wanted.value WHERE e.state_root_after IS NULL ORDER BY wanted.key`,
        JSON.stringify(eventIds),
      )
      .map((row) => row.event_id);
  }

  /** The state events among these, in the order of the ids. */
  stateKeysOf(
    eventIds: readonly EventId[],
  ): { eventNid: number; type: string; stateKey: string; status: EventStatus }[] {
    return this.sql
      .all<{ event_nid: number; type: string; state_key: string; status: EventStatus }>(
        `SELECT e.event_nid, e.type, e.state_key, e.status FROM json_each(?) AS wanted
         JOIN events e ON e.event_id = wanted.value WHERE e.state_key IS NOT NULL ORDER BY wanted.key`,
        JSON.stringify(eventIds),
      )
      .map((row) => ({ eventNid: row.event_nid, type: row.type, stateKey: row.state_key, status: row.status }));
  }

  #recordOf(row: EventRow): EventRecord {
    return {
      eventNid: row.event_nid,
      eventId: row.event_id,
      streamPosition: row.stream_position,
      status: row.status,
      depth: row.depth,
      originServerTs: row.origin_server_ts,
      sender: row.sender,
      type: row.type,
      stateKey: row.state_key,
      stateRootBefore: row.state_root_before,
      stateRootAfter: row.state_root_after,
      currentRoot: row.current_root,
      authPosition:
        row.auth_chain === null || row.auth_sequence === null
          ? null
          : { chain: row.auth_chain, sequence: row.auth_sequence },
      redactedBy: row.redacted_by,
      deviceId: row.device_id,
      txnId: row.txn_id,
      event: storedEvent(row.event_id, row.json, this.#room.rules()),
      jsonLength: row.json.length,
    };
  }
}

/** Exists only inside a transaction. Called by `persist.ts` and by nobody else. */
export class EventsWriter extends EventsReader {
  insert(event: NewEvent): void {
    this.caches.writes += 1;
    this.sql.run(
      `INSERT INTO events (event_nid, event_id, stream_position, status, depth, origin_server_ts, sender, type, state_key,
         state_root_before, state_root_after, current_root, auth_chain, auth_sequence, device_id, txn_id, json)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      event.eventNid,
      event.eventId,
      event.streamPosition,
      event.status,
      event.depth,
      event.originServerTs,
      event.sender,
      event.type,
      event.stateKey,
      event.stateRootBefore,
      event.stateRootAfter,
      event.currentRoot,
      event.authPosition?.chain ?? null,
      event.authPosition?.sequence ?? null,
      event.deviceId,
      event.txnId,
      event.json,
    );
  }

  /** Makes of an outlier, whose place in the graph is known now, what it is found to be. */
  place(event: Omit<NewEvent, "eventId" | "deviceId" | "txnId">): void {
    this.caches.writes += 1;
    this.caches.events.delete(event.eventNid);
    this.sql.run(
      `UPDATE events SET stream_position = ?, status = ?, state_root_before = ?, state_root_after = ?, current_root = ?,
         auth_chain = ?, auth_sequence = ?, json = ? WHERE event_nid = ?`,
      event.streamPosition,
      event.status,
      event.stateRootBefore,
      event.stateRootAfter,
      event.currentRoot,
      event.authPosition?.chain ?? null,
      event.authPosition?.sequence ?? null,
      event.json,
      event.eventNid,
    );
  }

  /** Takes a soft-failed event into the live room. */
  accept(eventNid: number, at: { streamPosition: number; currentRoot: StateRoot }): void {
    this.caches.writes += 1;
    this.caches.events.delete(eventNid);
    const query = "UPDATE events SET status = 'accepted', stream_position = ?, current_root = ? WHERE event_nid = ?";
    this.sql.run(query, at.streamPosition, at.currentRoot, eventNid);
  }

  /** Puts an event into the index of auth chains that was rejected when it came. */
  setAuthPosition(eventNid: number, { chain, sequence }: ChainPosition): void {
    this.caches.writes += 1;
    this.caches.events.delete(eventNid);
    this.sql.run("UPDATE events SET auth_chain = ?, auth_sequence = ? WHERE event_nid = ?", chain, sequence, eventNid);
  }

  /** Notes that a redaction applies, or (null) that none does. The JSON stays: only readers prune. */
  setRedacted(eventNid: number, redactedBy: EventId | null): void {
    this.sql.run("UPDATE events SET redacted_by = ? WHERE event_nid = ?", redactedBy, eventNid);
    this.caches.events.delete(eventNid);
    this.caches.writes += 1;
  }
}
