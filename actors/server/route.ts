/**
 * How another server is reached, as it was found last. Finding out is the egress's business; here it is kept, and only
 * once the server has answered: names that nobody has leave nothing behind.
 *
 * @see https://spec.matrix.org/v1.19/server-server-api/#resolving-server-names
 */
import type { FoundRoute, KnownRoute } from "../../shared/rpc/server-peer.ts";
import type { ServerContext } from "./context.ts";

/** The route that was stored last, and whether it is still fresh. */
export function findRoute(server: ServerContext): KnownRoute | null {
  const stored = server.store.routes.find();
  if (stored === null) return null;
  const now = server.clock.now();
  const { route, isDelegated, failures, foundTs, expiresTs } = stored;
  return { route, isDelegated, failures, isFresh: now < expiresTs, ageMs: now - foundTs };
}

/** Stores a route. One that is only kept because nothing newer could be had stays as old as it is. */
export function setRoute(server: ServerContext, input: FoundRoute & { readonly validForMs: number }): void {
  const { route, isDelegated, failures, validForMs } = input;
  const now = server.clock.now();
  server.store.transaction((tx) => {
    const stored = tx.routes.find();
    const isKept = isDelegated && failures > 0 && stored !== null;
    const foundTs = isKept ? stored.foundTs : now;
    tx.routes.set({ route, isDelegated, failures, foundTs, expiresTs: now + validForMs });
  });
}
