import { describeError } from "../../../shared/log.ts";
import { choosesRoom } from "../../../shared/matrix/filter.ts";
import type { SyncToken } from "../../../shared/matrix/stream-token.ts";
import type { RoomSyncResult } from "../../../shared/rpc/room.ts";
import type { SyncInput } from "../../../shared/rpc/user.ts";
import { getIgnoredUsers, getPushRules } from "../account-data.ts";
import type { UserContext } from "../context.ts";
import { wakeCountOf, withMembership } from "../rooms.ts";
import type { RoomRead } from "../store/rooms.ts";
import type { RequestFilter } from "./filter.ts";

/** A sync request with its token and filter understood. */
export interface SyncRequest extends Omit<SyncInput, "since" | "filter"> {
  since: SyncToken | null;
  filter: RequestFilter;
}

/** A room and what the answer does with it. */
export interface PlannedRoom {
  room: RoomRead;
  /** Room position to ask from; null: as if never given. */
  since: number | null;
  /** Whether the room's actor is asked. */
  isAsked: boolean;
  /** Whether its section belongs into the answer: the client's filter may not want it. */
  isWanted: boolean;
  /** Wakes of the room that had come when it was decided to ask it. */
  wakeCount: number;
}

/** Rooms that are asked at the same time, at most. */
const maxParallelRooms = 50;
/**
 * Characters of JSON of all rooms in one answer, about. At two bytes each, with all account data and a page of messages to
 * the device, that is less than the 32 MiB that one actor may answer another.
 */
const maxLength = 6 * 1_048_576;

/**
 * Decides, for every room of the user, whether it must be asked. Of those that the user has forgotten, these are asked that
 * the client may know: it is told that the user has left.
 */
export function planRooms(user: UserContext, request: SyncRequest): PlannedRoom[] {
  const { rooms } = user.store;
  const position = request.since?.position ?? 0;
  const forgotten = request.since === null ? [] : rooms.forgottenAfter(position, position);
  return [...rooms.readsAt(position), ...forgotten].map((room) => ({
    ...planRoom(room, request),
    wakeCount: wakeCountOf(user, room.roomId),
  }));
}

function planRoom(room: RoomRead, request: SyncRequest): Omit<PlannedRoom, "wakeCount"> {
  const head = Math.max(room.headHint, room.headKnown);
  const isBehind = room.headHint > room.headKnown;
  const since = request.since === null ? null : room.readPosition;
  const isWanted = isWantedBy(request, room);
  // A room that nobody wants to see is still asked when it has woken the user: only that lets it wake the user again.
  if (!isWanted) return { room, since, isAsked: isBehind, isWanted };
  return { room, since, isAsked: since === null || head > since || isBehind || request.fullState, isWanted };
}

/** A first answer leaves out rooms that the user has left, unless the filter asks for them. */
function isWantedBy({ since, filter }: SyncRequest, { roomId, membership }: RoomRead): boolean {
  const hasLeft = membership === "leave" || membership === "ban";
  return choosesRoom(filter.room, roomId) && (!hasLeft || since !== null || filter.room.includeLeave);
}

/** The plan, with what the rooms have said of the user's membership: the wakes that should have told it may have been lost. */
export function asAnswered(
  request: SyncRequest,
  plan: readonly PlannedRoom[],
  answers: ReadonlyMap<number, RoomSyncResult>,
): PlannedRoom[] {
  return plan.map((planned) => {
    const room = {
      ...planned.room,
      ...withMembership(planned.room, answers.get(planned.room.roomNid)?.member ?? null),
    };
    return { ...planned, room, isWanted: isWantedBy(request, room) };
  });
}

/**
 * Asks the planned rooms. A room that fails is left out, and asked again next time: one bad room never breaks sync. So are
 * those that would make the answer longer than an actor can give; there is always room for one.
 */
export async function askRooms(
  user: UserContext,
  request: SyncRequest,
  plan: readonly PlannedRoom[],
): Promise<Map<number, RoomSyncResult>> {
  const asked = plan.filter((planned) => planned.isAsked);
  const answers = new Map<number, RoomSyncResult>();
  let length = 0;
  for (let start = 0; start < asked.length && length < maxLength; start += maxParallelRooms) {
    const batch = asked.slice(start, start + maxParallelRooms);
    const given = await Promise.all(batch.map((planned) => askRoom(user, request, planned)));
    for (const [index, { room }] of batch.entries()) {
      const answer = given[index] ?? null;
      if (answer === null) continue;
      const added = JSON.stringify(answer.section).length;
      if (length > 0 && length + added > maxLength) continue;
      length += added;
      answers.set(room.roomNid, answer);
    }
  }
  return answers;
}

async function askRoom(user: UserContext, request: SyncRequest, planned: PlannedRoom): Promise<RoomSyncResult | null> {
  const { roomId } = planned.room;
  try {
    return await user.actors.room(roomId).syncRoom({
      userId: user.userId,
      deviceId: request.deviceId,
      since: planned.since,
      isIncremental: request.since !== null,
      fullState: request.fullState,
      filter: request.filter.roomJson,
      eventFormat: request.filter.eventFormat,
      useStateAfter: request.useStateAfter,
      ignoredUsers: getIgnoredUsers(user),
      pushRules: getPushRules(user),
    });
  } catch (thrown) {
    user.log.error("room left out of sync", { room_id: roomId, user_id: user.userId, error: describeError(thrown) });
    return null;
  }
}
