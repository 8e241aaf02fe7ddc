import { type EventId, parseUserId, trusted } from "../../../../shared/ids.ts";
import { field, type JsonObject, objectField, stringField } from "../../../../shared/json.ts";
import { type MatrixEvent, referencedEvents } from "../../../../shared/matrix/event.ts";
import { createEventIdOf } from "../../../../shared/matrix/event-id.ts";
import type { RoomVersionRules } from "../../../../shared/matrix/room-version.ts";
import { StateMap } from "../../../../shared/matrix/state-map.ts";
import type { ResolutionContext } from "../../../../shared/matrix/state-res/context.ts";

/** An event of a fixture whose ids are made up, so that nothing may be hashed. */
export function syntheticEvent(json: JsonObject): MatrixEvent {
  const eventId = trusted.eventId(stringField(json, "event_id") ?? "");
  const sender = parseUserId(stringField(json, "sender") ?? "");
  if (sender === null) throw new Error(`${eventId} has no sender`);
  const number = (key: string): number => {
    const value = field(json, key);
    return typeof value === "number" ? value : 0;
  };
  return {
    eventId,
    sender,
    roomId: trusted.roomId(stringField(json, "room_id") ?? `!${eventId.slice(1)}`),
    type: stringField(json, "type") ?? "",
    stateKey: stringField(json, "state_key"),
    content: objectField(json, "content") ?? {},
    originServerTs: number("origin_server_ts"),
    depth: number("depth"),
    prevEvents: referencedEvents(field(json, "prev_events")),
    authEvents: referencedEvents(field(json, "auth_events")),
    redacts: null,
    pdu: json,
  };
}

/** What resolution asks, over a set of events. */
export function contextOf(events: Iterable<MatrixEvent>, rules: RoomVersionRules): ResolutionContext {
  const byId = new Map<EventId, MatrixEvent>();
  for (const event of events) byId.set(event.eventId, event);
  const create = [...byId.values()].find((event) => event.type === "m.room.create");
  if (create === undefined) throw new Error("the events have no create event");
  if (rules.roomIdIsCreateHash && createEventIdOf(create.roomId) !== create.eventId) throw new Error("not its room");
  return { rules, create, eventById: (eventId) => byId.get(eventId) ?? null, isRejected: () => false };
}

/** A state of these events, by their own keys. */
export function stateOf(events: Iterable<MatrixEvent>): StateMap<EventId> {
  const state = new StateMap<EventId>();
  for (const event of events) if (event.stateKey !== null) state.set(event.type, event.stateKey, event.eventId);
  return state;
}

/** A state as plain data, to compare: sorted lines. */
export function linesOf(state: Iterable<readonly [readonly [string, string], EventId]>): string[] {
  return [...state].map(([[type, stateKey], eventId]) => `${type}|${stateKey} = ${eventId}`).sort();
}
