/** What a room's replacement begins with. */
import type { EventId } from "../../shared/ids.ts";
import { field, type JsonObject, stringField, withFields } from "../../shared/json.ts";
import { isFederated } from "../../shared/matrix/content/create.ts";
import type { RoomVersionRules } from "../../shared/matrix/room-version.ts";
import type { RoomContext } from "./context.ts";
import { findCurrentState } from "./state.ts";
import type { EventRecord } from "./store/events.ts";
import type { UpgradeWish } from "./store/upgrades.ts";
import { prunedEvent } from "./visibility.ts";

export interface TransferredState {
  readonly type: string;
  readonly stateKey: string;
  readonly content: JsonObject;
}

/** "the recommended state events to transfer", but for the power levels; what stands in for those that are not set. */
const transferred: readonly [type: string, ifAbsent: JsonObject | null][] = [
  ["m.room.join_rules", { join_rule: "invite" }],
  ["m.room.history_visibility", { history_visibility: "shared" }],
  ["m.room.guest_access", { guest_access: "forbidden" }],
  ["m.room.server_acl", null],
  ["m.room.encryption", null],
  ["m.room.name", null],
  ["m.room.avatar", null],
  ["m.room.topic", null],
];

/** Bans that are transferred, at most. */
const maxBans = 10_000;

/**
 * What the new room begins with: settings first, a space's children, and bans. Other memberships are their users' to make.
 * @see https://spec.matrix.org/v1.19/client-server-api/#room-upgrades
 */
export function transferredState(room: RoomContext): TransferredState[] {
  const { store } = room;
  const state: TransferredState[] = [];
  for (const [type, ifAbsent] of transferred) {
    const content = contentOf(room, findCurrentState(store, type, "")) ?? ifAbsent;
    if (content !== null) state.push({ type, stateKey: "", content });
  }
  const create = findCurrentState(store, "m.room.create", "")?.event.content ?? {};
  if (stringField(create, "type") === "m.space") {
    for (const { type, stateKey } of store.stateKeys.ofType("m.space.child")) {
      const content = contentOf(room, findCurrentState(store, type, stateKey)) ?? {};
      // One without content was taken out of the space.
      if (Object.keys(content).length > 0) state.push({ type, stateKey, content });
    }
  }
  for (const { userId, eventNid } of store.memberships.withMembership("ban", "", maxBans)) {
    const reason = stringField(contentOf(room, store.events.byNid(eventNid)) ?? {}, "reason") ?? undefined;
    state.push({ type: "m.room.member", stateKey: userId, content: withFields({ membership: "ban" }, { reason }) });
  }
  return state;
}

/** Types of events that go on protecting the room when they are redacted, as they do in the old one. */
const kept: ReadonlySet<string> = new Set(["m.room.server_acl", "m.room.encryption"]);

/** What an event still says; null where nothing was left of it. */
function contentOf(room: RoomContext, record: EventRecord | null): JsonObject | null {
  if (record === null || record.redactedBy === null || kept.has(record.type)) return record?.event.content ?? null;
  const { content } = prunedEvent(room, record);
  return Object.keys(content).length > 0 ? content : null;
}

/** The `creation_content` of the new room. */
export function transferredCreation(
  room: RoomContext,
  { additionalCreators }: UpgradeWish,
  rules: RoomVersionRules,
): JsonObject {
  const old = findCurrentState(room.store, "m.room.create", "")?.event.content ?? {};
  // "When upgrading to room version 12 or later, the event_id property inside predecessor MAY be omitted." Clients then go to
  // the tombstone, which is where they should arrive.
  const last: EventId | undefined = rules.roomIdIsCreateHash
    ? undefined
    : room.store.extremities.forward(1)[0]?.eventId;
  const creators = rules.creatorsHaveInfinitePower ? [...new Set(additionalCreators)] : [];
  return withFields(
    { predecessor: withFields({ room_id: room.roomId }, { event_id: last }) },
    {
      type: field(old, "type"),
      "m.federate": isFederated(old) ? undefined : false,
      additional_creators: creators.length > 0 ? creators : undefined,
    },
  );
}
