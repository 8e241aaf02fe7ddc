import type { Sql } from "../../../schema/sql.ts";
import type { ServerName, UserId } from "../../../shared/ids.ts";
import type { Membership } from "../../../shared/rpc/room.ts";

/** Consumers on one page: one bit each in blobs of 256 bytes. */
export const consumersPerPage = 2048;
/** Servers have pages of their own, from this one on: most of what wakes users is no matter of theirs. */
const firstServerPage = 2 ** 20;
const firstServerNid = firstServerPage * consumersPerPage;

/** Who reads the room's log. */
export type Consumer =
  | { readonly kind: "user"; readonly name: UserId }
  | { readonly kind: "server"; readonly name: ServerName };

/** One page of wake bits. The blobs are this object's own: change them, then store the page. */
export interface WakePage {
  page: number;
  version: number;
  listening: Uint8Array;
  owed: Uint8Array;
  woken: Uint8Array;
}

/** Whom a wake would go to, and what it would say. */
export type WakeTarget =
  | {
      readonly kind: "user";
      readonly userId: UserId;
      readonly membership: Membership;
      /** Where the membership began. */
      readonly membershipPosition: number;
    }
  /** `since`: where the server began to follow the room; `until`: the last position that is for it, null: it is in the room. */
  | { readonly kind: "server"; readonly server: ServerName; readonly since: number; readonly until: number | null };

type PageRow = { page: number; version: number; listening: Uint8Array; owed: Uint8Array; woken: Uint8Array };

/** SQL of the tables `consumers` and `wake_pages`. Writing methods are for use inside a transaction only. */
export class WakeStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** The number of a consumer; null when it has none yet. Users and servers are each numbered densely. */
  findConsumer({ kind, name }: Consumer): number | null {
    const query = "SELECT consumer_nid FROM consumers WHERE kind = ? AND name = ?";
    return this.#sql.one<{ consumer_nid: number }>(query, kind, name)?.consumer_nid ?? null;
  }

  /** The number of a consumer, given out on first use. */
  internConsumer(consumer: Consumer): number {
    const known = this.findConsumer(consumer);
    if (known !== null) return known;
    const { kind, name } = consumer;
    const [first, end] = kind === "user" ? [0, firstServerNid] : [firstServerNid, Number.MAX_SAFE_INTEGER];
    const query = `SELECT consumer_nid FROM consumers WHERE consumer_nid >= ? AND consumer_nid < ?
      ORDER BY consumer_nid DESC LIMIT 1`;
    const newest = this.#sql.one<{ consumer_nid: number }>(query, first, end)?.consumer_nid;
    const next = newest === undefined ? first : newest + 1;
    this.#sql.run("INSERT INTO consumers (consumer_nid, kind, name) VALUES (?, ?, ?)", next, kind, name);
    return next;
  }

  /** What a wake to this consumer would say; null when the room has nothing to tell it. */
  findTarget(consumerNid: number): WakeTarget | null {
    return consumerNid < firstServerNid ? this.#findUser(consumerNid) : this.#findServer(consumerNid);
  }

  #findUser(consumerNid: number): WakeTarget | null {
    const row = this.#sql.one<{ user_id: UserId; membership: Membership; began_position: number }>(
      `SELECT m.user_id, m.membership, COALESCE(m.joined_position, m.stream_position) AS began_position FROM consumers c
       JOIN room_memberships m ON m.user_id = c.name
       WHERE c.consumer_nid = ? AND c.kind = 'user'`,
      consumerNid,
    );
    if (row === null) return null;
    const { user_id: userId, membership, began_position: membershipPosition } = row;
    return { kind: "user", userId, membership, membershipPosition };
  }

  #findServer(consumerNid: number): WakeTarget | null {
    const row = this.#sql.one<{ server: ServerName; since: number; until: number | null }>(
      `SELECT c.name AS server, MIN(s.since_position) AS since,
         CASE WHEN COUNT(s.until_position) < COUNT(*) THEN NULL ELSE MAX(s.until_position) END AS until
       FROM consumers c JOIN room_servers s ON s.server_name = c.name
       WHERE c.consumer_nid = ? AND c.kind = 'server' GROUP BY c.name`,
      consumerNid,
    );
    return row === null ? null : { kind: "server", ...row };
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

  /** The pages of all consumers, or of those of one kind. */
  pages(kind: Consumer["kind"] | null = null): WakePage[] {
    const query = `SELECT page, version, listening, owed, woken FROM wake_pages WHERE page >= ? AND page < ? ORDER BY page`;
    const first = kind === "server" ? firstServerPage : 0;
    const end = kind === "user" ? firstServerPage : Number.MAX_SAFE_INTEGER;
    return this.#sql.all<PageRow>(query, first, end).map(copyOf);
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
