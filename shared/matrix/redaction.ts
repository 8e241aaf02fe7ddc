import { field, isObject, type JsonObject, objectField, stringField } from "../json.ts";
import type { RoomVersionRules } from "./room-version.ts";

/** In the order of canonical JSON, so that what is left need not be sorted to be hashed. */
const topLevelKeys: readonly string[] = [
  "auth_events",
  "content",
  "depth",
  "event_id",
  "hashes",
  "origin_server_ts",
  "prev_events",
  "room_id",
  "sender",
  "signatures",
  "state_key",
  "type",
];

/** Protected before room version 11 only. */
const olderTopLevelKeys: readonly string[] = [...topLevelKeys, "origin", "membership", "prev_state"].toSorted();

const powerLevelKeys: readonly string[] = [
  "ban",
  "events",
  "events_default",
  "kick",
  "redact",
  "state_default",
  "users",
  "users_default",
];

/**
 * Strips an event of all that the protocol does not need: its keys and its content's keys not listed by the room
 * version. `unsigned` goes as well; whoever serves the event adds `redacted_because` to a fresh one.
 *
 * @param event a PDU; it is not changed, and values that are kept are shared with it.
 * @see https://spec.matrix.org/v1.19/rooms/v11/#redactions
 * @see https://spec.matrix.org/v1.19/rooms/v1/#redactions
 */
export function redact(event: JsonObject, rules: RoomVersionRules): JsonObject {
  const redacted = pick(event, rules.redaction === "v11" ? topLevelKeys : olderTopLevelKeys);
  redacted.content = redactContent(stringField(event, "type") ?? "", objectField(event, "content") ?? {}, rules);
  return redacted;
}

function redactContent(type: string, content: JsonObject, rules: RoomVersionRules): JsonObject {
  if (type === "m.room.create" && rules.redaction === "v11") return content;
  const kept = pick(content, protectedContentKeys(type, rules));
  if (type === "m.room.member" && rules.redaction === "v11") keepSignedInvite(content, kept);
  return kept;
}

/**
 * "Additionally, it allows the `signed` key of the `third_party_invite` key." An object without that key stays, empty, as for
 * other servers: event ids are made of what is left.
 */
function keepSignedInvite(content: JsonObject, kept: JsonObject): void {
  const invite = objectField(content, "third_party_invite");
  if (invite !== null) kept.third_party_invite = pick(invite, ["signed"]);
}

function protectedContentKeys(type: string, rules: RoomVersionRules): readonly string[] {
  switch (type) {
    case "m.room.member":
      return rules.redactionKeepsJoinAuthoriser ? ["membership", "join_authorised_via_users_server"] : ["membership"];
    case "m.room.create":
      return ["creator"];
    case "m.room.join_rules":
      return rules.allowsRestrictedJoin ? ["join_rule", "allow"] : ["join_rule"];
    case "m.room.power_levels":
      return rules.redaction === "v11" ? [...powerLevelKeys, "invite"] : powerLevelKeys;
    case "m.room.aliases":
      return rules.hasAliasesRule ? ["aliases"] : [];
    case "m.room.history_visibility":
      return ["history_visibility"];
    case "m.room.redaction":
      return rules.redactsInContent ? ["redacts"] : [];
    default:
      return [];
  }
}

/** @param keys names of our own, so that assigning them reaches no prototype. */
function pick(object: JsonObject, keys: readonly string[]): JsonObject {
  const picked: JsonObject = {};
  for (const key of keys) {
    const value = field(object, key);
    if (value !== undefined) picked[key] = value;
  }
  return picked;
}

/**
 * The event that a redaction names: in its content from room version 11, beside it before; null when it names none.
 * @see https://spec.matrix.org/v1.19/rooms/v11/#moving-the-redacts-property-of-mroomredaction-events-to-a-content-property
 */
export function redactsOf(event: JsonObject, rules: RoomVersionRules): string | null {
  const content = field(event, "content");
  if (rules.redactsInContent)
    return content !== undefined && isObject(content) ? stringField(content, "redacts") : null;
  return stringField(event, "redacts");
}
