/** Changes of membership that a local user makes: join, invite, knock, leave, kick, ban, unban; and forgetting. */
import { errors } from "../../shared/errors.ts";
import { type EventId, parseUserId, type UserId } from "../../shared/ids.ts";
import { field, type JsonObject, stringField, withFields } from "../../shared/json.ts";
import { canonicalJson, checkCanonical } from "../../shared/matrix/canonical-json.ts";
import { membershipOf } from "../../shared/matrix/content/member.ts";
import type { ChangeMembershipInput, Membership, MembershipChange, SendEventInput } from "../../shared/rpc/room.ts";
import type { SigningKey } from "../../shared/rpc/server.ts";
import { admitLocalEvent, stateEvent } from "./admit.ts";
import { commit } from "./commit.ts";
import type { RoomContext } from "./context.ts";
import { knownServers, needsOthers } from "./join-remote.ts";
import { assertLocalInvitee, fetchMemberProfile, isLocalUser, profileFields } from "./member-profile.ts";
import { whenKnown } from "./partial-state.ts";
import { findOutside, forgetOutside } from "./remote-membership.ts";
import { isHere } from "./residency.ts";
import { authoriserFor, fetchRoomsThatAllow } from "./restricted-join.ts";
import { fetchSigningKey } from "./signing.ts";
import { findCurrentState } from "./state.ts";
import type { EventRecord } from "./store/events.ts";
import type { RoomTransaction } from "./store/index.ts";
import { MemberProfileStore } from "./store/member-profiles.ts";
import { deliverWakesTo } from "./wakes.ts";

/** Longest name and avatar URL of a member event, in characters. */
const maxDisplayNameLength = 256;
const maxAvatarUrlLength = 1_000;

type Action = ChangeMembershipInput["action"];

const membershipAfter: Readonly<Record<Action, Membership>> = {
  join: "join",
  invite: "invite",
  knock: "knock",
  leave: "leave",
  kick: "leave",
  unban: "leave",
  ban: "ban",
};

/** A change on its way: what the new member event is to say. */
interface MemberChange {
  readonly action: Action;
  readonly requester: UserId;
  readonly target: UserId;
  /** Without membership and authoriser. */
  readonly content: JsonObject;
  readonly deviceId: string | null;
}

/**
 * Changes a membership. A change that is made already is answered with the event that made it.
 *
 * @returns a null event id where only other servers, which are in the room, can make the change.
 * @throws MatrixError M_FORBIDDEN with the rule's reason; M_BAD_STATE (403) for what makes no sense in the target's state;
 *   M_LIMIT_EXCEEDED; M_BAD_JSON for content that cannot be a member event's
 * @see https://spec.matrix.org/v1.19/client-server-api/#room-membership
 */
export async function changeMembership(room: RoomContext, input: ChangeMembershipInput): Promise<MembershipChange> {
  const { action, requester, target } = input;
  const content = contentOf(withFields(input.content, { reason: input.reason ?? undefined }));
  if (action === "leave") {
    const outside = findOutside(room, requester);
    if (outside !== null && outside.membership === "leave") return { eventId: outside.eventId };
  }
  if (await isElsewhere(room, input)) return { eventId: null, ...knownServers(room, requester) };
  return changeMember(room, { action, requester, target, content, deviceId: null });
}

/** Whether the requester's own membership is for other servers to change. */
async function isElsewhere(room: RoomContext, { action, requester }: ChangeMembershipInput): Promise<boolean> {
  switch (action) {
    case "join":
      return needsOthers(room, requester);
    case "knock":
      return !isHere(room, room.store);
    case "leave": {
      const outside = findOutside(room, requester);
      if (outside !== null) return outside.membership === "invite" || outside.membership === "knock";
      if (room.store.room.find() === null || isHere(room, room.store)) return false;
      const membership = room.store.memberships.find(requester)?.membership;
      return membership === "invite" || membership === "knock";
    }
    default:
      return false;
  }
}

/**
 * `PUT /rooms/{roomId}/state/m.room.member/{userId}`: the same changes, with content of the client's own.
 * @throws MatrixError as {@link changeMembership}; M_BAD_JSON, M_INVALID_PARAM
 * @see https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidstateeventtypestatekey
 */
export function sendMemberEvent(
  room: RoomContext,
  input: SendEventInput & { stateKey: string },
): Promise<{ eventId: EventId }> {
  const target = parseUserId(input.stateKey);
  if (target === null) throw errors.invalidParam("The state key of a member event must be a user id");
  const action = membershipOf(input.content);
  if (action === null) throw errors.badJson("content.membership is missing or unknown");
  const { sender: requester, deviceId } = input;
  return changeMember(room, { action, requester, target, content: contentOf(input.content), deviceId });
}

/** What a client may say of its own in a member event: all but what the server decides. @throws MatrixError M_BAD_JSON */
function contentOf(given: JsonObject): JsonObject {
  const content = withFields(given, { membership: undefined, join_authorised_via_users_server: undefined });
  const tooLong = (name: string, limit: number): boolean => (stringField(content, name)?.length ?? 0) > limit;
  if (tooLong("displayname", maxDisplayNameLength)) throw errors.badJson("content.displayname is too long");
  if (tooLong("avatar_url", maxAvatarUrlLength)) throw errors.badJson("content.avatar_url is too long");
  assertCanonical(content);
  return content;
}

/** @throws MatrixError M_BAD_JSON */
function assertCanonical(content: JsonObject): void {
  const canonical = checkCanonical(content);
  if (!canonical.ok) throw errors.badJson(`The event is not canonical JSON: ${canonical.reason}`);
}

/** A ban asks nothing of what somebody is in the room; all else that is done to others does. */
function changeMember(room: RoomContext, change: MemberChange): Promise<{ eventId: EventId }> {
  const apply = () => applyChange(room, change);
  return change.action === "ban" ? apply() : whenKnown(room, change, apply);
}

async function applyChange(room: RoomContext, change: MemberChange): Promise<{ eventId: EventId }> {
  const membership = membershipAfter[change.action];
  assertReachable(room, change);
  const carriesProfile = membership === "join" || membership === "invite" || membership === "knock";
  const profile = carriesProfile
    ? await fetchMemberProfile(room, change.target, membership === "invite" ? "invite" : "own")
    : {};
  const content = withFields(withFields(profile, change.content), { membership });
  assertCanonical(content);
  const allowingRooms = membership === "join" ? await fetchRoomsThatAllow(room, change.target) : new Set<never>();
  const key = await fetchSigningKey(room);
  const eventId = await commit(room, (tx) => {
    const old = tx.room.find() === null ? null : findCurrentState(tx, "m.room.member", change.target);
    const unchanged = findUnchanged(old, change.requester, content);
    if (unchanged !== null) return unchanged;
    assertMakesSense(change, old);
    countLimits(room, membership, old);
    const authoriser = membership === "join" ? authoriserFor(room, tx, { target: change.target, allowingRooms }) : null;
    return admitMember(room, tx, key, { ...change, content: withAuthoriser(content, authoriser) });
  });
  await deliverWakesTo(room, [change.requester, change.target]);
  return { eventId };
}

/** @throws MatrixError M_FORBIDDEN */
function assertReachable(room: RoomContext, { action, requester, target }: MemberChange): void {
  if (room.store.room.find() === null) throw errors.forbidden(`${requester} is not in the room`);
  // By a state that is long outdated, nothing can be decided.
  if (!isHere(room, room.store)) throw errors.forbidden("This server is not in the room");
  if (action !== "invite") return;
  assertLocalInvitee(room, target);
  // Said before the invitee's limit is counted: a stranger to the room must not use it up.
  if (room.store.memberships.find(requester)?.membership !== "join") {
    throw errors.forbidden(`${requester} is not in the room`);
  }
}

function admitMember(
  room: RoomContext,
  tx: RoomTransaction,
  key: SigningKey,
  { requester, target, content, deviceId }: Omit<MemberChange, "action">,
): EventId {
  return admitLocalEvent(room, tx, key, { ...stateEvent(requester, "m.room.member", target, content), deviceId });
}

function withAuthoriser(content: JsonObject, authoriser: UserId | null): JsonObject {
  return withFields(content, { join_authorised_via_users_server: authoriser ?? undefined });
}

/** The present member event, if the same user made it say the same. Who had authorised a join is no part of that. */
function findUnchanged(old: EventRecord | null, requester: UserId, content: JsonObject): EventId | null {
  if (old === null || old.sender !== requester || old.redactedBy !== null) return null;
  return canonicalJson(withAuthoriser(old.event.content, null)) === canonicalJson(content) ? old.eventId : null;
}

/**
 * What the authorization rules would let pass, or refuse for a reason that misleads.
 * @throws MatrixError M_BAD_STATE, M_FORBIDDEN
 */
function assertMakesSense({ action, target }: MemberChange, old: EventRecord | null): void {
  const before = old === null ? null : membershipOf(old.event.content);
  if (action === "unban" && before !== "ban") throw errors.badState(`${target} is not banned`);
  if (before === "ban" && (action === "join" || action === "invite" || action === "knock")) {
    throw errors.forbidden(`${target} is banned from the room`);
  }
  if (action === "kick" && before === "ban") throw errors.badState(`${target} is banned, not in the room`);
  if (action === "kick" && (before === null || before === "leave")) {
    throw errors.forbidden(`${target} is not in the room`);
  }
}

/** @throws MatrixError M_LIMIT_EXCEEDED */
function countLimits(room: RoomContext, membership: Membership, old: EventRecord | null): void {
  const isJoined = old !== null && membershipOf(old.event.content) === "join";
  if (membership === "join" && !isJoined) room.memory.limits.count("rc_joins_per_room");
  if (membership === "invite") room.memory.limits.count("rc_invites.per_room");
}

/**
 * `POST /rooms/{roomId}/forget`: the user no longer has the room or its history. Safe to repeat.
 * @throws MatrixError M_UNKNOWN while the user is still in the room
 * @see https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidforget
 */
export async function forget(room: RoomContext, requester: UserId): Promise<null> {
  const through = await commit(room, (tx) => {
    const outside = forgetOutside(room, requester);
    const member = tx.room.find() === null ? null : tx.memberships.find(requester);
    if (member === null) return outside;
    const isOut = member.membership === "leave" || member.membership === "ban";
    if (!isOut && outside === null) throw errors.unknown(`${requester} has not left the room`);
    if (isOut && !member.isForgotten) tx.memberships.forget(requester);
    return outside ?? member.streamPosition;
  });
  if (through !== null) await room.actors.user(requester).roomForgotten(room.roomId, through);
  return null;
}

/**
 * Writes the user's new name and avatar into the room, where the user is joined and they differ.
 *
 * @param told `version` counts the profile's changes: what was told before a newer one and comes after it is not taken.
 * @see https://spec.matrix.org/v1.19/client-server-api/#events-on-change-of-profile-information
 */
export async function updateMemberProfile(
  room: RoomContext,
  userId: UserId,
  { profile, version }: { profile: JsonObject; version: number },
): Promise<null> {
  if (room.store.room.find() === null || !isLocalUser(room, userId)) return null;
  const key = await fetchSigningKey(room);
  const content = withFields(profileFields(profile), { membership: "join" });
  await commit(room, (tx) => {
    const old = findCurrentState(tx, "m.room.member", userId);
    if (old === null || membershipOf(old.event.content) !== "join") return;
    const told = new MemberProfileStore(room.sql);
    if (version < told.versionOf(userId)) return;
    told.setVersion(userId, version);
    const isSame = (name: string): boolean => field(old.event.content, name) === field(content, name);
    if (isSame("displayname") && isSame("avatar_url") && old.redactedBy === null) return;
    admitLocalEvent(room, tx, key, stateEvent(userId, "m.room.member", userId, content));
  });
  return null;
}
