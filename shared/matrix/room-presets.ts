import type { UserId } from "../ids.ts";
import { type JsonObject, withFields } from "../json.ts";
import { additionalCreators, hasValidAdditionalCreators } from "./content/create.ts";
import type { JoinRule } from "./content/join-rules.ts";
import type { RoomVersionRules } from "./room-version.ts";

/** The presets of `POST /createRoom`. @see https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom */
export type RoomPreset = "private_chat" | "trusted_private_chat" | "public_chat";

/** One state event of a room's beginning. */
export interface InitialEvent {
  readonly type: string;
  readonly stateKey: string;
  readonly content: JsonObject;
}

/** The preset of a room whose creator named none: public rooms for public visibility. */
export function defaultPreset(visibility: "public" | "private"): RoomPreset {
  return visibility === "public" ? "public_chat" : "private_chat";
}

/**
 * The events that a preset sets, in order: join rules, history visibility and, where guests may join, guest access. "If this
 * event is absent, servers should act as if it is present and has the guest_access value `forbidden`."
 *
 * @see https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom
 */
export function presetEvents(preset: RoomPreset): InitialEvent[] {
  const isPublic = preset === "public_chat";
  const joinRule: JoinRule = isPublic ? "public" : "invite";
  const events: InitialEvent[] = [
    { type: "m.room.join_rules", stateKey: "", content: { join_rule: joinRule } },
    { type: "m.room.history_visibility", stateKey: "", content: { history_visibility: "shared" } },
  ];
  if (!isPublic) events.push({ type: "m.room.guest_access", stateKey: "", content: { guest_access: "can_join" } });
  return events;
}

/**
 * The content of a new room's power levels. From room version 12 creators are not listed, since they stand above, and
 * `m.room.tombstone` needs more than an administrator has.
 *
 * @param override `power_level_content_override`: its keys replace ours.
 * @see https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom
 */
export function initialPowerLevels(input: {
  rules: RoomVersionRules;
  creator: UserId;
  preset: RoomPreset;
  invite: readonly UserId[];
  override: JsonObject | null;
}): JsonObject {
  const { rules, preset } = input;
  const users: JsonObject = {};
  if (!rules.creatorsHaveInfinitePower) {
    users[input.creator] = 100;
    // "All invitees are given the same power level as the room creator."
    if (preset === "trusted_private_chat") for (const user of input.invite) users[user] = 100;
  }
  const levels: JsonObject = {
    users,
    users_default: 0,
    events: {
      "m.room.name": 50,
      "m.room.power_levels": 100,
      "m.room.history_visibility": 100,
      "m.room.canonical_alias": 50,
      "m.room.avatar": 50,
      "m.room.tombstone": rules.creatorsHaveInfinitePower ? 150 : 100,
      "m.room.server_acl": 100,
      "m.room.encryption": 100,
    },
    events_default: 0,
    state_default: 50,
    ban: 50,
    kick: 50,
    redact: 50,
    invite: preset === "public_chat" ? 50 : 0,
  };
  return withFields(levels, input.override ?? {});
}

/**
 * The content of a new room's create event. The server's own keys win over the client's: `room_version`, `creator`, and for
 * `trusted_private_chat` the invitees beside the given `additional_creators`.
 *
 * @see https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom
 */
export function createContent(input: {
  rules: RoomVersionRules;
  creator: UserId;
  preset: RoomPreset;
  invite: readonly UserId[];
  creationContent: JsonObject;
}): JsonObject {
  const { rules } = input;
  const content = withFields(input.creationContent, {
    room_version: rules.version,
    creator: rules.creatorIsSender ? undefined : input.creator,
  });
  const addsInvitees = rules.creatorsHaveInfinitePower && input.preset === "trusted_private_chat";
  // A list that is not valid is left for the authorization rules to refuse.
  if (!addsInvitees || !hasValidAdditionalCreators(content)) return content;
  const additional = new Set<string>([...additionalCreators(content), ...input.invite]);
  additional.delete(input.creator);
  return additional.size === 0 ? content : withFields(content, { additional_creators: [...additional] });
}
