import type { UserId } from "../../ids.ts";
import type { JsonObject, JsonValue } from "../../json.ts";

/** The kinds of push rules, in the order in which they are asked. @see https://spec.matrix.org/v1.19/client-server-api/#push-rules */
export const pushRuleKinds = ["override", "content", "room", "sender", "underride"] as const;
export type PushRuleKind = (typeof pushRuleKinds)[number];

/** The `global` ruleset in the wire's form: rules by kind, the first that matches wins. */
export type PushRuleset = Record<PushRuleKind, JsonObject[]>;

const notify: JsonValue[] = ["notify"];
const notifyWithSound: JsonValue[] = ["notify", { set_tweak: "sound", value: "default" }];
const notifyAndHighlight: JsonValue[] = ["notify", { set_tweak: "highlight" }];

function rule(ruleId: string, conditions: JsonObject[], actions: JsonValue[]): JsonObject {
  return { rule_id: ruleId, default: true, enabled: ruleId !== ".m.rule.master", conditions, actions };
}

function match(key: string, pattern: string): JsonObject {
  return { kind: "event_match", key, pattern };
}

/**
 * The server-default rules of a user, in their order.
 * @see https://spec.matrix.org/v1.19/client-server-api/#predefined-rules
 */
export function defaultPushRules(userId: UserId): PushRuleset {
  return { override: overrideRules(userId), content: [], room: [], sender: [], underride: underrideRules() };
}

function overrideRules(userId: UserId): JsonObject[] {
  return [
    rule(".m.rule.master", [], []),
    rule(".m.rule.suppress_notices", [match("content.msgtype", "m.notice")], []),
    rule(
      ".m.rule.invite_for_me",
      [match("type", "m.room.member"), match("content.membership", "invite"), match("state_key", userId)],
      notifyWithSound,
    ),
    rule(".m.rule.member_event", [match("type", "m.room.member")], []),
    rule(
      ".m.rule.is_user_mention",
      [{ kind: "event_property_contains", key: "content.m\\.mentions.user_ids", value: userId }],
      [...notifyWithSound, { set_tweak: "highlight" }],
    ),
    rule(
      ".m.rule.is_room_mention",
      [
        { kind: "event_property_is", key: "content.m\\.mentions.room", value: true },
        { kind: "sender_notification_permission", key: "room" },
      ],
      notifyAndHighlight,
    ),
    rule(".m.rule.tombstone", [match("type", "m.room.tombstone"), match("state_key", "")], notifyAndHighlight),
    rule(".m.rule.reaction", [match("type", "m.reaction")], []),
    rule(".m.rule.room.server_acl", [match("type", "m.room.server_acl"), match("state_key", "")], []),
    rule(
      ".m.rule.suppress_edits",
      [{ kind: "event_property_is", key: "content.m\\.relates_to.rel_type", value: "m.replace" }],
      [],
    ),
  ];
}

function underrideRules(): JsonObject[] {
  const inRoomOfTwo: JsonObject = { kind: "room_member_count", is: "2" };
  return [
    rule(".m.rule.call", [match("type", "m.call.invite")], ["notify", { set_tweak: "sound", value: "ring" }]),
    rule(".m.rule.encrypted_room_one_to_one", [inRoomOfTwo, match("type", "m.room.encrypted")], notifyWithSound),
    rule(".m.rule.room_one_to_one", [inRoomOfTwo, match("type", "m.room.message")], notifyWithSound),
    rule(".m.rule.message", [match("type", "m.room.message")], notify),
    rule(".m.rule.encrypted", [match("type", "m.room.encrypted")], notify),
  ];
}
