/** The room's state and its members, now or as they were when the requester left. */
import { errors } from "../../shared/errors.ts";
import type { UserId } from "../../shared/ids.ts";
import { define, type JsonObject } from "../../shared/json.ts";
import { memberProfile, membershipIn } from "../../shared/matrix/content/member.ts";
import type { MembersInput } from "../../shared/rpc/room.ts";
import type { RoomContext } from "./context.ts";
import { findStateAt, stateRootAt } from "./state.ts";
import { getEntry, type StateRoot } from "./state-tree.ts";
import { newest, oldest, readableRoot, serveState, stateEntries, stateEvents } from "./state-view.ts";
import type { EventRecord } from "./store/events.ts";
import { prunedEvent, RoomViewer, requireAccess } from "./visibility.ts";

/** Members read from the database at a time. */
const batchSize = 500;

/**
 * The whole state, as client events.
 * @throws MatrixError M_FORBIDDEN unless the user is or was joined, or history is world readable
 * @see https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidstate
 */
export function getState(room: RoomContext, requester: UserId): JsonObject[] {
  const root = readableRoot(room, requireAccess(room, requester));
  const viewer = new RoomViewer(room, { userId: requester, deviceId: null });
  return serveState(viewer, stateEvents(room, stateEntries(room, root, null), null), { includeRoomId: true });
}

/**
 * One state event, as a client event.
 * @throws MatrixError M_FORBIDDEN as {@link getState}; M_NOT_FOUND when it is not set
 * @see https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidstateeventtypestatekey
 */
export function getStateEvent(
  room: RoomContext,
  requester: UserId,
  type: string,
  stateKey: string,
): { event: JsonObject } {
  const root = readableRoot(room, requireAccess(room, requester));
  const record = findStateAt(room.store, root, type, stateKey);
  if (record === null) throw errors.notFound("The room has no such state event");
  const viewer = new RoomViewer(room, { userId: requester, deviceId: null });
  return { event: viewer.serve(record, { includeRoomId: true }) };
}

/** Events from a position without members that are looked at for the first member: a room begins with its creator's join. */
const maxToFirstMember = 10;

/**
 * Member events, now or at a position. With both conditions given, one of them must hold.
 * @throws MatrixError M_FORBIDDEN as {@link getState}
 * @see https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmembers
 */
export function getMembers(room: RoomContext, input: MembersInput): JsonObject {
  const access = requireAccess(room, input.requester);
  const through = access.kind === "left" ? access.through : newest;
  const viewer = new RoomViewer(room, { userId: input.requester, deviceId: null });
  const at = input.at !== null && input.at < through ? input.at : null;
  if (at !== null) assertMaySeeStateAt(viewer, at);
  const nids = membersIn(room, at === null ? readableRoot(room, access) : stateRootAt(room.store, at));
  // A timeline that begins with the room, or with this server's part in it, begins where nobody is there yet. Who asks for the
  // members at its start, to show it, means those who come first.
  if (nids.length === 0 && at !== null) nids.push(...firstMembersAfter(viewer, at, through));
  const members = room.store.events.byNids(nids).filter((record) => isWanted(record, input));
  return { chunk: serveState(viewer, members, { includeRoomId: true }) };
}

/** The member events of a state. */
function membersIn(room: RoomContext, root: StateRoot): number[] {
  const nids: number[] = [];
  for (const { stateKeyNid } of room.store.stateKeys.ofType("m.room.member")) {
    const eventNid = getEntry(room.store.stateNodes, root, stateKeyNid);
    if (eventNid !== 0) nids.push(eventNid);
  }
  return nids;
}

/** The members as soon as there are any, where the viewer may see them come. */
function firstMembersAfter(viewer: RoomViewer, position: number, through: number): number[] {
  const { room } = viewer;
  const next = room.store.events.forward(position, through, maxToFirstMember);
  const first = next.find((record) => record.type === "m.room.member");
  if (first === undefined || !viewer.canSee(first)) return [];
  return membersIn(room, first.currentRoot ?? first.stateRootAfter);
}

/**
 * A past state may be read by who may see an event beside it: sync gives the state before a timeline's first event, too.
 * @throws MatrixError M_FORBIDDEN
 */
function assertMaySeeStateAt(viewer: RoomViewer, position: number): void {
  const { events } = viewer.room.store;
  const beside = [...events.backward(position, oldest, 1), ...events.forward(position, newest, 1)];
  if (!beside.some((record) => viewer.knowsStateAround(record)))
    throw errors.forbidden("You may not see the room as it was then");
}

function isWanted(record: EventRecord, { membership, notMembership }: MembersInput): boolean {
  if (membership === null && notMembership === null) return true;
  const actual = membershipIn(record.event);
  return actual === membership || (notMembership !== null && actual !== notMembership);
}

/**
 * Profiles of the joined members.
 * @throws MatrixError M_FORBIDDEN unless the user is joined
 * @see https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidjoined_members
 */
export function getJoinedMembers(room: RoomContext, requester: UserId): JsonObject {
  if (!room.store.memberships.isJoined(requester)) throw errors.forbidden("You are not joined to this room");
  const joined: JsonObject = {};
  for (let after = ""; ; ) {
    const members = room.store.memberships.withMembership("join", after, batchSize);
    const records = room.store.events.byNids(members.map((member) => member.eventNid));
    for (const [index, member] of members.entries()) {
      const record = records[index];
      if (record !== undefined) define(joined, member.userId, profileOf(room, record));
    }
    const last = members.at(-1);
    if (last === undefined || members.length < batchSize) return { joined };
    after = last.userId;
  }
}

function profileOf(room: RoomContext, record: EventRecord): JsonObject {
  const { displayname, avatarUrl } = memberProfile(prunedEvent(room, record).content);
  const profile: JsonObject = {};
  if (displayname !== null) profile.display_name = displayname;
  if (avatarUrl !== null) profile.avatar_url = avatarUrl;
  return profile;
}
