import { errors, MatrixError } from "../../shared/errors.ts";
import { parseRoomAlias, type RoomAlias, type RoomId, trusted } from "../../shared/ids.ts";
import { defaultPreset } from "../../shared/matrix/room-presets.ts";
import { makeCreateEvent } from "../../shared/room-creation.ts";
import type { CreateRoomInput } from "../../shared/rpc/room.ts";
import type { CreateRoomRequest } from "../../shared/rpc/user.ts";
import type { UserContext } from "./context.ts";
import { owe } from "./obligations.ts";

/**
 * Makes a room: builds and signs the create event, which decides the room id, reserves the alias, and has the room's
 * actor make the rest.
 *
 * @throws MatrixError M_UNSUPPORTED_ROOM_VERSION, M_ROOM_IN_USE for an alias that is taken, M_INVALID_PARAM, M_EXCLUSIVE,
 *   and what the room refuses
 * @see https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom
 */
export async function createRoom(user: UserContext, request: CreateRoomRequest): Promise<{ roomId: RoomId }> {
  const alias = request.roomAliasName === null ? null : parseAliasName(user, request.roomAliasName);
  const roomVersion = request.roomVersion ?? user.config.defaultRoomVersion;
  const preset = request.preset ?? defaultPreset(request.visibility);
  const key = await user.actors.server(user.config.serverName).getSigningKey();
  const now = user.store.transaction((tx) => tx.accounts.nextRoomTs(user.clock.now())) ?? user.clock.now();
  const { createEvent, roomId } = makeCreateEvent(
    { creator: user.userId, roomVersion, creationContent: request.creationContent, preset, invite: request.invite },
    { key, now, random: user.random },
  );
  const { visibility, name, topic, isDirect, initialState, powerLevelContentOverride } = request;
  const invite = [...new Set(request.invite)];
  const room = { visibility, name, topic, isDirect, initialState, powerLevelContentOverride, invite };
  const input = { ...room, creator: user.userId, createEvent, roomVersion, preset, alias };
  return alias === null
    ? await makeRoom(user, roomId, input)
    : await makeRoomWithAlias(user, roomId, { ...input, alias });
}

function parseAliasName(user: UserContext, name: string): RoomAlias {
  const alias = /[:\s\0]/u.test(name) ? null : parseRoomAlias(`#${name}:${user.config.serverName}`);
  if (alias === null) throw errors.invalidParam("room_alias_name cannot be part of a room alias");
  return alias;
}

async function makeRoom(user: UserContext, roomId: RoomId, input: CreateRoomInput): Promise<{ roomId: RoomId }> {
  return await user.actors.room(roomId).createRoom(input);
}

/**
 * Between reserving the alias and making the room anything may fail. Until the room is made, it is owed to give the
 * alias back.
 */
async function makeRoomWithAlias(
  user: UserContext,
  roomId: RoomId,
  input: CreateRoomInput & { alias: RoomAlias },
): Promise<{ roomId: RoomId }> {
  const { alias } = input;
  const reservation = `${roomId} ${alias}`;
  user.memory.roomsInCreation.add(roomId);
  try {
    user.store.transaction((tx) => owe(user, tx, "alias", reservation));
    await user.actors.server(user.config.serverName).createAlias({ alias, roomId, creator: user.userId });
    const made = await makeRoom(user, roomId, input);
    user.store.transaction((tx) => tx.obligations.cancel("alias", reservation));
    return made;
  } finally {
    user.memory.roomsInCreation.delete(roomId);
  }
}

/**
 * Gives an alias back that was reserved for a room which was then not made. An alias of another room, or of a room that
 * exists after all, stays.
 *
 * @param reservation room id and alias, as {@link makeRoomWithAlias} owed them.
 */
export async function removeOrphanedAlias(user: UserContext, reservation: string): Promise<void> {
  const [room = "", name = ""] = reservation.split(" ");
  const roomId = trusted.roomId(room);
  const alias = trusted.roomAlias(name);
  if (user.memory.roomsInCreation.has(roomId)) throw new Error("the room is being made at this moment");
  const server = user.actors.server(user.config.serverName);
  const target = await orNull(server.getAlias(alias));
  if (target?.roomId !== roomId || (await orNull(user.actors.room(roomId).getDirectoryVisibility())) !== null) return;
  await server.deleteAlias({ alias, requester: user.userId, mayManage: false });
}

/** What was asked for, or null when it does not exist. */
async function orNull<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (thrown) {
    if (thrown instanceof MatrixError && thrown.status === 404) return null;
    throw thrown;
  }
}
