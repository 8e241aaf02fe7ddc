import { serverNameOf } from "../../ids.ts";
import { field } from "../../json.ts";
import { hasValidAdditionalCreators } from "../content/create.ts";
import type { EventDraft, MatrixEvent } from "../event.ts";
import { createEventIdOf } from "../event-id.ts";
import { type RoomVersionRules, rulesFor } from "../room-version.ts";
import { authTypesForEvent } from "./auth-types.ts";
import { type AuthDecision, allow, reject } from "./decision.ts";

/** An event named in `auth_events`, and whether it was itself rejected when it was received. */
export interface AuthEvent {
  readonly event: MatrixEvent;
  readonly isRejected: boolean;
}

/**
 * Rule 1: the create event, which no state authorizes.
 * @see https://spec.matrix.org/v1.19/rooms/v12/#authorisation-rules
 */
export function authorizeCreate(event: EventDraft, rules: RoomVersionRules): AuthDecision {
  // 1.1 "If it has any prev_events, reject."
  if (event.prevEvents.length > 0)
    return reject("create.hasPrevEvents", rules, "a create event has no previous events");
  // 1.2
  if (!hasValidRoomId(event, rules)) {
    return reject("create.roomId", rules, "the create event's room_id is not one that its sender's server may give");
  }
  // 1.3 "If content.room_version is present and is not a recognised version, reject."
  const version = field(event.content, "room_version");
  if (version !== undefined && (typeof version !== "string" || rulesFor(version) === null)) {
    return reject("create.unknownVersion", rules, "the room version is not known");
  }
  // Until version 10: "If content has no creator property, reject."
  if (!rules.creatorIsSender && field(event.content, "creator") === undefined) {
    return reject("create.noCreator", rules, "the create event names no creator");
  }
  // From version 12: "If additional_creators is present in content and is not an array of strings where each string
  // passes the same user ID validation applied to sender, reject."
  if (rules.creatorsHaveInfinitePower && !hasValidAdditionalCreators(event.content)) {
    return reject("create.additionalCreators", rules, "additional_creators is not a list of user ids");
  }
  return allow("create.allow", rules);
}

function hasValidRoomId(event: EventDraft, rules: RoomVersionRules): boolean {
  // From version 12: "If the event has a room_id, reject."
  if (rules.roomIdIsCreateHash) return !Object.hasOwn(event.pdu, "room_id");
  // "If the domain of the room_id does not match the domain of the sender, reject."
  const domain = event.roomId.slice(event.roomId.indexOf(":") + 1);
  return domain === serverNameOf(event.sender);
}

/**
 * The rules that ask nothing of a state: the create event, the room id, and the events in `auth_events`. They hold or
 * fail once and for all, so they are checked when an event is received and never again.
 *
 * @param authEvents the events that the event names in `auth_events`, all of them.
 * @returns null when no rule refuses and the state has to decide.
 * @see https://spec.matrix.org/v1.19/rooms/v12/#authorisation-rules
 */
export function checkStateIndependent(
  event: EventDraft,
  rules: RoomVersionRules,
  authEvents: readonly AuthEvent[],
): AuthDecision | null {
  // 1. "If type is m.room.create"
  if (event.type === "m.room.create") return authorizeCreate(event, rules);
  return checkAuthEvents(event, rules, authEvents);
}

/** Rule 2 (3 from version 12): "Considering the event's auth_events" */
function checkAuthEvents(
  event: EventDraft,
  rules: RoomVersionRules,
  authEvents: readonly AuthEvent[],
): AuthDecision | null {
  const expected = new Set(authTypesForEvent(event, rules).map(([type, stateKey]) => keyOf(type, stateKey)));
  const seen = new Set<string>();
  let hasCreate = false;
  for (const { event: authEvent } of authEvents) {
    const key = keyOf(authEvent.type, authEvent.stateKey);
    // "If there are duplicate entries for a given type and state_key pair, reject."
    if (seen.has(key)) return reject("authEvents.duplicate", rules, "auth_events names one state key twice");
    seen.add(key);
    hasCreate ||= authEvent.type === "m.room.create";
  }
  for (const { event: authEvent } of authEvents) {
    // "If there are entries whose type and state_key don't match those specified by the auth events selection, reject."
    if (!expected.has(keyOf(authEvent.type, authEvent.stateKey))) {
      return reject("authEvents.unexpected", rules, "auth_events names an event that has no say in this one");
    }
  }
  for (const { isRejected } of authEvents) {
    // "If there are entries which were themselves rejected …, reject."
    if (isRejected) return reject("authEvents.rejected", rules, "auth_events names a rejected event");
  }
  // Until version 11: "If there is no m.room.create event among the entries, reject."
  if (rules.createIsAuthEvent && !hasCreate) {
    return reject("authEvents.noCreate", rules, "auth_events does not name the create event");
  }
  // "If any event in auth_events has a room_id which does not match that of the event being authorised, reject."
  if (authEvents.some((authEvent) => authEvent.event.roomId !== event.roomId)) {
    return reject("authEvents.otherRoom", rules, "auth_events names an event of another room");
  }
  return null;
}

function keyOf(type: string, stateKey: string | null): string {
  return JSON.stringify([type, stateKey]);
}

/**
 * Whether a create event is that of an event's room. From version 12, rule 2: "If the event's room_id is not an event ID
 * for an accepted (not rejected) m.room.create event, with the sigil ! instead of $, reject."
 */
export function isCreateOfRoom(create: MatrixEvent, event: EventDraft, rules: RoomVersionRules): boolean {
  return rules.roomIdIsCreateHash ? createEventIdOf(event.roomId) === create.eventId : create.roomId === event.roomId;
}
