import type { Sql } from "../../../schema/sql.ts";
import type { RoomCaches } from "./cache.ts";

export interface StateKeyRecord {
  readonly stateKeyNid: number;
  readonly type: string;
  readonly stateKey: string;
}

type StateKeyRow = { state_key_nid: number; type: string; state_key: string };

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

  /** Every key that the room ever had, but for those of one event type. */
  exceptType(type: string): StateKeyRecord[] {
    // Two ranges, so that the index passes over the rows of the type.
    const query = `SELECT state_key_nid, type, state_key FROM state_keys WHERE type < ?
       UNION ALL SELECT state_key_nid, type, state_key FROM state_keys WHERE type > ? ORDER BY state_key_nid`;
    return this.sql.all<StateKeyRow>(query, type, type).map(recordOf);
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
}

function cacheName(type: string, stateKey: string): string | null {
  return type.includes("\0") || stateKey.includes("\0") ? null : `${type}\0${stateKey}`;
}

function recordOf(row: StateKeyRow): StateKeyRecord {
  return { stateKeyNid: row.state_key_nid, type: row.type, stateKey: row.state_key };
}
