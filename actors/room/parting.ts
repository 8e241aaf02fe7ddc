/**
 * Servers that are put out of the room by what nobody sends them. An event goes to the servers that are in the room before
 * it, as its sender's server sees that. Where the graph forks, resolution may undo a join by an event of a branch on which
 * the join's server was not in the room, and was sent nothing: it would believe for ever that its user is in. So whoever took
 * it to be in gives it the ends of the graph that put it out; what is before them it may still ask for. The same holds
 * where a server was taken to be in while not all of the room was known.
 */
import { type ServerName, serverNameOf } from "../../shared/ids.ts";
import { membershipIn } from "../../shared/matrix/content/member.ts";
import type { MatrixEvent } from "../../shared/matrix/event.ts";
import { maxStates } from "./resolve.ts";
import type { MemberMove } from "./servers.ts";
import { findStateAt } from "./state.ts";
import type { StateRoot } from "./state-tree.ts";
import type { RoomTransaction } from "./store/index.ts";

/** What has put servers out. */
interface Parting {
  readonly gone: readonly ServerName[];
  readonly moves: readonly MemberMove[];
  /** The event by which it came to that, and the state before it; null: more is known of the room than was before. */
  readonly cause: { readonly event: MatrixEvent; readonly before: StateRoot } | null;
}

/**
 * Has the ends of the graph sent to servers that have just gone out of the room, and are not told so by who put them out.
 * To be called when the event and the current state are stored.
 *
 * @returns those servers: they are owed a wake
 */
export function sendEnds(tx: RoomTransaction, parting: Parting): ServerName[] {
  const untold = parting.gone.filter((server) => !isTold(tx, server, parting));
  if (untold.length === 0) return [];
  const ends = tx.extremities.forward(maxStates);
  const at = tx.room.get().streamPosition;
  const until = at + ends.length;
  for (const { eventNid } of ends) tx.servers.insertParting(tx.room.takePosition(), eventNid, until);
  for (const server of untold) tx.servers.endLater(server, at, until);
  return untold;
}

/** Whether all of the server's users who are out now are so by an event that was made while they were in: that is sent there. */
function isTold(tx: RoomTransaction, server: ServerName, { moves, cause }: Parting): boolean {
  if (cause === null) return false;
  const { event, before } = cause;
  return moves.every(({ userId, before: was, after }) => {
    if (serverNameOf(userId) !== server || was !== "join" || after === "join") return true;
    if (event.type !== "m.room.member" || event.stateKey !== userId) return false;
    const member = findStateAt(tx, before, "m.room.member", userId);
    return member !== null && membershipIn(member.event) === "join";
  });
}
