/** What is said in a room between a server's asking how to join and its joining: the join follows none of it. */
import type { EventId, ServerName } from "../../shared/ids.ts";
import type { RoomContext } from "./context.ts";
import { ServerViewer } from "./serve-visibility.ts";
import type { RoomTransaction } from "./store/index.ts";
import { oweWakes } from "./wakes.ts";

/** Events that are sent beside the join, at most. A join that follows what is long past was not made just now. */
const maxOverlap = 50;

/**
 * Has a server that has joined be sent what came after the events that its join follows and before the join itself.
 * Nobody else would: others sent it to the servers that were in the room, and it is not part of the state that the server
 * was given; in a quiet room it would not hear of it before the next event. Also what other servers have sent.
 *
 * What the server's users may not see is left for it to ask for, which it is then given redacted.
 *
 * @param joinId the event with which the server has come into the room
 */
export function includeOverlap(room: RoomContext, tx: RoomTransaction, server: ServerName, joinId: EventId): void {
  const stay = tx.servers.findStay(server);
  const join = tx.events.byId(joinId);
  // It may have been in the room before, by way of another user.
  if (stay === null || join === null || stay.since !== join.streamPosition) return;
  const followed = join.event.prevEvents.map((eventId) => tx.events.byId(eventId)?.streamPosition ?? 0);
  const lastStay = tx.servers.staysOf(server).map(({ until }) => until ?? 0);
  const after = Math.max(...followed, ...lastStay);
  const between = tx.events.forward(after, join.streamPosition - 1, maxOverlap + 1);
  if (between.length === 0 || between.length > maxOverlap) return;
  const viewer = new ServerViewer(room, server);
  if (!between.every((record) => viewer.canSee(record))) return;
  for (const { streamPosition, eventNid } of between) {
    if (streamPosition !== null) tx.servers.includeOutbound(streamPosition, eventNid);
  }
  tx.servers.beginEarlier(stay, after);
  oweWakes(room, { membershipChanges: [], isForUsers: false, servers: { arrived: [], gone: [], visited: [server] } });
}
