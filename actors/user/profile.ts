import { errors } from "../../shared/errors.ts";
import type { RoomId } from "../../shared/ids.ts";
import { field, type JsonObject, type JsonValue, withFields } from "../../shared/json.ts";
import type { UserContext } from "./context.ts";
import { owe } from "./obligations.ts";

/** In characters; Synapse's limits. */
export const maxDisplayNameLength = 256;
export const maxAvatarUrlLength = 1000;
/** In bytes. @see https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3profileuseridkeyname */
const maxProfileKeyBytes = 255;
const maxProfileBytes = 65_536;

/** The fields that member events carry. */
const memberFields: readonly string[] = ["displayname", "avatar_url"];
/** Rooms that are on the way to having the user as a member, at most. */
const maxProfilesGiven = 1_000;
const customField = /^[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)+$/;

/**
 * The whole profile.
 * @throws MatrixError M_NOT_FOUND for an unknown or deactivated user
 * @see https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3profileuserid
 */
export function getProfile(user: UserContext): JsonObject {
  const profile = user.store.accounts.findProfile();
  if (profile === null) throw errors.notFound("No such user");
  return profile.fields;
}

/**
 * The profile for the member event with which the user is about to come into a room. Should it change before the room has
 * told of the join, the room is told of the change then: see {@link isProfileOutdated}.
 */
export function giveMemberProfile(user: UserContext, roomId: RoomId): JsonObject {
  const { profilesGiven } = user.memory;
  profilesGiven.delete(roomId);
  profilesGiven.set(roomId, user.store.accounts.profileVersion());
  for (const oldest of profilesGiven.keys()) {
    if (profilesGiven.size <= maxProfilesGiven) break;
    profilesGiven.delete(oldest);
  }
  return getMemberProfile(user);
}

/** Whether a room that the user has just joined was given a profile that has changed since, as far as is remembered. */
export function isProfileOutdated(user: UserContext, roomId: RoomId): boolean {
  const given = user.memory.profilesGiven.get(roomId);
  return given !== undefined && given !== user.store.accounts.profileVersion();
}

/** `displayname` and `avatar_url` for a member event; empty for a user without an account. */
export function getMemberProfile(user: UserContext): JsonObject {
  const fields = user.store.accounts.findProfile()?.fields ?? {};
  const kept: JsonObject = {};
  for (const name of memberFields) {
    const value = field(fields, name);
    if (value !== undefined) kept[name] = value;
  }
  return kept;
}

/**
 * Sets one field and lets the joined rooms know.
 *
 * @throws MatrixError M_INVALID_PARAM, M_KEY_TOO_LARGE, M_PROFILE_TOO_LARGE, M_NOT_FOUND
 * @see https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3profileuseridkeyname
 */
export function setProfileField(user: UserContext, name: string, value: JsonValue): void {
  assertProfileKey(name);
  if (name === "displayname") assertAcceptableDisplayName(value);
  if (name === "avatar_url") assertAcceptableAvatar(value);
  if (name === "m.tz" && typeof value !== "string") throw errors.invalidParam("m.tz must be a string");
  // Clients take a name or an avatar away by setting it to nothing.
  const isRemoval = value === "" && memberFields.includes(name);
  changeField(user, name, isRemoval ? undefined : value);
}

/**
 * Removes one field and lets the joined rooms know. A field that is not there is no error.
 * @see https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3profileuseridkeyname
 */
export function deleteProfileField(user: UserContext, name: string): void {
  assertProfileKey(name);
  changeField(user, name, undefined);
}

function changeField(user: UserContext, name: string, value: JsonValue | undefined): void {
  user.store.transaction((tx) => {
    const profile = tx.accounts.findProfile();
    if (profile === null) throw errors.notFound("No such user");
    const before = JSON.stringify(profile.fields);
    const fields = withFields(profile.fields, { [name]: value });
    const after = JSON.stringify(fields);
    if (after === before) return;
    // "the total profile MUST be under 64 KiB"
    if (value !== undefined && new TextEncoder().encode(after).length >= maxProfileBytes) {
      throw errors.profileTooLarge("The profile would be 64 KiB or more");
    }
    tx.accounts.setProfile(fields);
    if (!memberFields.includes(name)) return;
    for (const roomId of tx.rooms.withMembership("join")) owe(user, tx, "profile", roomId);
    owe(user, tx, "directory");
  });
}

function assertProfileKey(name: string): void {
  if (new TextEncoder().encode(name).length > maxProfileKeyBytes) {
    throw errors.keyTooLarge(`A profile key may have at most ${maxProfileKeyBytes} bytes`);
  }
  if (!memberFields.includes(name) && !customField.test(name)) throw errors.invalidParam("Invalid profile key");
}

/** @throws MatrixError M_INVALID_PARAM */
export function assertAcceptableDisplayName(value: JsonValue): void {
  if (typeof value !== "string" || !value.isWellFormed()) throw errors.invalidParam("displayname must be a string");
  if (value.length > maxDisplayNameLength) {
    throw errors.invalidParam(`displayname may have at most ${maxDisplayNameLength} characters`);
  }
}

function assertAcceptableAvatar(value: JsonValue): void {
  if (typeof value !== "string" || (value !== "" && !/^mxc:\/\/[^/]+\/[^/]+$/.test(value))) {
    throw errors.invalidParam("avatar_url must be an MXC URI");
  }
  if (value.length > maxAvatarUrlLength) {
    throw errors.invalidParam(`avatar_url may have at most ${maxAvatarUrlLength} characters`);
  }
}
