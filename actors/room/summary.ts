/** What the room is to those who look at it from outside: name, topic, counts. */
import type { UserId } from "../../shared/ids.ts";
import { field, isObject, type JsonObject, objectField, stringField } from "../../shared/json.ts";
import { isFederated, roomTypeOf } from "../../shared/matrix/content/create.ts";
import { historyVisibilityOf } from "../../shared/matrix/content/history-visibility.ts";
import { joinRuleOf } from "../../shared/matrix/content/join-rules.ts";
import type { RoomSummary } from "../directory/rooms.ts";
import type { RoomContext } from "./context.ts";
import { findCurrentState } from "./state.ts";
import { prunedEvent } from "./visibility.ts";

/** Longest name and topic that the directory shows, in UTF-16 units: a page of it has many rooms. */
const maxNameLength = 1_000;
const maxTopicLength = 4_000;
/** "This should be the first 5 members of the room". */
const maxHeroes = 5;

/** The room as the directory shows it, as of now. */
export function roomSummaryOf(room: RoomContext): RoomSummary {
  const facts = room.store.room.get();
  return {
    roomId: room.roomId,
    isPublished: facts.isPublished,
    name: shorten(textOf(room, "m.room.name", "name"), maxNameLength),
    topic: shorten(topicOf(contentOf(room, "m.room.topic")), maxTopicLength),
    canonicalAlias: textOf(room, "m.room.canonical_alias", "alias"),
    avatarUrl: textOf(room, "m.room.avatar", "url"),
    roomType: roomTypeOf(contentOf(room, "m.room.create") ?? {}),
    joinRule: joinRuleOf(contentOf(room, "m.room.join_rules")),
    isWorldReadable: historyVisibilityOf(contentOf(room, "m.room.history_visibility")) === "world_readable",
    isGuestAllowed: textOf(room, "m.room.guest_access", "guest_access") === "can_join",
    isFederated: isFederated(contentOf(room, "m.room.create") ?? {}),
    joinedMembers: facts.joinedMembers,
    position: facts.streamPosition,
  };
}

/**
 * The summary that `/sync` gives of a joined room.
 * @returns also the heroes by themselves: their member events belong into a lazily loaded state.
 * @see https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync_response-200_roomsummary
 */
export function syncSummaryOf(room: RoomContext, userId: UserId): { summary: JsonObject; heroes: UserId[] } {
  const facts = room.store.room.get();
  const summary: JsonObject = {
    "m.joined_member_count": facts.joinedMembers,
    "m.invited_member_count": facts.invitedMembers,
  };
  // "Required if the room's m.room.name or m.room.canonical_alias state events are unset or empty."
  const isNamed =
    textOf(room, "m.room.name", "name") !== null || textOf(room, "m.room.canonical_alias", "alias") !== null;
  const heroes = isNamed ? [] : room.store.memberships.heroes(userId, maxHeroes);
  if (!isNamed) summary["m.heroes"] = [...heroes];
  return { summary, heroes };
}

/** Content of the current state event with the empty key; null when it is not set. */
function contentOf(room: RoomContext, type: string): JsonObject | null {
  const record = findCurrentState(room.store, type, "");
  return record === null ? null : prunedEvent(room, record).content;
}

/** A text of a state event's content; null when it is absent or empty. */
function textOf(room: RoomContext, type: string, key: string): string | null {
  return stringField(contentOf(room, type) ?? {}, key) || null;
}

/**
 * The topic in plain text: of its representations the first that is `text/plain`, which it is where no type is named.
 * @see https://spec.matrix.org/v1.19/client-server-api/#mroomtopic
 */
function topicOf(content: JsonObject | null): string | null {
  const texts = field(objectField(content ?? {}, "m.topic") ?? {}, "m.text");
  if (!Array.isArray(texts)) return stringField(content ?? {}, "topic") || null;
  for (const text of texts) {
    if (isObject(text) && (stringField(text, "mimetype") ?? "text/plain") === "text/plain") {
      return stringField(text, "body") || null;
    }
  }
  return null;
}

function shorten(text: string | null, maxLength: number): string | null {
  return text === null ? null : text.slice(0, maxLength).toWellFormed();
}
