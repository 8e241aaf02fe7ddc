import { stringField } from "../../json.ts";
import { joinAuthoriserOf, membershipOf, thirdPartySigned } from "../content/member.ts";
import type { EventDraft, StateKey } from "../event.ts";
import type { RoomVersionRules } from "../room-version.ts";

/**
 * The keys of the state that authorizes an event: those present in the state before it are its `auth_events`.
 *
 * @returns `[type, state_key]` pairs, each once. Empty for the create event.
 * @see https://spec.matrix.org/v1.19/server-server-api/#auth-events-selection
 */
export function authTypesForEvent(
  event: Pick<EventDraft, "type" | "sender" | "stateKey" | "content">,
  rules: RoomVersionRules,
): StateKey[] {
  if (event.type === "m.room.create") return [];
  const keys: StateKey[] = [
    ["m.room.power_levels", ""],
    ["m.room.member", event.sender],
  ];
  // "Depending on the room version, the m.room.create event."
  if (rules.createIsAuthEvent) keys.unshift(["m.room.create", ""]);
  if (event.type === "m.room.member") keys.push(...memberAuthTypes(event, rules));
  return keys;
}

function memberAuthTypes(
  event: Pick<EventDraft, "sender" | "stateKey" | "content">,
  rules: RoomVersionRules,
): StateKey[] {
  const keys: StateKey[] = [];
  const membership = membershipOf(event.content);
  // "The target's current m.room.member event, if any."
  if (event.stateKey !== null && event.stateKey !== event.sender) keys.push(["m.room.member", event.stateKey]);
  // "If membership is join, invite or knock, the current m.room.join_rules event, if any."
  if (membership === "join" || membership === "invite" || membership === "knock") keys.push(["m.room.join_rules", ""]);
  // "If membership is invite and content contains a third_party_invite property …"
  const signed = membership === "invite" ? thirdPartySigned(event.content) : null;
  const token = signed === null ? null : stringField(signed, "token");
  if (token !== null) keys.push(["m.room.third_party_invite", token]);
  // "If membership is join, content.join_authorised_via_users_server is present, and the room version supports …"
  const authoriser = membership === "join" && rules.allowsRestrictedJoin ? joinAuthoriserOf(event.content) : null;
  if (authoriser !== null && authoriser !== event.sender && authoriser !== event.stateKey) {
    keys.push(["m.room.member", authoriser]);
  }
  return keys;
}
