import type { ServerName } from "../../shared/ids.ts";
import { RateLimiter } from "../../shared/rate-limit.ts";
import type { ActorContext } from "../context.ts";
import { type ContactMemory, newContactMemory } from "./contact-memory.ts";
import { type InboxMemory, newInboxMemory } from "./inbox-memory.ts";
import { newOutboxMemory, type OutboxMemory } from "./outbox-memory.ts";
import { newRouteMemory, type RouteMemory } from "./route-memory.ts";
import { ServerStore } from "./store/index.ts";
import type { KeyFetch, KeySource } from "./store/verify-keys.ts";

/** What an instance remembers beside its database; may be lost at any time. */
export interface ServerMemory {
  /** Counts requests by the address that they come from. */
  readonly limiter: RateLimiter;
  readonly keyFetches: KeyFetchMemory;
  readonly inbox: InboxMemory;
  readonly outbox: OutboxMemory;
  readonly contact: ContactMemory;
  readonly route: RouteMemory;
}

/** What is remembered of fetching another server's keys. */
export interface KeyFetchMemory {
  /** Fetches that are under way. */
  readonly running: Record<KeySource, Promise<void> | null>;
  /** The last attempts; null: see the database. */
  readonly last: Record<KeySource, KeyFetch | null>;
  /** ms since epoch: when an attempt failed last that somebody had caused who had not proven anything. */
  strangerFailedTs: number | null;
}

/** All that the functions of one server's actor work on. */
export interface ServerContext extends ActorContext {
  readonly serverName: ServerName;
  readonly store: ServerStore;
  readonly memory: ServerMemory;
}

/** Makes the context of one instance of a server's actor, in production and in the simulator alike. */
export function serverContext(base: ActorContext, serverName: ServerName): ServerContext {
  const limiter = new RateLimiter(base.clock, { isOn: base.config.rateLimits });
  return {
    ...base,
    serverName,
    store: new ServerStore(base.sql),
    memory: {
      limiter,
      keyFetches: {
        running: { server: null, keyServers: null },
        last: { server: null, keyServers: null },
        strangerFailedTs: null,
      },
      inbox: newInboxMemory(),
      outbox: newOutboxMemory(),
      contact: newContactMemory(),
      route: newRouteMemory(),
    },
  };
}
