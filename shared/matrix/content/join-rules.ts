import { parseRoomId, type RoomId } from "../../ids.ts";
import { field, isObject, type JsonObject, stringField } from "../../json.ts";

/** The join rules that the specification knows. @see https://spec.matrix.org/v1.19/client-server-api/#mroomjoin_rules */
export type JoinRule = "public" | "invite" | "knock" | "restricted" | "knock_restricted" | "private";

const joinRules: readonly JoinRule[] = ["public", "invite", "knock", "restricted", "knock_restricted", "private"];

/**
 * The join rule in a join rules event's content. `private` where it is unknown: nobody joins by a rule not understood.
 *
 * @param content null when the state has no such event: the rule is `invite`.
 * @see https://spec.matrix.org/v1.19/client-server-api/#mroomjoin_rules
 */
export function joinRuleOf(content: JsonObject | null): JoinRule {
  // An event that names no rule at all sets none: so other servers take it, and who is let in must be alike for all.
  if (content === null || field(content, "join_rule") === undefined) return "invite";
  const text = stringField(content, "join_rule");
  return joinRules.find((rule) => rule === text) ?? "private";
}

/**
 * The rooms whose members may join a restricted room. Conditions of other types are left out: they cannot be met.
 * @see https://spec.matrix.org/v1.19/client-server-api/#conditions
 */
export function allowedRooms(content: JsonObject): RoomId[] {
  const allow = field(content, "allow");
  if (!Array.isArray(allow)) return [];
  const rooms: RoomId[] = [];
  for (const condition of allow) {
    if (!isObject(condition) || stringField(condition, "type") !== "m.room_membership") continue;
    const roomId = parseRoomId(stringField(condition, "room_id") ?? "");
    if (roomId !== null) rooms.push(roomId);
  }
  return rooms;
}
