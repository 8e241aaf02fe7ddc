/** Fetching what a join has left out: whole states, streamed to the room from the servers in it, in turn. */
import { stateRequest } from "../../../shared/federation-api/events.ts";
import type { EventId, RoomId, ServerName } from "../../../shared/ids.ts";
import { describeError } from "../../../shared/log.ts";
import type { EgressContext } from "../context.ts";
import { openPeer } from "../request.ts";
import { NextServer } from "./candidates.ts";
import { streamState } from "./join-state.ts";

/** A worker, and the room that it makes whole. */
interface Completion {
  readonly roomId: RoomId;
  readonly workerId: string;
}

/** Makes a room whole, behind the reply. Where that fails, the room knows when to begin anew. */
export function completeState(egress: EgressContext, completion: Completion): null {
  egress.background(async () => {
    try {
      await complete(egress, completion);
    } catch (thrown) {
      egress.log.warn("room not made whole", { room_id: completion.roomId, error: describeError(thrown) });
    }
  });
  return null;
}

async function complete(egress: EgressContext, completion: Completion): Promise<void> {
  const { roomId, workerId } = completion;
  const room = egress.actors.room(roomId);
  for (;;) {
    const step = await room.advanceCompletion({ workerId });
    if (step.kind === "done") return;
    if (step.kind === "more") continue;
    if (!(await fetchFromAny(egress, completion, step))) {
      await room.postponeCompletion({ workerId });
      return;
    }
  }
}

/** @returns false when no server could give the state */
async function fetchFromAny(
  egress: EgressContext,
  completion: Completion,
  { eventId, servers }: { eventId: EventId; servers: readonly ServerName[] },
): Promise<boolean> {
  for (const server of servers) {
    try {
      if (await fetchFrom(egress, completion, { eventId, server })) return true;
    } catch (thrown) {
      if (!(thrown instanceof NextServer)) throw thrown;
      const fields = { room_id: completion.roomId, server, reason: thrown.message };
      egress.log.info("state not fetched", fields);
      const { workerId } = completion;
      const broken = { workerId, eventId, stateEvents: 0, isWhole: false };
      await egress.actors.room(completion.roomId).finishWholeState(broken);
    }
  }
  return false;
}

async function fetchFrom(
  egress: EgressContext,
  { roomId, workerId }: Completion,
  { eventId, server }: { eventId: EventId; server: ServerName },
): Promise<boolean> {
  const room = egress.actors.room(roomId);
  const answer = await openPeer(egress, stateRequest(server, { roomId, eventId }));
  if (answer.kind === "unreachable") throw new NextServer(answer.reason);
  if (answer.status !== 200) {
    await answer.body.cancel();
    throw new NextServer(`it answered ${answer.status}`);
  }
  const { stateEvents } = await streamState(egress, answer, {
    server,
    give: (batch) => room.takeWholeState({ ...batch, workerId }),
  });
  for (;;) {
    const { kind } = await room.finishWholeState({ workerId, eventId, stateEvents, isWhole: true });
    if (kind === "refused") throw new NextServer("the state that it gave is not whole");
    if (kind === "taken") return true;
  }
}
