import { errors } from "../../shared/errors.ts";
import { serverNameOf, type UserId } from "../../shared/ids.ts";
import { type JsonObject, stringField } from "../../shared/json.ts";
import type { ProfileOccasion } from "../../shared/rpc/user.ts";
import type { RoomContext } from "./context.ts";

/** Whether a user belongs to this server. */
export function isLocalUser(room: RoomContext, userId: UserId): boolean {
  return serverNameOf(userId) === room.config.serverName;
}

/**
 * Refuses an invitee of another server: their server has to sign the invite first (`invite-remote.ts`).
 * @throws MatrixError M_FORBIDDEN
 */
export function assertLocalInvitee(room: RoomContext, invitee: UserId): void {
  if (isLocalUser(room, invitee)) return;
  throw errors.forbidden(`${invitee} can only be invited by way of ${serverNameOf(invitee)}`);
}

/**
 * `displayname` and `avatar_url` for a member event, as the user has set them; empty for users of other servers.
 * @throws MatrixError for an invite M_LIMIT_EXCEEDED, when the user was invited too often of late, and M_INVITE_BLOCKED.
 */
export async function fetchMemberProfile(
  room: RoomContext,
  userId: UserId,
  occasion: ProfileOccasion,
): Promise<JsonObject> {
  return isLocalUser(room, userId)
    ? profileFields(await room.actors.user(userId).getMemberProfile(occasion, room.roomId))
    : {};
}

/** Of a profile, what a member event carries. */
export function profileFields(profile: JsonObject): JsonObject {
  const fields: JsonObject = {};
  for (const name of ["displayname", "avatar_url"]) {
    const value = stringField(profile, name);
    if (value !== null) fields[name] = value;
  }
  return fields;
}
