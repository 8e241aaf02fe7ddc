import { type EventId, trusted, type UserId } from "../../../shared/ids.ts";
import { isObject, type JsonObject, type JsonValue } from "../../../shared/json.ts";
import { defaultPushRules } from "../../../shared/matrix/push/default-rules.ts";
import { parseRoomToken } from "../../../shared/matrix/stream-token.ts";
import type { EventContextInput, MessagesInput, RoomSyncInput, RoomSyncResult } from "../../../shared/rpc/room.ts";
import type { TestRoom } from "./world.ts";

/** A user's request for what is new in a room since a position. */
export function syncInput(userId: UserId, since: number | null, changes: Partial<RoomSyncInput> = {}): RoomSyncInput {
  return {
    userId,
    deviceId: trusted.deviceId(`${userId.slice(1, 2)}-device`),
    since,
    isIncremental: since !== null,
    fullState: false,
    filter: null,
    eventFormat: "client",
    useStateAfter: false,
    ignoredUsers: [],
    pushRules: { global: defaultPushRules(userId) },
    ...changes,
  };
}

export function sync(
  room: TestRoom,
  userId: UserId,
  since: number | null,
  changes: Partial<RoomSyncInput> = {},
): Promise<RoomSyncResult> {
  return room.rpc.syncRoom(syncInput(userId, since, changes));
}

export function messagesInput(requester: UserId, changes: Partial<MessagesInput> = {}): MessagesInput {
  return {
    requester,
    deviceId: null,
    from: null,
    to: null,
    dir: "b",
    limit: 10,
    filter: null,
    ignoredUsers: [],
    ...changes,
  };
}

export function contextInput(
  requester: UserId,
  eventId: EventId,
  changes: Partial<EventContextInput> = {},
): EventContextInput {
  return { requester, deviceId: null, eventId, limit: 10, filter: null, ignoredUsers: [], ...changes };
}

/** The value at a path; null when something on the way is missing. */
export function at(value: JsonValue | undefined, ...path: string[]): JsonValue {
  let here: JsonValue = value ?? null;
  for (const name of path) here = isObject(here) ? (here[name] ?? null) : null;
  return here;
}

/** The objects of a list at a path; none when there is no list. */
export function listAt(value: JsonValue | undefined, ...path: string[]): JsonObject[] {
  const list = at(value, ...path);
  return Array.isArray(list) ? list.filter(isObject) : [];
}

export const timelineOf = (result: RoomSyncResult): JsonObject[] => listAt(result.section, "timeline", "events");
export const stateOf = (result: RoomSyncResult): JsonObject[] => listAt(result.section, "state", "events");
export const ephemeralOf = (result: RoomSyncResult): JsonObject[] => listAt(result.section, "ephemeral", "events");
export const idsOf = (events: readonly JsonObject[]): string[] => events.map((event) => String(event.event_id));

/** The bodies of messages; of other events, the type and state key. */
export function bodiesOf(events: readonly JsonObject[]): string[] {
  return events.map((event) => {
    const body = at(event.content, "body");
    return typeof body === "string" ? body : `${String(event.type)}|${String(event.state_key ?? "")}`;
  });
}

/** The position that a room token stands for. */
export function positionOf(token: JsonValue | undefined): number | null {
  return typeof token === "string" ? parseRoomToken(token) : null;
}
