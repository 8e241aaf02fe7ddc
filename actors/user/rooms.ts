/** The user's rooms, as the rooms themselves tell of them: a copy that decides nothing. */
import { errors } from "../../shared/errors.ts";
import type { RoomId } from "../../shared/ids.ts";
import { parseSyncToken } from "../../shared/matrix/stream-token.ts";
import type { OwnMembership } from "../../shared/rpc/room.ts";
import type { RoomWake } from "../../shared/rpc/user.ts";
import type { UserContext } from "./context.ts";
import { owe } from "./obligations.ts";
import { isProfileOutdated } from "./profile.ts";
import { settleObligations } from "./settle.ts";
import type { UserWriter } from "./store/index.ts";
import type { UserRoom } from "./store/rooms.ts";
import { wakeWaiters } from "./waiters.ts";

/**
 * A room says that it has something new. Stored before it is answered, and applied only where newer, so that repeats
 * and reordering do nothing.
 *
 * @returns the room position that answers to this user have read for certain.
 */
export function roomAdvanced(user: UserContext, wake: RoomWake): { knownPosition: number } {
  const { knownPosition, isBehind, hasJoined } = user.store.transaction((tx) => {
    const room = tx.rooms.find(wake.roomId);
    const forgotten = room === null ? tx.rooms.findForgotten(wake.roomId) : null;
    // A repeat, or a late one: what it says was so before the user forgot the room.
    if (forgotten !== null && wake.membershipPosition <= forgotten.membershipPosition) {
      return { knownPosition: wake.head, isBehind: false, hasJoined: false };
    }
    if (room === null) {
      const { roomId, membership, membershipPosition, head } = wake;
      const hasJoined = membership === "join";
      if (hasJoined) oweAfterJoin(user, tx, roomId);
      const listed = { roomId, membership, membershipPosition, headHint: head };
      if (forgotten === null) tx.rooms.insert(listed);
      else tx.rooms.recall({ ...listed, roomNid: forgotten.roomNid, headKnown: forgotten.membershipPosition });
      return { knownPosition: 0, isBehind: true, hasJoined };
    }
    const headHint = Math.max(room.headHint, wake.head);
    const hasJoined = updateRoom(user, tx, room, { ...withMembership(room, wake), headHint });
    return { knownPosition: room.headKnown, isBehind: headHint > room.headKnown, hasJoined };
  });
  if (hasJoined) followJoin(user, wake.roomId);
  user.memory.wakeCounts.set(wake.roomId, wakeCountOf(user, wake.roomId) + 1);
  if (isBehind) wakeWaiters(user);
  return { knownPosition };
}

/** What is known of a room by its word on the user's membership: nothing new, where that is as old or older. */
export function withMembership(room: UserRoom, told: OwnMembership | null): UserRoom {
  if (told === null || told.membershipPosition <= room.membershipPosition) return room;
  return { ...room, membership: told.membership, membershipPosition: told.membershipPosition };
}

/** Stores what is known of a room, where it differs. @returns whether the user has come in: {@link followJoin} is due then */
export function updateRoom(user: UserContext, tx: UserWriter, room: UserRoom, known: UserRoom): boolean {
  const facts = ["membershipPosition", "headHint", "headKnown"] as const;
  if (facts.every((fact) => known[fact] === room[fact])) return false;
  tx.rooms.update(known);
  const hasJoined = known.membership === "join" && room.membership !== "join";
  if (hasJoined) oweAfterJoin(user, tx, room.roomId);
  return hasJoined;
}

/** Does what is owed to a room into which the user has come. */
export function followJoin(user: UserContext, roomId: RoomId): void {
  user.memory.profilesGiven.delete(roomId);
  if (user.store.obligations.isAny()) user.background(() => settleObligations(user));
}

function oweAfterJoin(user: UserContext, tx: UserWriter, roomId: RoomId): void {
  if (tx.accountData.hasRoomSettings()) owe(user, tx, "upgrade", roomId);
  if (isProfileOutdated(user, roomId)) owe(user, tx, "profile", roomId);
}

/** How many wakes of a room this instance has taken. */
export function wakeCountOf(user: UserContext, roomId: RoomId): number {
  return user.memory.wakeCounts.get(roomId) ?? 0;
}

/**
 * The user has forgotten the room: it leaves the user's lists, but for the devices that have not been told that the user left.
 *
 * @param through room position at which the user left: who has come back since has not forgotten the room.
 */
export function roomForgotten(user: UserContext, roomId: RoomId, through: number): void {
  user.store.transaction((tx) => {
    const known = tx.rooms.find(roomId) ?? tx.rooms.findForgotten(roomId);
    if (known !== null && known.membershipPosition > through) return;
    // Of a room that the user was never told of, a wake may be on its way still.
    const roomNid = known?.roomNid ?? tx.rooms.newNid();
    tx.rooms.forget({ roomNid, roomId, membershipPosition: through }, tx.streams.next());
  });
  // That the user left may be news: the wake that should have told it will say nothing any more.
  wakeWaiters(user);
}

/** `GET /joined_rooms` */
export function getJoinedRooms(user: UserContext): RoomId[] {
  return user.store.rooms.withMembership("join");
}

/**
 * The room position that a sync token had read. A token from before the user came into the room stands for their coming:
 * bots join a room and read it at once, with the token that they have.
 *
 * @throws MatrixError M_INVALID_PARAM for what is not a token, or a room that the user does not have
 */
export function roomPositionAt(user: UserContext, syncToken: string, roomId: RoomId): number {
  const token = parseSyncToken(syncToken);
  const { rooms } = user.store;
  const read = token === null ? null : rooms.findRead(roomId, token.position);
  const position = token === null ? null : (read ?? rooms.find(roomId)?.membershipPosition ?? null);
  if (position === null) throw errors.invalidParam("The token is not one of this user's for this room");
  return position;
}
