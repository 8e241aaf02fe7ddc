import { field, isObject, type JsonObject, type JsonValue, objectField, stringField } from "../json.ts";
import type { MatrixEvent, StateKey, StateLookup } from "./event.ts";

/**
 * The state that tells a potential joiner what room it is. The create event comes first: it is required.
 * @see https://spec.matrix.org/v1.19/client-server-api/#stripped-state
 */
export const strippedStateKeys: readonly StateKey[] = [
  ["m.room.create", ""],
  ["m.room.name", ""],
  ["m.room.avatar", ""],
  ["m.room.topic", ""],
  ["m.room.join_rules", ""],
  ["m.room.canonical_alias", ""],
  ["m.room.encryption", ""],
];

/** Most stripped events kept of what another server sent, and their size in characters of JSON. */
const maxStrippedEvents = 100;
const maxStrippedCharacters = 65_536;

/** The events of a state that invites and knocks carry: as PDUs between servers, stripped for clients. */
export function strippedStateEvents(state: StateLookup, extra: readonly StateKey[] = []): MatrixEvent[] {
  return [...strippedStateKeys, ...extra]
    .map(([type, stateKey]) => state(type, stateKey))
    .filter((event) => event !== null);
}

/**
 * A state event as stripped state: `sender`, `type`, `state_key` and `content`, nothing else.
 * @see https://spec.matrix.org/v1.19/client-server-api/#stripped-state
 */
export function stripEvent(event: MatrixEvent): JsonObject {
  return { type: event.type, state_key: event.stateKey ?? "", sender: event.sender, content: event.content };
}

/**
 * Stripped state out of what another server sent as `invite_room_state` or `knock_room_state`, whatever its shape: "Servers
 * are expected to prune the events into the stripped state schema". What is no state event is left out.
 *
 * @see https://spec.matrix.org/v1.19/client-server-api/#stripped-state
 */
export function parseStrippedState(value: JsonValue | undefined): JsonObject[] {
  if (!Array.isArray(value)) return [];
  const events: JsonObject[] = [];
  let characters = 0;
  for (const entry of value.slice(0, maxStrippedEvents)) {
    const event = isObject(entry) ? pruneEvent(entry) : null;
    if (event === null) continue;
    characters += JSON.stringify(event).length;
    if (characters > maxStrippedCharacters) break;
    events.push(event);
  }
  return events;
}

function pruneEvent(entry: JsonObject): JsonObject | null {
  const type = stringField(entry, "type");
  const sender = stringField(entry, "sender");
  const content = objectField(entry, "content");
  const stateKey = field(entry, "state_key");
  if (type === null || sender === null || content === null || typeof stateKey !== "string") return null;
  return { type, state_key: stateKey, sender, content };
}
