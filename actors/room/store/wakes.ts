import type { Sql } from "../../../schema/sql.ts";
import type { UserId } from "../../../shared/ids.ts";
import type { Membership } from "../../../shared/rpc/room.ts";

/** Consumers on one page: one bit each in blobs of 256 bytes. */
export const consumersPerPage = 2048;

/** One page of wake bits. The blobs are this object's own: change them, then store the page. */
export interface WakePage {
  page: number;
  version: number;
  listening: Uint8Array;
  owed: Uint8Array;
  woken: Uint8Array;
}

/** Whom a wake would go to, and what it would say. */
export interface WakeTarget {
  userId: UserId;
  membership: Membership;
  membershipPosition: number;
}

type PageRow = { page: number; version: number; listening: Uint8Array; owed: Uint8Array; woken: Uint8Array };

/** SQL of the tables `consumers` and `wake_pages`. Writing methods are for use inside a transaction only. */
export class WakeStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** The dense number of a local user among the room's consumers; null when it has none yet. */
  findConsumer(userId: UserId): number | null {
    const query = "SELECT consumer_nid FROM consumers WHERE kind = 'user' AND name = ?";
    return this.#sql.one<{ consumer_nid: number }>(query, userId)?.consumer_nid ?? null;
  }

  /** The number of a local user, given out on first use. */
  internConsumer(userId: UserId): number {
    const known = this.findConsumer(userId);
    if (known !== null) return known;
    const query = "SELECT COALESCE(MAX(consumer_nid), -1) + 1 AS next FROM consumers";
    const next = this.#sql.one<{ next: number }>(query)?.next ?? 0;
    this.#sql.run("INSERT INTO consumers (consumer_nid, kind, name) VALUES (?, 'user', ?)", next, userId);
    return next;
  }

  /** What a wake to this consumer would say; null when it has no member event here. */
  findTarget(consumerNid: number): WakeTarget | null {
    const row = this.#sql.one<{ user_id: UserId; membership: Membership; stream_position: number }>(
      `SELECT m.user_id, m.membership, m.stream_position FROM consumers c
       JOIN room_memberships m ON m.user_id = c.name
       WHERE c.consumer_nid = ? AND c.kind = 'user'`,
      consumerNid,
    );
    if (row === null) return null;
    return { userId: row.user_id, membership: row.membership, membershipPosition: row.stream_position };
  }

  /** Current membership of a user; null without a member event. */
  findMembership(userId: UserId): Membership | null {
    const query = "SELECT membership FROM room_memberships WHERE user_id = ?";
    return this.#sql.one<{ membership: Membership }>(query, userId)?.membership ?? null;
  }

  /** Newest position of the room's stream. */
  head(): number {
    return this.#sql.one<{ stream_position: number }>("SELECT stream_position FROM room")?.stream_position ?? 0;
  }

  pages(): WakePage[] {
    return this.#sql
      .all<PageRow>("SELECT page, version, listening, owed, woken FROM wake_pages ORDER BY page")
      .map(copyOf);
  }

  /** The page, or an empty one at version 0 that is not stored yet. */
  page(page: number): WakePage {
    const query = "SELECT page, version, listening, owed, woken FROM wake_pages WHERE page = ?";
    const row = this.#sql.one<PageRow>(query, page);
    if (row !== null) return copyOf(row);
    const bytes = consumersPerPage / 8;
    const empty = { listening: new Uint8Array(bytes), owed: new Uint8Array(bytes), woken: new Uint8Array(bytes) };
    return { page, version: 0, ...empty };
  }

  /** Stores the page under its next version. */
  store(page: WakePage): void {
    this.#sql.run(
      `INSERT INTO wake_pages (page, version, listening, owed, woken) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (page) DO UPDATE SET version = excluded.version, listening = excluded.listening,
         owed = excluded.owed, woken = excluded.woken`,
      page.page,
      page.version + 1,
      page.listening,
      page.owed,
      page.woken,
    );
  }
}

function copyOf(row: PageRow): WakePage {
  return {
    page: row.page,
    version: row.version,
    listening: row.listening.slice(),
    owed: row.owed.slice(),
    woken: row.woken.slice(),
  };
}
