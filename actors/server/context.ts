import type { ServerName } from "../../shared/ids.ts";
import { RateLimiter } from "../../shared/rate-limit.ts";
import type { ActorContext } from "../context.ts";
import { ServerStore } from "./store/index.ts";

/** What an instance remembers beside its database; may be lost at any time. */
export interface ServerMemory {
  /** Counts requests by the address that they come from. */
  readonly limiter: RateLimiter;
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
  return { ...base, serverName, store: new ServerStore(base.sql), memory: { limiter } };
}
