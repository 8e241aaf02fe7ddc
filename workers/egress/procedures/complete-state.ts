/** Fetching what a join has left out: whole states, streamed to the room from the servers in it, in turn. */
import { stateRequest } from "../../../shared/federation-api/events.ts";
import type { EventId, RoomId, ServerName } from "../../../shared/ids.ts";
import type { AnswerProgress, CompletionStep } from "../../../shared/rpc/room-joining.ts";
import type { EgressContext } from "../context.ts";
import { openPeer } from "../request.ts";
import { NextServer } from "./candidates.ts";
import { streamState } from "./join-state.ts";
import { AnswerChanged } from "./state-batches.ts";
import { findKeys } from "./verify-state.ts";

/** A worker, and the room that it makes whole. */
interface Completion {
  readonly roomId: RoomId;
  readonly workerId: string;
}

/**
 * Makes a room whole. It takes as long as the servers take to tell, and lasts no longer than the room waits for it.
 * @throws MatrixError M_UNKNOWN (409) when another worker has taken its place
 */
export async function completeState(egress: EgressContext, completion: Completion): Promise<null> {
  const { roomId, workerId } = completion;
  const room = egress.actors.room(roomId);
  for (;;) {
    const step = await room.advanceCompletion({ workerId });
    if (step.kind === "done") return null;
    if (step.kind === "more") continue;
    if (step.kind === "verify") {
      await room.takeKeys({ workerId, keys: await findKeys(egress, step) });
      continue;
    }
    if (!(await fetchFromAny(egress, completion, step))) return await room.postponeCompletion({ workerId });
  }
}

/** @returns false when no server could give the state */
async function fetchFromAny(
  egress: EgressContext,
  completion: Completion,
  { eventId, servers, begun }: Extract<CompletionStep, { kind: "fetch" }>,
): Promise<boolean> {
  for (const server of servers) {
    try {
      const from = { eventId, server, begun: begun?.server === server ? begun : null };
      await fetchOnFrom(egress, completion, from);
      return true;
    } catch (thrown) {
      if (!(thrown instanceof NextServer)) throw thrown;
      egress.log.info("state not fetched", { room_id: completion.roomId, server, reason: thrown.message });
    }
  }
  return false;
}

interface From {
  readonly eventId: EventId;
  readonly server: ServerName;
  readonly begun: AnswerProgress | null;
}

/** Goes on with the answer that was begun or, when the server answers otherwise now, takes it from its beginning. */
async function fetchOnFrom(egress: EgressContext, completion: Completion, from: From): Promise<void> {
  try {
    await fetchFrom(egress, completion, from);
  } catch (thrown) {
    if (!(thrown instanceof AnswerChanged)) throw thrown;
    const { roomId, workerId } = completion;
    egress.log.info("state begun anew", { room_id: roomId, server: from.server, reason: thrown.message });
    await egress.actors.room(roomId).dropWholeState({ workerId });
    await fetchFrom(egress, completion, { ...from, begun: null });
  }
}

async function fetchFrom(
  egress: EgressContext,
  { roomId, workerId }: Completion,
  { eventId, server, begun }: From,
): Promise<void> {
  const room = egress.actors.room(roomId);
  const answer = await openPeer(egress, stateRequest(server, { roomId, eventId }));
  if (answer.kind === "unreachable") throw new NextServer(answer.reason);
  if (answer.status !== 200) {
    await answer.body.cancel();
    throw new NextServer(`it answered ${answer.status}`);
  }
  const { stateEvents } = await streamState(egress, answer, {
    server,
    begun,
    give: (batch) => room.takeWholeState({ ...batch, server, workerId }),
  });
  for (;;) {
    const { kind } = await room.finishWholeState({ workerId, server, eventId, stateEvents });
    if (kind === "refused") throw new NextServer("the state that it gave is not whole");
    if (kind === "taken") return;
  }
}
