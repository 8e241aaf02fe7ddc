/**
 * How another server is reached. Finding out is the egress's business, once for all who ask; here it is kept, and stored once
 * the server is one that this server has to do with: names that nobody has leave nothing behind.
 *
 * @see https://spec.matrix.org/v1.19/server-server-api/#resolving-server-names
 */
import type { Passage, Route } from "../../shared/rpc/server-peer.ts";
import { chargeAttempt, dueTs, findAccount } from "./contact.ts";
import type { ServerContext } from "./context.ts";
import type { StoredRoute } from "./store/routes.ts";

/**
 * How long after its time the route is still used to a server that does not answer: "servers are encouraged to exponentially
 * back off for repeated failures". Else each attempt would be two requests, one of them for where to make the other.
 */
const graceMs = 24 * 60 * 60 * 1000;

/**
 * The route to the server, after looking for it where that is due; or why it is not asked now.
 * @see https://spec.matrix.org/v1.19/server-server-api/#resolving-server-names
 */
export async function fetchRoute(
  server: ServerContext,
  { isForStranger }: { isForStranger: boolean },
): Promise<Passage> {
  const isCharged = findAccount(server) !== null && !isForStranger;
  const untilTs = dueTs(server);
  if (isCharged && server.clock.now() < untilTs) {
    return { kind: "closed", reason: `${server.serverName} has not answered lately`, untilTs };
  }
  if (isCharged) chargeAttempt(server);
  const mayHaveMoved = isForStranger || server.memory.contact.hasSpoken;
  const known = usableRoute(server, mayHaveMoved) ?? (await lookUpOnce(server));
  if (known === null) return { kind: "closed", reason: "not a name that can be resolved", untilTs: null };
  const { route } = known;
  const attempts = findAccount(server)?.attempts ?? 0;
  const isAway = attempts > 0;
  const isTrial = isAway || !server.memory.route.isStored;
  return { kind: "open", route: isAway ? oneOf(route, attempts) : route, isTrial, isAway };
}

/** Stores the route, if it is not yet: the server has answered, or it is one that this server has to do with. */
export function storeRoute(server: ServerContext): void {
  const { route } = server.memory;
  const { known } = route;
  if (route.isStored || known === undefined || known === null) return;
  server.store.transaction((tx) => tx.routes.set(known));
  route.isStored = true;
}

/** One of the server's addresses, at each attempt another. */
function oneOf(route: Route, attempts: number): Route {
  const target = route.targets[attempts % route.targets.length];
  return target === undefined ? route : { ...route, targets: [target] };
}

function knownRoute(server: ServerContext): StoredRoute | null {
  const { route } = server.memory;
  if (route.known === undefined) {
    route.known = server.store.routes.find();
    route.isStored = route.known !== null;
  }
  return route.known;
}

/** The route that is known, if the server need not be looked for anew. */
function usableRoute(server: ServerContext, mayHaveMoved: boolean): StoredRoute | null {
  const known = knownRoute(server);
  if (known === null) return null;
  const isAway = findAccount(server) !== null && !mayHaveMoved;
  return server.clock.now() < known.expiresTs + (isAway ? graceMs : 0) ? known : null;
}

/** One look-up at a time, which all share who come meanwhile. */
async function lookUpOnce(server: ServerContext): Promise<StoredRoute | null> {
  const { route } = server.memory;
  route.running ??= lookUp(server).finally(() => {
    route.running = null;
  });
  return await route.running;
}

async function lookUp(server: ServerContext): Promise<StoredRoute | null> {
  const { route: memory, contact } = server.memory;
  const stored = knownRoute(server);
  const known = stored === null ? null : { ...stored, ageMs: server.clock.now() - stored.foundTs };
  const { found, requests } = await server.egress.discover({ serverName: server.serverName, known });
  if (found === null) return null;
  const { route, isDelegated, failures, validForMs } = found;
  const now = server.clock.now();
  // One that is only kept because nothing newer could be had stays as old as it is.
  const foundTs = isDelegated && failures > 0 && stored !== null ? stored.foundTs : now;
  memory.known = { route, isDelegated, failures, foundTs, expiresTs: now + validForMs };
  memory.isStored = false;
  contact.hasSpoken = false;
  if (requests > 0) contact.lookedUpTs = now;
  if (server.store.contact.isKnown()) storeRoute(server);
  return memory.known;
}
