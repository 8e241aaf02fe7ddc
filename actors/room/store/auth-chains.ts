import type { Sql } from "../../../schema/sql.ts";

/** Where a state event stands in the index of auth chains. */
export interface ChainPosition {
  readonly chain: number;
  /** 1, 2, 3, … along the chain. */
  readonly sequence: number;
}

/** An event in a chain. */
export interface ChainEntry {
  readonly eventNid: number;
  readonly position: ChainPosition;
  readonly links: readonly ChainPosition[];
}

type ChainRow = { chain: number; sequence: number; event_nid: number; links: string | null };

/** SQL of the tables `event_auth_chains` and `event_auth_chain_links`. Knows nothing of what the chains mean. */
export class AuthChainsReader {
  protected readonly sql: Sql;

  constructor(sql: Sql) {
    this.sql = sql;
  }

  /** The events of a chain with `after` < sequence ≤ `through`, in order. */
  entries(chain: number, after: number, through: number, limit: number): ChainEntry[] {
    return this.sql
      .all<ChainRow>(
        `SELECT chain, sequence, event_nid, links FROM event_auth_chains
         WHERE chain = ? AND sequence > ? AND sequence <= ? ORDER BY sequence LIMIT +?`,
        chain,
        after,
        through,
        limit,
      )
      .map(entryOf);
  }

  /** The last events of a chain with sequence ≤ `through`, newest first. */
  newest(chain: number, through: number, limit: number): ChainEntry[] {
    return this.sql
      .all<ChainRow>(
        `SELECT chain, sequence, event_nid, links FROM event_auth_chains
         WHERE chain = ? AND sequence <= ? ORDER BY sequence DESC LIMIT +?`,
        chain,
        through,
        limit,
      )
      .map(entryOf);
  }

  /** Whether no event of its chain comes after a position. */
  isEnd({ chain, sequence }: ChainPosition): boolean {
    const query = "SELECT 1 AS found FROM event_auth_chains WHERE chain = ? AND sequence = ?";
    return this.sql.one<{ found: number }>(query, chain, sequence + 1) === null;
  }

  /** Where links into a chain at or after a position come from, by their targets; the first `skip` are passed over. */
  dependants({ chain, sequence }: ChainPosition, limit: number, skip: number): ChainPosition[] {
    return this.sql.all<{ chain: number; sequence: number }>(
      `SELECT chain, sequence FROM event_auth_chain_links WHERE target_chain = ? AND target_sequence >= ?
       ORDER BY target_sequence, chain, sequence LIMIT +? OFFSET +?`,
      chain,
      sequence,
      limit,
      skip,
    );
  }
}

/** Exists only inside a transaction. */
export class AuthChainsWriter extends AuthChainsReader {
  /** The number of a chain that does not exist yet. */
  newChain(): number {
    const query = "SELECT COALESCE(MAX(chain), 0) + 1 AS next FROM event_auth_chains";
    return this.sql.one<{ next: number }>(query)?.next ?? 1;
  }

  insert({ eventNid, position, links }: ChainEntry): void {
    this.sql.run(
      "INSERT INTO event_auth_chains (chain, sequence, event_nid, links) VALUES (?, ?, ?, ?)",
      position.chain,
      position.sequence,
      eventNid,
      links.length === 0 ? null : JSON.stringify(links.map(({ chain, sequence }) => [chain, sequence])),
    );
    for (const target of links) {
      this.sql.run(
        `INSERT INTO event_auth_chain_links (target_chain, target_sequence, chain, sequence) VALUES (?, ?, ?, ?)`,
        target.chain,
        target.sequence,
        position.chain,
        position.sequence,
      );
    }
  }
}

function entryOf(row: ChainRow): ChainEntry {
  return {
    eventNid: row.event_nid,
    position: { chain: row.chain, sequence: row.sequence },
    links: row.links === null ? [] : parseLinks(row.links),
  };
}

function parseLinks(text: string): ChainPosition[] {
  const parsed: [number, number][] = JSON.parse(text);
  return parsed.map(([chain, sequence]) => ({ chain, sequence }));
}
