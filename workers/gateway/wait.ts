import type { Services, Waiter } from "../../shared/endpoint.ts";
import { describeError } from "../../shared/log.ts";
import type { SyncInput, SyncResult, UserAuth } from "../../shared/rpc/user.ts";

/** Longest time that a request is held, whatever the client asks for. */
export const maxWaitMs = 120_000;

/**
 * Least time between two questions to the user's actor, by how many came before: a client that is told of news it may
 * not see, or two clients that take one device's line from one another, must not make a hot loop.
 */
const pausesMs = [0, 0, 0, 50, 200, 500] as const;
const longestPauseMs = 1000;

/**
 * Answers `/sync`, at once when there is something to tell, else when the user's actor says that there is, at the latest
 * after `timeoutMs`. The request is held here; the actor may sleep meanwhile.
 *
 * @see https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync
 */
export async function syncWhenNews(
  services: Services,
  auth: UserAuth,
  input: SyncInput,
  timeoutMs: number,
): Promise<SyncResult> {
  const user = services.actors.user(auth.userId);
  const deadline = services.clock.now() + Math.min(timeoutMs, maxWaitMs);
  let result = await user.sync(input);
  for (let round = 0; isWorthWaiting(services, result, deadline); round += 1) {
    await services.pause(Math.min(pausesMs[round] ?? longestPauseMs, deadline - services.clock.now()));
    const outcome = await waitForNews(services, auth, result.nextBatch, deadline);
    if (outcome === "timeout") break;
    if (outcome === "closed") await services.pause(Math.min(longestPauseMs, deadline - services.clock.now()));
    // What the empty answer has read need not be read again; nothing in it is left to acknowledge.
    result = await user.sync({ ...input, since: result.nextBatch });
    if (outcome === "closed") break;
  }
  return result;
}

function isWorthWaiting(services: Services, result: SyncResult, deadline: number): boolean {
  return result.isEmpty && services.clock.now() < deadline && !services.signal.aborted;
}

/** The line to the user's actor; null when it cannot be had, as while the actor restarts: the client then asks again. */
async function openWaiter(services: Services, auth: UserAuth, since: string): Promise<Waiter | null> {
  try {
    return await services.openWaiter(auth.userId, auth.deviceId, since);
  } catch (thrown) {
    services.log.warn("cannot wait for news", { user_id: auth.userId, error: describeError(thrown) });
    return null;
  }
}

/** Holds until the actor speaks of anything after `since`, the line breaks, or the time is over. */
async function waitForNews(
  services: Services,
  auth: UserAuth,
  since: string,
  deadline: number,
): Promise<"news" | "closed" | "timeout"> {
  const waiter = await openWaiter(services, auth, since);
  if (waiter === null) return "closed";
  const over = new AbortController();
  try {
    const timeout = services.pause(deadline - services.clock.now(), over.signal);
    return await Promise.race([waiter.outcome, timeout.then((): "timeout" => "timeout")]);
  } finally {
    over.abort();
    waiter.close();
  }
}
