import type { Sql } from "../../../schema/sql.ts";
import type { RoomCaches } from "./cache.ts";

export interface StateKeyRecord {
  readonly stateKeyNid: number;
  readonly type: string;
  readonly stateKey: string;
}

type StateKeyRow = { state_key_nid: number; type: string; state_key: string };

/** Keys that are given out in one statement: with the longest keys, a few hundred kilobytes of JSON. */
const internBatch = 500;

/** SQL of the table `state_keys`: `(type, state_key)` as dense integers. */
export class StateKeysReader {
  protected readonly sql: Sql;
  protected readonly caches: RoomCaches;

  constructor(sql: Sql, caches: RoomCaches) {
    this.sql = sql;
    this.caches = caches;
  }

  /** Null: no event of the room ever had this key. */
  find(type: string, stateKey: string): number | null {
    const name = cacheName(type, stateKey);
    const cached = name === null ? undefined : this.caches.stateKeys.get(name);
    if (cached !== undefined) return cached;
    const query = "SELECT state_key_nid FROM state_keys WHERE type = ? AND state_key = ?";
    const nid = this.sql.one<{ state_key_nid: number }>(query, type, stateKey)?.state_key_nid ?? null;
    if (nid !== null && name !== null) this.caches.stateKeys.set(name, nid);
    return nid;
  }

  /** The key that an event sets; null: it is not a state event, or in no state. */
  findOfEvent(eventNid: number): number | null {
    const query = `SELECT k.state_key_nid FROM events e CROSS JOIN state_keys k
       WHERE e.event_nid = ? AND k.type = e.type AND k.state_key = e.state_key`;
    return this.sql.one<{ state_key_nid: number }>(query, eventNid)?.state_key_nid ?? null;
  }

  /** @throws Error when there is no such key: numbers are only taken from this database. */
  byNid(stateKeyNid: number): StateKeyRecord {
    const query = "SELECT state_key_nid, type, state_key FROM state_keys WHERE state_key_nid = ?";
    const row = this.sql.one<StateKeyRow>(query, stateKeyNid);
    if (row === null) throw new Error("a state key that the room refers to is missing");
    return recordOf(row);
  }

  /** The keys of these numbers, in the order of the numbers given. */
  byNids(stateKeyNids: readonly number[]): StateKeyRecord[] {
    const query = `SELECT k.state_key_nid, k.type, k.state_key FROM json_each(?) AS wanted
       JOIN state_keys k ON k.state_key_nid = wanted.value ORDER BY wanted.key`;
    return this.sql.all<StateKeyRow>(query, JSON.stringify(stateKeyNids)).map(recordOf);
  }

  /** Every key of an event type that the room ever had. */
  ofType(type: string): StateKeyRecord[] {
    const query = "SELECT state_key_nid, type, state_key FROM state_keys WHERE type = ? ORDER BY state_key_nid";
    return this.sql.all<StateKeyRow>(query, type).map(recordOf);
  }

  /** Whether there are more keys of an event type than `count`. */
  hasMoreOfType(type: string, count: number): boolean {
    const query = "SELECT state_key_nid FROM state_keys WHERE type = ? LIMIT 1 OFFSET +?";
    return this.sql.one<{ state_key_nid: number }>(query, type, count) !== null;
  }

  /** The member keys of users whose ids end in a server's name, in order of appearance, at most `limit`. */
  membersOf(server: string, limit: number): number[] {
    const query = `SELECT state_key_nid FROM state_keys WHERE type = 'm.room.member' AND substr(state_key, -length(?1)) = ?1
       ORDER BY state_key_nid LIMIT +?2`;
    return this.sql.all<{ state_key_nid: number }>(query, `:${server}`, limit).map((row) => row.state_key_nid);
  }

  /** Every key that the room ever had, but for those of one event type, by ascending number. */
  exceptType(type: string): StateKeyRecord[] {
    // Two ranges, so that the index passes over the rows of the type. Not sorted here: for ORDER BY's sake the planner
    // would walk the whole table by its number, twice.
    const query = `SELECT state_key_nid, type, state_key FROM state_keys WHERE type < ?
       UNION ALL SELECT state_key_nid, type, state_key FROM state_keys WHERE type > ?`;
    const keys = this.sql.all<StateKeyRow>(query, type, type).map(recordOf);
    return keys.sort((left, right) => left.stateKeyNid - right.stateKeyNid);
  }
}

/** Exists only inside a transaction. */
export class StateKeysWriter extends StateKeysReader {
  /** The number of a key, given out on first use. */
  intern(type: string, stateKey: string): number {
    const known = this.find(type, stateKey);
    if (known !== null) return known;
    const row = this.sql.one<{ state_key_nid: number }>(
      "INSERT INTO state_keys (type, state_key) VALUES (?, ?) RETURNING state_key_nid",
      type,
      stateKey,
    );
    if (row === null) throw new Error("a state key was not stored");
    this.caches.writes += 1;
    return row.state_key_nid;
  }

  /** The numbers of many keys, in the order given; given out on first use, in that order. */
  internAll(keys: readonly (readonly [type: string, stateKey: string])[]): number[] {
    const nids: number[] = [];
    for (let start = 0; start < keys.length; start += internBatch) {
      const batch = keys.slice(start, start + internBatch);
      // SQLite ends a JSON string at its first NUL.
      const isPlain = batch.every(([type, stateKey]) => cacheName(type, stateKey) !== null);
      if (isPlain) nids.push(...this.#internBatch(JSON.stringify(batch)));
      else for (const [type, stateKey] of batch) nids.push(this.intern(type, stateKey));
    }
    return nids;
  }

  #internBatch(keys: string): number[] {
    this.caches.writes += 1;
    this.sql.run(
      `INSERT INTO state_keys (type, state_key) SELECT value ->> 0, value ->> 1 FROM json_each(?) WHERE true
       ON CONFLICT DO NOTHING`,
      keys,
    );
    const query = `SELECT k.state_key_nid FROM json_each(?) AS wanted CROSS JOIN state_keys k
       WHERE k.type = wanted.value ->> 0 AND k.state_key = wanted.value ->> 1 ORDER BY wanted.key`;
    return this.sql.all<{ state_key_nid: number }>(query, keys).map((row) => row.state_key_nid);
  }
}

function cacheName(type: string, stateKey: string): string | null {
  return type.includes("\0") || stateKey.includes("\0") ? null : `${type}\0${stateKey}`;
}

function recordOf(row: StateKeyRow): StateKeyRecord {
  return { stateKeyNid: row.state_key_nid, type: row.type, stateKey: row.state_key };
}
