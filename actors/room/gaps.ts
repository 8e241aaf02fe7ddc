/**
 * Gaps: places in the room's stream behind which events are missing. The beginning of what is here is one, where this server
 * joined a room that others had made; others come when events between are not to be had at the time. What is fetched later
 * goes to its gap, so that whoever reads back finds it where it belongs.
 */
import type { UserId } from "../../shared/ids.ts";
import type { Gap } from "../../shared/rpc/room-history.ts";
import type { RoomContext } from "./context.ts";
import { isResident } from "./residency.ts";
import { oldest } from "./state-view.ts";
import type { RoomRead, RoomTransaction } from "./store/index.ts";
import { hasEvents, type Stretch } from "./timeline.ts";
import { requireAccess } from "./visibility.ts";

/** Where an event of the past belongs. */
export interface PlaceInPast {
  /** Its own position. */
  readonly position: number;
  /** The position behind which what is missing there goes; null: before everything. */
  readonly after: number | null;
}

/** Positions that are left free for what is missing in a gap. */
const gapPositions = 2 ** 20;
/** Events that are asked for at once, at most, and servers to ask. */
const maxFrom = 10;
const maxServers = 5;

/** Leaves room in the stream for what is missing before the next event. @returns the position behind which it goes */
export function leaveGap(tx: RoomTransaction): number | null {
  // What comes before everything that is here has all room that there is.
  if (tx.events.oldestPosition() === null) return null;
  const { streamPosition } = tx.room.get();
  tx.room.skipPositions(gapPositions);
  return streamPosition;
}

/** The lowest position that is taken in a gap, or above it. What is rejected for now, but may be taken later, keeps its own. */
export function lowestAbove(store: RoomRead, after: number | null): number {
  const taken =
    after === null
      ? (store.events.oldestPosition() ?? 1)
      : (store.events.forward(after, Number.MAX_SAFE_INTEGER, 1)[0]?.streamPosition ?? after);
  const kept = store.partialState.isOn() ? store.partialState.lowestPast(after) : null;
  return Math.min(taken, kept ?? taken);
}

/** The newest gap in a stretch of the stream, also where it begins with one; `after` null: before everything. */
export function newestGap(store: RoomRead, { after, through }: Stretch): { after: number | null } | null {
  const position = store.extremities.gapBelow(through);
  if (position !== null && position >= after) return { after: position };
  return after === oldest && store.extremities.missingBehind(null, 1).length > 0 ? { after: null } : null;
}

/**
 * The gap at which a page of history ended that was read backwards.
 *
 * @param end the boundary where the page ended; null: there is nothing before it here
 * @throws MatrixError M_FORBIDDEN for who may not read the room
 */
export function findGap(room: RoomContext, requester: UserId, end: number | null): Gap | null {
  requireAccess(room, requester);
  return gapAt(room, end);
}

/** The gap that begins at a position, or (null) before everything. Null also where nobody can be asked. */
export function gapAt(room: RoomContext, end: number | null): Gap | null {
  if (!isResident(room, room.store)) return null;
  const { extremities } = room.store;
  const isAtBeginning = end === null || !hasEvents(room, { after: oldest, through: end });
  for (const after of isAtBeginning ? [end, null] : [end]) {
    const from = extremities.missingBehind(after, maxFrom);
    if (from.length > 0) return { after, from, servers: room.store.servers.longestIn(maxServers) };
  }
  return null;
}
