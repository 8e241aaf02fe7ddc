/** Finding the event nearest to a time. */
import type { NearestEvent, RoomForHistory } from "../../shared/rpc/room-history.ts";
import type { RoomContext } from "./context.ts";
import { gapAt } from "./gaps.ts";
import { newest, oldest } from "./state-view.ts";
import type { EventRecord } from "./store/events.ts";
import { RoomViewer, requireAccess } from "./visibility.ts";

/** Events that are looked at around the place in the stream, on each side. */
const around = 100;
/** Events that are looked at beyond, at most: those that may not be shown cost work, too. */
const maxBeyond = 1_000;
/** Events whose time is asked for at one place: most of them, rather than one, say what time it was. */
const sampleSize = 5;

/** What is looked for: the first event at a time or after it (`f`), or the last at it or before (`b`). */
export interface TimeSearch {
  /** ms since epoch, compared with what the events' senders claim */
  readonly ts: number;
  readonly dir: "f" | "b";
  accepts(record: EventRecord): boolean;
}

/**
 * The event nearest to a time in a direction; null: none, or none near it that may be shown.
 *
 * The stream is taken to be in the order of time, as it is but for what came late: the place is found by halving, and the
 * events around it are compared. One whose sender claims a time that is far from when it came may be overlooked; in
 * exchange there is no index, which every event would have to be written to.
 *
 * @see https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidtimestamp_to_event
 */
export function findNearest(room: RoomContext, search: TimeSearch): EventRecord | null {
  const first = room.store.events.oldestPosition();
  if (room.store.room.find() === null || first === null) return null;
  const { events } = room.store;
  const place = placeOf(room, search.ts, first);
  const before = events.backward(place, oldest, around);
  const after = events.forward(place, newest, around);
  const near = [...before, ...after].filter((record) => isBeyond(record, search) && search.accepts(record));
  const best = near.sort((left, right) => distance(left, search.ts) - distance(right, search.ts))[0];
  if (best !== undefined) return best;
  return findBeyond(room, search, (search.dir === "f" ? after : before).at(-1)?.streamPosition ?? null);
}

/**
 * The same for a local user, and the gap in which there may be a nearer one.
 * @throws MatrixError M_FORBIDDEN
 */
export function findNearestForUser(
  room: RoomContext,
  { requester, ts, dir }: Parameters<RoomForHistory["findNearest"]>[0],
): NearestEvent {
  const access = requireAccess(room, requester);
  const viewer = new RoomViewer(room, { userId: requester, deviceId: null });
  const found = findNearest(room, { ts, dir, accepts: (record) => viewer.canSee(record) });
  const event = found === null ? null : { eventId: found.eventId, originServerTs: found.originServerTs };
  // Whoever has left is not owed what others would have to be asked for.
  if (access.kind === "left") return { event, gap: null };
  const first = room.store.events.oldestPosition();
  if (first === null) return { event, gap: null };
  const before = room.store.events.backward(placeOf(room, ts, first), oldest, 1)[0];
  return { event, gap: gapAt(room, before?.streamPosition ?? null) };
}

function findBeyond(room: RoomContext, search: TimeSearch, from: number | null): EventRecord | null {
  let position = from;
  for (let looked = 0; looked < maxBeyond && position !== null; looked += around) {
    const { events } = room.store;
    const batch: EventRecord[] =
      search.dir === "f" ? events.forward(position, newest, around) : events.backward(position - 1, oldest, around);
    const found = batch.find((record) => isBeyond(record, search) && search.accepts(record));
    if (found !== undefined) return found;
    position = batch.at(-1)?.streamPosition ?? null;
  }
  return null;
}

/** The last position before which it was earlier than the time, as far as the samples tell. */
function placeOf(room: RoomContext, ts: number, first: number): number {
  let low = first - 1;
  let high = room.store.room.get().streamPosition;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    const sample = room.store.events.backward(middle, oldest, sampleSize);
    const times = sample.map((record) => record.originServerTs).sort((left, right) => left - right);
    const time = times[Math.floor(times.length / 2)];
    if (time === undefined || time < ts) low = middle;
    else high = Math.min(middle, sample[0]?.streamPosition ?? middle) - 1;
  }
  return low;
}

function isBeyond({ originServerTs }: EventRecord, { ts, dir }: TimeSearch): boolean {
  return dir === "f" ? originServerTs >= ts : originServerTs <= ts;
}

function distance({ originServerTs }: EventRecord, ts: number): number {
  return Math.abs(originServerTs - ts);
}
