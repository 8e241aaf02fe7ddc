/**
 * Who works on a join by way of other servers: a procedure of the egress, that lives as long as somebody waits for it. Here,
 * the room does, whatever becomes of the client.
 */
import type { EventId } from "../../shared/ids.ts";
import { describeError } from "../../shared/log.ts";
import type { RemoteMembership } from "../../shared/rpc/egress-membership.ts";
import type { RoomContext } from "./context.ts";

/** Joins, for a client that waits as long as it likes. @throws MatrixError why the user is not in the room */
export async function joinByOthers(room: RoomContext, input: RemoteMembership): Promise<{ eventId: EventId }> {
  const joining = room.egress.joinRoom(input);
  room.background(() => ended(joining));
  return await joining;
}

async function ended(work: Promise<unknown>): Promise<void> {
  await work.catch(() => undefined);
}

/** Goes on with a join that nobody waits for any more. */
export function resumeJoin(room: RoomContext, input: RemoteMembership): void {
  room.background(async () => {
    try {
      await room.egress.joinRoom(input);
    } catch (thrown) {
      room.log.warn("join not resumed", { room_id: input.roomId, error: describeError(thrown) });
    }
  });
}
