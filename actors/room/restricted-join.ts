/** Joining a restricted room by being a member of another. */
import { parseUserId, type RoomId, type UserId } from "../../shared/ids.ts";
import { field, isObject, objectField } from "../../shared/json.ts";
import { creatorsOf } from "../../shared/matrix/content/create.ts";
import { allowedRooms, joinRuleOf } from "../../shared/matrix/content/join-rules.ts";
import type { RoomContext } from "./context.ts";
import { isLocalUser } from "./member-profile.ts";
import { currentPowerLevels } from "./redactions.ts";
import { findCurrentState } from "./state.ts";
import type { RoomRead } from "./store/index.ts";

/** Rooms that are asked, of those that a join rule names; the rest are as if this server were not in them. */
const maxAllowingRooms = 20;
/** Members that are looked at to find one who may invite. */
const maxCandidates = 200;

/**
 * Of the rooms whose members the join rule lets in, those in which the user is joined. To be called before the
 * transaction: the rooms are asked.
 *
 * @see https://spec.matrix.org/v1.19/client-server-api/#restricted-rooms
 */
export async function fetchRoomsThatAllow(room: RoomContext, userId: UserId): Promise<ReadonlySet<RoomId>> {
  return new Set(
    (await askAllowingRooms(room, userId)).filter(({ isJoined }) => isJoined === true).map(({ roomId }) => roomId),
  );
}

/** What the rooms say that the join rule names; null: this server is not in that room, or does not know it whole, and cannot know. */
export async function askAllowingRooms(
  room: RoomContext,
  userId: UserId,
): Promise<{ roomId: RoomId; isJoined: boolean | null }[]> {
  const candidates = restrictingRooms(room.store, userId).filter((roomId) => roomId !== room.roomId);
  const asked = candidates.slice(0, maxAllowingRooms);
  const answers = await Promise.all(asked.map((roomId) => room.actors.room(roomId).isJoined(userId)));
  return candidates.map((roomId, index) => ({ roomId, isJoined: answers[index] ?? null }));
}

/** Whether the user can only join by meeting a condition of the join rule. */
export function mustMeetCondition(store: RoomRead, userId: UserId): boolean {
  const membership = store.memberships.find(userId)?.membership;
  if (membership === "join" || membership === "invite" || membership === "ban") return false;
  if (!store.room.rules().allowsRestrictedJoin) return false;
  const rule = joinRuleOf(findCurrentState(store, "m.room.join_rules", "")?.event.content ?? null);
  return rule === "restricted" || rule === "knock_restricted";
}

/** Whether the join rule names conditions at all, of whichever type. */
export function hasConditions(store: RoomRead): boolean {
  const allow = field(findCurrentState(store, "m.room.join_rules", "")?.event.content ?? {}, "allow");
  return Array.isArray(allow) && allow.length > 0;
}

/** The rooms whose members may join; empty where the join rule does not ask, or the user needs no leave to join. */
function restrictingRooms(store: RoomRead, userId: UserId): RoomId[] {
  if (!mustMeetCondition(store, userId)) return [];
  return allowedRooms(findCurrentState(store, "m.room.join_rules", "")?.event.content ?? {});
}

/**
 * The member whose power to invite authorizes the join of a user who meets a condition of the join rule; null where none
 * is needed, none is met, or this server has nobody who may invite.
 *
 * @param join.allowingRooms as {@link fetchRoomsThatAllow} found them; the join rule is read anew.
 * @see https://spec.matrix.org/v1.19/rooms/v12/#authorisation-rules
 */
export function authoriserFor(
  room: RoomContext,
  store: RoomRead,
  join: { target: UserId; allowingRooms: ReadonlySet<RoomId> },
): UserId | null {
  if (!restrictingRooms(store, join.target).some((roomId) => join.allowingRooms.has(roomId))) return null;
  const levels = currentPowerLevels(store);
  const needed = levels.level("invite");
  for (const userId of inviterCandidates(store)) {
    const member = store.memberships.find(userId);
    if (member?.membership !== "join" || !isLocalUser(room, member.userId)) continue;
    if (levels.ofUser(userId) >= needed) return member.userId;
  }
  return null;
}

/** Those who are likely to have power first: creators, those with a level of their own, then anybody. */
function* inviterCandidates(store: RoomRead): Generator<UserId> {
  const create = findCurrentState(store, "m.room.create", "");
  const named = new Set<string>(create === null ? [] : creatorsOf(create.event, store.room.rules()));
  const levels = findCurrentState(store, "m.room.power_levels", "")?.event.content ?? {};
  const users = objectField(levels, "users");
  if (isObject(users)) for (const userId of Object.keys(users)) named.add(userId);
  let count = 0;
  for (const text of named) {
    const userId = count++ < maxCandidates ? parseUserId(text) : null;
    if (userId !== null) yield userId;
  }
  for (const member of store.memberships.localJoined("", maxCandidates)) yield member.userId;
}
