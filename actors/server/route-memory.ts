import type { StoredRoute } from "./store/routes.ts";

/** What an instance remembers of how its server is reached. */
export interface RouteMemory {
  /** Undefined: the database was not asked yet. */
  known: StoredRoute | null | undefined;
  /** Whether `known` is stored. */
  isStored: boolean;
  /** The look-up that is under way. */
  running: Promise<StoredRoute | null> | null;
}

export const newRouteMemory = (): RouteMemory => ({ known: undefined, isStored: false, running: null });
