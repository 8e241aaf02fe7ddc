import type { Sql } from "../../../schema/sql.ts";
import type { VerifyKey } from "../../../shared/matrix/key-ring.ts";

/** A key with where it is from. */
export interface StoredVerifyKey extends VerifyKey {
  /** Whether the server itself said so; else a key server did. */
  readonly isFromServer: boolean;
  readonly responseNid: number;
}

/** Whom keys are fetched from: the server that has them, or the key servers that the operator trusts. */
export type KeySource = "server" | "keyServers";

/** How the last attempt to fetch keys ended. */
export interface KeyFetch {
  /** ms since epoch */
  readonly attemptedTs: number;
  /** In a row; 0: the last attempt succeeded. */
  readonly failures: number;
}

interface KeyRow extends Record<string, string | number | null> {
  key_id: string;
  public_key: string;
  valid_until_ts: number;
  expired_ts: number | null;
  is_from_server: number;
  response_nid: number;
}

/** SQL of the tables `verify_keys`, `key_responses` and `key_fetches`. */
export class VerifyKeysReader {
  protected readonly sql: Sql;

  constructor(sql: Sql) {
    this.sql = sql;
  }

  /** All keys by their ids, those told last first. */
  all(): Map<string, StoredVerifyKey> {
    const rows = this.sql.all<KeyRow>(
      `SELECT key_id, public_key, valid_until_ts, expired_ts, is_from_server, response_nid FROM verify_keys
        ORDER BY response_nid DESC, key_id`,
    );
    return new Map(
      rows.map((row) => [
        row.key_id,
        {
          key: row.public_key,
          validUntilTs: row.valid_until_ts,
          expiredTs: row.expired_ts,
          isFromServer: row.is_from_server === 1,
          responseNid: row.response_nid,
        },
      ]),
    );
  }

  findFetch(source: KeySource): KeyFetch | null {
    const query = "SELECT attempted_ts, failures FROM key_fetches WHERE source = ?";
    const row = this.sql.one<{ attempted_ts: number; failures: number }>(query, source);
    return row === null ? null : { attemptedTs: row.attempted_ts, failures: row.failures };
  }

  findResponse(responseNid: number): { response: string; fetchedTs: number } | null {
    const query = "SELECT response, fetched_ts FROM key_responses WHERE response_nid = ?";
    const row = this.sql.one<{ response: string; fetched_ts: number }>(query, responseNid);
    return row === null ? null : { response: row.response, fetchedTs: row.fetched_ts };
  }
}

/** Exists only inside a transaction. */
export class VerifyKeysWriter extends VerifyKeysReader {
  set(keyId: string, key: StoredVerifyKey): void {
    this.sql.run(
      `INSERT OR REPLACE INTO verify_keys
         (key_id, public_key, valid_until_ts, expired_ts, is_from_server, response_nid) VALUES (?, ?, ?, ?, ?, ?)`,
      keyId,
      key.key,
      key.validUntilTs,
      key.expiredTs,
      key.isFromServer ? 1 : 0,
      key.responseNid,
    );
  }

  delete(keyId: string): void {
    this.sql.run("DELETE FROM verify_keys WHERE key_id = ?", keyId);
  }

  /** @returns the number of the response. */
  insertResponse(response: string, fetchedTs: number): number {
    const query = "INSERT INTO key_responses (response, fetched_ts) VALUES (?, ?) RETURNING response_nid";
    const row = this.sql.one<{ response_nid: number }>(query, response, fetchedTs);
    if (row === null) throw new Error("a stored response has no number");
    return row.response_nid;
  }

  /** Drops responses that have no key any more for which they are the newest. */
  dropOldResponses(): void {
    this.sql.run("DELETE FROM key_responses WHERE response_nid NOT IN (SELECT response_nid FROM verify_keys)");
  }

  setFetch(source: KeySource, { attemptedTs, failures }: KeyFetch): void {
    const query = "INSERT OR REPLACE INTO key_fetches (source, attempted_ts, failures) VALUES (?, ?, ?)";
    this.sql.run(query, source, attemptedTs, failures);
  }
}
