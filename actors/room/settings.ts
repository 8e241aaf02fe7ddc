/** What the room lets a user do besides sending: its place in the directory, its aliases. */
import { errors } from "../../shared/errors.ts";
import type { UserId } from "../../shared/ids.ts";
import { stringField } from "../../shared/json.ts";
import { commit } from "./commit.ts";
import type { RoomContext } from "./context.ts";
import { projectDirectoryLater } from "./directory.ts";
import { lacksMembers } from "./partial-state.ts";
import { currentPowerLevels } from "./redactions.ts";
import { findCurrentState } from "./state.ts";
import type { RoomRead } from "./store/index.ts";

/**
 * Whether the room is listed in the published room directory.
 * @throws MatrixError M_NOT_FOUND for a room that does not exist
 * @see https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3directorylistroomroomid
 */
export function getDirectoryVisibility(room: RoomContext): "public" | "private" {
  const facts = room.store.room.find();
  if (facts === null) throw errors.notFound("Room not found");
  return facts.isPublished ? "public" : "private";
}

/**
 * Lists the room in the published room directory, or takes it out.
 * @throws MatrixError M_NOT_FOUND for a room that does not exist; M_FORBIDDEN for a requester without the power to set the
 *   room's canonical alias
 * @see https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3directorylistroomroomid
 */
export async function setDirectoryVisibility(
  room: RoomContext,
  requester: UserId,
  visibility: "public" | "private",
): Promise<null> {
  await commit(room, (tx) => {
    const facts = tx.room.find();
    if (facts === null) throw errors.notFound("Room not found");
    if (!hasAliasPower(tx, requester)) throw errors.forbidden(`${requester} may not list or unlist this room`);
    const isPublished = visibility === "public";
    if (facts.isPublished === isPublished) return;
    tx.room.setPublished(isPublished);
    // A position of its own, so that the copy in the directory is known to be older.
    tx.room.oweDirectory(tx.room.takePosition());
    projectDirectoryLater(room);
  });
  return null;
}

/**
 * Whether the requester may see the room's aliases: a member, or anybody where history is world readable.
 * @throws MatrixError M_FORBIDDEN
 * @see https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidaliases
 */
export function assertMayReadAliases(room: RoomContext, requester: UserId): null {
  if (room.store.memberships.isJoined(requester)) return null;
  const visibility = findCurrentState(room.store, "m.room.history_visibility", "")?.event.content ?? {};
  if (stringField(visibility, "history_visibility") === "world_readable") return null;
  throw errors.forbidden(`${requester} is not in the room`);
}

/** Whether the requester may remove an alias of the room that somebody else made. */
export function mayManageAliases(room: RoomContext, requester: UserId): boolean {
  return room.store.room.find() !== null && hasAliasPower(room.store, requester);
}

function hasAliasPower(store: RoomRead, requester: UserId): boolean {
  if (!store.memberships.isJoined(requester)) return false;
  const levels = currentPowerLevels(store);
  return levels.ofUser(requester) >= levels.toSend("m.room.canonical_alias", true);
}

/**
 * Whether the user is joined: the condition of another room's restricted join. Null: this server is not in the room, or
 * does not know all of its members yet.
 */
export function isJoined(room: RoomContext, userId: UserId): boolean | null {
  if (room.store.room.find() === null || room.store.memberships.localJoined("", 1).length === 0) return null;
  return room.store.memberships.isJoined(userId) || (lacksMembers(room.store) ? null : false);
}
