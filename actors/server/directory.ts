import type { RoomId, UserId } from "../../shared/ids.ts";
import { describeError } from "../../shared/log.ts";
import type { ServerContext } from "./context.ts";

/** Actors that are asked at the same time. */
const batchSize = 8;

/**
 * Has every room and user of this server write its copies in D1 anew, a batch at a time. One that fails is logged and
 * passed over: its own actor repeats what it owes.
 *
 * @returns how many did.
 */
export async function rebuildDirectory(server: ServerContext): Promise<{ rooms: number; users: number }> {
  const { register } = server.store;
  const rooms = await visitAll<RoomId>(
    server,
    (after) => register.roomsAfter(after, batchSize),
    (roomId) => server.actors.room(roomId).rebuildDirectory(),
  );
  const users = await visitAll<UserId>(
    server,
    (after) => register.usersAfter(after, batchSize),
    (userId) => server.actors.user(userId).rebuildDirectory(),
  );
  return { rooms, users };
}

async function visitAll<Id extends string>(
  server: ServerContext,
  next: (after: Id | "") => Id[],
  rebuild: (id: Id) => Promise<null>,
): Promise<number> {
  let visited = 0;
  let batch = next("");
  for (let last = batch.at(-1); last !== undefined; last = batch.at(-1)) {
    const outcomes = await Promise.allSettled(batch.map(rebuild));
    outcomes.forEach((outcome, index) => {
      if (outcome.status === "fulfilled") visited += 1;
      else server.log.error("copy not rebuilt", { of: batch[index], error: describeError(outcome.reason) });
    });
    await server.giveWay?.();
    batch = next(last);
  }
  return visited;
}
