import { parseUserId, type UserId } from "../../ids.ts";
import { field, type JsonObject, objectField, stringField } from "../../json.ts";
import type { EventDraft } from "../event.ts";
import type { RoomVersionRules } from "../room-version.ts";

/**
 * The room version that a create event asks for; "1" when it names none.
 * @see https://spec.matrix.org/v1.19/client-server-api/#mroomcreate
 */
export function roomVersionOf(content: JsonObject): string {
  return stringField(content, "room_version") ?? "1";
}

/** Whether users of other servers may take part: all but an explicit `m.federate: false`. @see https://spec.matrix.org/v1.19/client-server-api/#mroomcreate */
export function isFederated(content: JsonObject): boolean {
  return field(content, "m.federate") !== false;
}

/** The room type, e.g. `m.space`; null for an ordinary room. @see https://spec.matrix.org/v1.19/client-server-api/#types */
export function roomTypeOf(content: JsonObject): string | null {
  return stringField(content, "type");
}

/** The room that this one replaces; null when there is none or it is not a room id. @see https://spec.matrix.org/v1.19/client-server-api/#mroomcreate */
export function predecessorOf(content: JsonObject): { roomId: string; eventId: string | null } | null {
  const predecessor = objectField(content, "predecessor");
  const roomId = predecessor === null ? null : stringField(predecessor, "room_id");
  if (predecessor === null || roomId === null) return null;
  return { roomId, eventId: stringField(predecessor, "event_id") };
}

/**
 * The user who made the room: the create event's sender from room version 11, `content.creator` before.
 * Null when an older create event names no valid user.
 *
 * @see https://spec.matrix.org/v1.19/rooms/v11/#remove-the-creator-property-of-mroomcreate-events
 */
export function creatorOf(create: EventDraft, rules: RoomVersionRules): UserId | null {
  if (rules.creatorIsSender) return create.sender;
  const creator = stringField(create.content, "creator");
  return creator === null ? null : parseUserId(creator);
}

/**
 * The room creators: from room version 12 the create event's sender and its `additional_creators`, who stand above all
 * power levels; before, its one creator.
 *
 * @see https://spec.matrix.org/v1.19/rooms/v12/#event-format
 */
export function creatorsOf(create: EventDraft, rules: RoomVersionRules): ReadonlySet<string> {
  const creators = new Set<string>();
  const creator = creatorOf(create, rules);
  if (creator !== null) creators.add(creator);
  const additional = field(create.content, "additional_creators");
  if (rules.creatorsHaveInfinitePower && Array.isArray(additional)) {
    for (const user of additional) if (typeof user === "string") creators.add(user);
  }
  return creators;
}

/** Whether `additional_creators` is absent, or a list of user ids. @see https://spec.matrix.org/v1.19/rooms/v12/#authorisation-rules */
export function hasValidAdditionalCreators(content: JsonObject): boolean {
  const additional = field(content, "additional_creators");
  if (additional === undefined) return true;
  return (
    Array.isArray(additional) && additional.every((user) => typeof user === "string" && parseUserId(user) !== null)
  );
}

/** The creators in a create event's content, as given; for copying into a new room's. */
export function additionalCreators(content: JsonObject): string[] {
  const additional = field(content, "additional_creators");
  return Array.isArray(additional) ? additional.filter((user) => typeof user === "string") : [];
}
