/** Storing, and then telling: the one way in which requests change the room. */
import type { RoomContext } from "./context.ts";
import { projectDirectory } from "./directory.ts";
import { fetchSigningKey, OldKey } from "./signing.ts";
import type { RoomTransaction } from "./store/index.ts";
import { deliverWakes } from "./wakes.ts";

/**
 * Runs `work` in the next commit and, once it is stored, lets everybody know who has to. What fails because the key that it
 * signs with is too old has changed nothing, and is run once more.
 */
export async function commit<T>(room: RoomContext, work: (tx: RoomTransaction) => T): Promise<T> {
  const { commits } = room.memory;
  const value = await commits.submit(work).catch(async (thrown: unknown) => {
    if (!(thrown instanceof OldKey)) throw thrown;
    await fetchSigningKey(room);
    return commits.submit(work);
  });
  afterCommit(room);
  return value;
}

/**
 * Delivers what the last commit owes: wakes to users, the room's summary to the directory. Several requests of one commit
 * share one delivery. What fails here is repeated by the alarm.
 */
export function afterCommit(room: RoomContext): void {
  if (room.memory.isDeliveryDue) return;
  room.memory.isDeliveryDue = true;
  room.background(async () => {
    await Promise.resolve();
    room.memory.isDeliveryDue = false;
    await Promise.all([deliverWakes(room), projectDirectory(room)]);
  });
}
