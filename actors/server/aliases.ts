import { isExclusiveAlias } from "../../shared/appservice-api/namespaces.ts";
import { errors } from "../../shared/errors.ts";
import { type RoomAlias, type RoomId, serverNameOf, type UserId } from "../../shared/ids.ts";
import type { ServerContext } from "./context.ts";

/**
 * Points an alias at a room, once: a repeat for the same room changes nothing, and is refused as well.
 *
 * @throws MatrixError M_ROOM_IN_USE when there is one of that name; M_EXCLUSIVE; M_INVALID_PARAM for another server's alias
 * @see https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3directoryroomroomalias
 */
export function createAlias(server: ServerContext, input: { alias: RoomAlias; roomId: RoomId; creator: UserId }): void {
  const { alias, roomId, creator } = input;
  if (serverNameOf(alias) !== server.serverName) throw errors.invalidParam("The alias belongs to another server");
  if (isExclusiveAlias(server.config.appservices, alias)) {
    throw errors.exclusive("This alias is reserved for an application service");
  }
  server.store.transaction((tx) => {
    if (tx.aliases.find(alias) !== null) throw errors.roomInUse(`Room alias ${alias} already exists`);
    tx.aliases.insert(alias, { roomId, creator }, server.clock.now());
  });
}

/**
 * @throws MatrixError M_NOT_FOUND
 * @see https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3directoryroomroomalias
 */
export function getAlias(server: ServerContext, alias: RoomAlias): { roomId: RoomId } {
  const known = server.store.aliases.find(alias);
  if (known === null) throw errors.notFound("No such room alias");
  return { roomId: known.roomId };
}

/**
 * @param input.mayManage whether the requester has the power for the room's aliases, also those of others.
 * @throws MatrixError M_NOT_FOUND, M_FORBIDDEN
 * @see https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3directoryroomroomalias
 */
export function deleteAlias(
  server: ServerContext,
  input: { alias: RoomAlias; requester: UserId; mayManage: boolean },
): void {
  server.store.transaction((tx) => {
    const known = tx.aliases.find(input.alias);
    if (known === null) throw errors.notFound("No such room alias");
    if (!input.mayManage && known.creator !== input.requester) {
      throw errors.forbidden("Only who made the alias, or a moderator of the room, may remove it");
    }
    tx.aliases.delete(input.alias);
  });
}

/** @see https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidaliases */
export function getAliasesOf(server: ServerContext, roomId: RoomId): RoomAlias[] {
  return server.store.aliases.ofRoom(roomId);
}

/**
 * Points all aliases of a room at the one that replaces it.
 * @returns those that point there now.
 * @see https://spec.matrix.org/v1.19/client-server-api/#room-upgrades
 */
export function moveAliases(server: ServerContext, { from, to }: { from: RoomId; to: RoomId }): RoomAlias[] {
  server.store.transaction((tx) => tx.aliases.move(from, to));
  return server.store.aliases.ofRoom(to);
}
