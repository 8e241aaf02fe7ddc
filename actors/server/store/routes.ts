import type { Sql } from "../../../schema/sql.ts";
import { isObject, parseStored } from "../../../shared/json.ts";
import type { FoundRoute, Route } from "../../../shared/rpc/server-peer.ts";

/** A route with its times, in ms since epoch. */
export interface StoredRoute extends FoundRoute {
  readonly foundTs: number;
  readonly expiresTs: number;
}

interface RouteRow extends Record<string, string | number> {
  targets: string;
  host_header: string;
  tls_name: string;
  is_delegated: number;
  failures: number;
  found_ts: number;
  expires_ts: number;
}

/** SQL of the table `routes`. */
export class RoutesReader {
  protected readonly sql: Sql;

  constructor(sql: Sql) {
    this.sql = sql;
  }

  find(): StoredRoute | null {
    const row = this.sql.one<RouteRow>(
      "SELECT targets, host_header, tls_name, is_delegated, failures, found_ts, expires_ts FROM routes",
    );
    if (row === null) return null;
    return {
      route: { targets: parseTargets(row.targets), hostHeader: row.host_header, tlsName: row.tls_name },
      isDelegated: row.is_delegated === 1,
      failures: row.failures,
      foundTs: row.found_ts,
      expiresTs: row.expires_ts,
    };
  }
}

/** Exists only inside a transaction. */
export class RoutesWriter extends RoutesReader {
  set({ route, isDelegated, failures, foundTs, expiresTs }: StoredRoute): void {
    this.sql.run(
      "INSERT OR REPLACE INTO routes (route_nid, targets, host_header, tls_name, is_delegated, failures, found_ts, expires_ts) VALUES (1, ?, ?, ?, ?, ?, ?, ?)",
      JSON.stringify(route.targets),
      route.hostHeader,
      route.tlsName,
      isDelegated ? 1 : 0,
      failures,
      foundTs,
      expiresTs,
    );
  }
}

function parseTargets(text: string): Route["targets"] {
  const stored = parseStored(text);
  if (!Array.isArray(stored)) throw new Error("stored targets are not a list");
  return stored.filter(isObject).map(({ host, port }) => ({ host: String(host), port: Number(port) }));
}
