/**
 * What a server that was in the room once knows of it, and who tells it the room anew may not: a ban, say, that has not
 * reached the server by way of which a user joins again. Nobody sends that a second time, to a server that they take to be
 * out of the room because of it. So an old end of the graph stays an end where the join shows that it was made without it.
 */
import { serverNameOf, type UserId } from "../../shared/ids.ts";
import type { MatrixEvent } from "../../shared/matrix/event.ts";
import { leadsTo } from "./auth-chains.ts";
import type { RoomContext } from "./context.ts";
import { resolveRoots } from "./resolve.ts";
import { findStateAt } from "./state.ts";
import type { StateRoot } from "./state-tree.ts";
import type { EventRecord } from "./store/events.ts";
import type { RoomTransaction } from "./store/index.ts";

/** Old ends that are looked at: as many as an event of this server follows. */
const maxEnds = 10;
/** Users of this server whose memberships are compared. */
const maxUsers = 1_000;

/** What a server tells of the room to one that joins it. */
export interface Told {
  /** The state before the join. */
  readonly root: StateRoot;
  readonly join: MatrixEvent;
  /** Whether that state may lack members: that it has none for a user then says nothing. */
  readonly mayLackMembers: boolean;
}

/**
 * The old ends of the graph that what was told does not come after. Each member event is authorized by the one before it
 * of the same user. So where the state after an end has a membership of a user of this server that is not behind the one
 * that was told, nor behind the join, the two are forks. Of another end nothing is known, and it is taken to be past: were
 * it kept, old state could take the place of new.
 */
export function formerEnds(room: RoomContext, tx: RoomTransaction, told: Told): EventRecord[] {
  const ends = tx.extremities.forward(maxEnds).map(({ eventNid }) => tx.events.byNid(eventNid));
  if (ends.length === 0) return [];
  const users = tx.memberships.local(maxUsers);
  const joiner = told.join.sender;
  if (serverNameOf(joiner) === room.config.serverName && !users.includes(joiner)) users.push(joiner);
  return ends.filter((end) => isFork(tx, told, { end, users }));
}

/** Whether the state after an end knows of a membership what the one that was told does not. */
function isFork(
  tx: RoomTransaction,
  told: Told,
  { end, users }: { end: EventRecord; users: readonly UserId[] },
): boolean {
  const { root, join, mayLackMembers } = told;
  const behind = join.authEvents.map((eventId) => tx.events.byId(eventId)).filter((record) => record !== null);
  const unknown: EventRecord[] = [];
  for (const userId of users) {
    const known = findStateAt(tx, end.stateRootAfter, "m.room.member", userId);
    const heard = findStateAt(tx, root, "m.room.member", userId);
    if (known === null || known.eventNid === heard?.eventNid) continue;
    // What there is of the user who joins, the join itself names.
    if (heard === null && mayLackMembers && userId !== join.sender) continue;
    unknown.push(known);
    if (heard !== null) behind.push(heard);
  }
  // What cannot be found out is taken to be past.
  return unknown.length > 0 && leadsTo(tx, behind, unknown) === false;
}

/**
 * The current state of a room that is joined again: what was told, resolved with the old ends that stay. Where that is more
 * than one resolution can do, what was told.
 */
export function withFormerEnds(
  tx: RoomTransaction,
  told: StateRoot,
  ends: readonly EventRecord[],
): { root: StateRoot; ends: readonly EventRecord[] } {
  const resolution = resolveRoots(tx, [told, ...ends.map((end) => end.stateRootAfter)]);
  return resolution.ok ? { root: resolution.root, ends } : { root: told, ends: [] };
}
