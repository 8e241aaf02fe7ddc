import { type EventId, parseEventId, parseRoomId, type RoomId, trusted } from "../ids.ts";
import { field, type JsonObject, stringField } from "../json.ts";
import { referenceHash } from "./hashes.ts";
import type { RoomVersionRules } from "./room-version.ts";

/**
 * The id of an event: its own field in room versions 1 and 2, `$` and its reference hash later.
 *
 * @returns null when the event carries none that is valid (room versions 1 and 2 only).
 * @see https://spec.matrix.org/v1.19/rooms/v4/#event-ids
 */
export function eventIdOf(event: JsonObject, rules: RoomVersionRules): EventId | null {
  if (rules.eventIdFormat !== "serverChosen") return trusted.eventId(`$${referenceHash(event, rules)}`);
  const text = stringField(event, "event_id");
  return text === null ? null : parseEventId(text);
}

/**
 * The id of the room that an event belongs to. From room version 12 a create event carries none: its own event id, with
 * the sigil `!`, is the room's.
 *
 * @returns null when the event names no valid room.
 * @see https://spec.matrix.org/v1.19/rooms/v12/#event-format
 */
export function roomIdOf(event: JsonObject, rules: RoomVersionRules): RoomId | null {
  if (rules.roomIdIsCreateHash && isCreate(event)) return trusted.roomId(`!${referenceHash(event, rules)}`);
  const text = stringField(event, "room_id");
  return text === null ? null : parseRoomId(text);
}

/** The event id of the create event that a version 12 room id stands for. @see https://spec.matrix.org/v1.19/appendices/#room-ids */
export function createEventIdOf(roomId: RoomId): EventId {
  return trusted.eventId(`$${roomId.slice(1)}`);
}

function isCreate(event: JsonObject): boolean {
  return field(event, "type") === "m.room.create" && field(event, "state_key") === "";
}
