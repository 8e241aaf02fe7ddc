import type { Sql } from "../../../schema/sql.ts";
import { type EventId, type ServerName, trusted, type UserId } from "../../../shared/ids.ts";
import { parseStored } from "../../../shared/json.ts";
import type { KeyRing } from "../../../shared/matrix/key-ring.ts";
import type { OmittedMembers } from "../../../shared/rpc/room-joining.ts";
import type { PduText } from "../../../shared/rpc/room-peers.ts";
import type { StateRoot } from "../state-tree.ts";

/** The join by way of other servers that is under way. */
export interface JoinUnderWay {
  readonly joinId: string;
  readonly userId: UserId;
  readonly reason: string | null;
  readonly servers: ServerName[];
  /** `send`: another server may have it; `place`: all that it told is here. */
  readonly step: "send" | "place";
  readonly roomVersion: string;
  readonly pdu: PduText;
  /** The state before the join, as far as it is here. */
  readonly stateRoot: StateRoot;
  /** How often it was begun anew. */
  readonly attempts: number;
  /** Until when whoever works on it has said so, ms since epoch. */
  readonly leaseTs: number;
  /** When the alarm goes on with it, where nobody works on it, ms since epoch. */
  readonly retryTs: number;
}

/** What events wait for that could not be verified because the keys of who signed them are not known. */
export const forKeys = "keys";

/** An event that waits for one that authorizes it, or to be verified. */
export interface WaitingEvent {
  readonly eventId: EventId;
  readonly isState: boolean;
  readonly keys: KeyRing;
  readonly pdu: PduText;
}

type JoinRow = {
  join_id: string;
  user_id: UserId;
  reason: string | null;
  servers: string;
  step: JoinUnderWay["step"];
  room_version: string;
  pdu: string;
  state_root: number | null;
  attempts: number;
  lease_ts: number;
  retry_ts: number;
};

type WaitingRow = { event_id: EventId; is_state: number; keys: string; pdu: string };

/** Everything that an import may have written into a room of which no event is placed yet. */
const importedTables = [
  "room",
  "events",
  "event_edges",
  "event_auth_chains",
  "event_auth_chain_links",
  "pending_redactions",
  "state_keys",
  "state_nodes",
  "told_members",
];

/** Where events wait: those of a join, of a state that is completed, or of a join that nobody could verify. */
export type WaitingTable = "remote_join_events" | "partial_state_waiting" | "partial_state_unverified";

/** SQL of the tables `remote_join` and `remote_join_events`. Writing methods are for use inside a transaction only. */
export class RemoteJoinStore {
  readonly #sql: Sql;
  readonly #waiting: WaitingTable;

  constructor(sql: Sql, waiting: WaitingTable = "remote_join_events") {
    this.#sql = sql;
    this.#waiting = waiting;
  }

  /** Null: none is under way. */
  find(): JoinUnderWay | null {
    const row = this.#sql.one<JoinRow>(
      `SELECT join_id, user_id, reason, servers, step, room_version, pdu, state_root, attempts, lease_ts,
         retry_ts
       FROM remote_join WHERE id = 1`,
    );
    return row === null ? null : joinOf(row);
  }

  /** The keys that came with the join itself. */
  keys(): KeyRing {
    return ringOf(this.#sql.one<{ keys: string | null }>("SELECT keys FROM remote_join WHERE id = 1")?.keys ?? "{}");
  }

  /** Takes the place of an earlier one. */
  insert(join: Omit<JoinUnderWay, "step" | "stateRoot">): void {
    this.#sql.run(
      `INSERT OR REPLACE INTO remote_join (id, join_id, user_id, reason, servers, step, room_version, pdu, attempts,
         lease_ts, retry_ts) VALUES (1, ?, ?, ?, ?, 'send', ?, ?, ?, ?, ?)`,
      join.joinId,
      join.userId,
      join.reason,
      JSON.stringify(join.servers),
      join.roomVersion,
      join.pdu,
      join.attempts,
      join.leaseTs,
      join.retryTs,
    );
  }

  countAttempt(retryTs: number): void {
    this.#sql.run("UPDATE remote_join SET attempts = attempts + 1, retry_ts = ? WHERE id = 1", retryTs);
  }

  setComplete(complete: { pdu: PduText; keys: KeyRing; omitted: OmittedMembers | null }): void {
    const query = "UPDATE remote_join SET step = 'place', pdu = ?, keys = ?, omitted = ? WHERE id = 1";
    const omitted = complete.omitted === null ? null : JSON.stringify(complete.omitted);
    this.#sql.run(query, complete.pdu, JSON.stringify(complete.keys), omitted);
  }

  /** What was told in place of members that the state lacks; null: it is whole. */
  omitted(): OmittedMembers | null {
    const text = this.#sql.one<{ omitted: string | null }>("SELECT omitted FROM remote_join WHERE id = 1")?.omitted;
    // Written by this server itself.
    return text === null || text === undefined ? null : JSON.parse(text);
  }

  setStateRoot(root: StateRoot): void {
    this.#sql.run("UPDATE remote_join SET state_root = ? WHERE id = 1", root);
  }

  /** Whoever worked on it does so no more: the alarm may. */
  setIdle(nowMs: number): void {
    this.#sql.run("UPDATE remote_join SET lease_ts = ?1, retry_ts = ?1 WHERE id = 1", nowMs);
  }

  setLease(leaseTs: number): void {
    this.#sql.run("UPDATE remote_join SET lease_ts = ? WHERE id = 1", leaseTs);
  }

  /** An event of the state that is given once more as part of an auth chain stays one of the state. */
  putWaiting(event: WaitingEvent, waitsFor: EventId | typeof forKeys): void {
    this.#sql.run(
      `INSERT INTO ${this.#waiting} (event_id, is_state, waits_for, keys, pdu) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (event_id) DO UPDATE SET waits_for = excluded.waits_for, is_state = MAX(is_state, excluded.is_state)`,
      event.eventId,
      event.isState ? 1 : 0,
      waitsFor,
      JSON.stringify(event.keys),
      event.pdu,
    );
  }

  /** Lets those try again that waited for an event. */
  release(eventId: EventId): void {
    this.#sql.run(`UPDATE ${this.#waiting} SET waits_for = NULL WHERE waits_for = ?`, eventId);
  }

  /** Events for which nothing that is known is missing. */
  released(limit: number): WaitingEvent[] {
    const query = `SELECT event_id, is_state, keys, pdu FROM ${this.#waiting} WHERE waits_for IS NULL
      ORDER BY event_id LIMIT ?`;
    return this.#sql.all<WaitingRow>(query, limit).map((row) => ({
      eventId: row.event_id,
      isState: row.is_state === 1,
      keys: ringOf(row.keys),
      pdu: row.pdu,
    }));
  }

  isAnyWaiting(): boolean {
    return this.#sql.one<{ found: number }>(`SELECT 1 AS found FROM ${this.#waiting} LIMIT 1`) !== null;
  }

  countWaiting(): number {
    return this.#sql.one<{ count: number }>(`SELECT COUNT(*) AS count FROM ${this.#waiting}`)?.count ?? 0;
  }

  deleteWaiting(eventId: EventId): void {
    this.#sql.run(`DELETE FROM ${this.#waiting} WHERE event_id = ?`, eventId);
  }

  deleteAllWaiting(): void {
    this.#sql.run(`DELETE FROM ${this.#waiting}`);
  }

  delete(): void {
    this.#sql.run("DELETE FROM remote_join");
  }

  /** Takes back all of a room whose beginning was told by another server, and of which nothing is placed in the graph. */
  deleteImported(): void {
    for (const table of importedTables) this.#sql.run(`DELETE FROM ${table}`);
  }
}

function joinOf(row: JoinRow): JoinUnderWay {
  const servers = parseStored(row.servers);
  return {
    joinId: row.join_id,
    userId: row.user_id,
    reason: row.reason,
    servers: Array.isArray(servers) ? servers.map((server) => trusted.serverName(String(server))) : [],
    step: row.step,
    roomVersion: row.room_version,
    pdu: row.pdu,
    stateRoot: row.state_root,
    attempts: row.attempts,
    leaseTs: row.lease_ts,
    retryTs: row.retry_ts,
  };
}

/** Written by this server itself. */
function ringOf(text: string): KeyRing {
  return JSON.parse(text);
}
