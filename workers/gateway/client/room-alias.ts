import type { Services } from "../../../shared/endpoint.ts";
import { errors } from "../../../shared/errors.ts";
import { parseRoomAlias, parseRoomId, type RoomAlias, type RoomId, serverNameOf } from "../../../shared/ids.ts";

/**
 * The room that a `{roomIdOrAlias}` names.
 * @throws MatrixError M_INVALID_PARAM when it is neither; M_NOT_FOUND for an alias that leads nowhere
 */
export async function resolveRoom(services: Services, roomIdOrAlias: string): Promise<RoomId> {
  const roomId = parseRoomId(roomIdOrAlias);
  if (roomId !== null) return roomId;
  const alias = parseRoomAlias(roomIdOrAlias);
  if (alias === null) throw errors.invalidParam("roomIdOrAlias: neither a room id nor a room alias");
  return (await findAlias(services, alias)).room_id;
}

/** Where an alias leads, in the wire's form. @throws MatrixError M_NOT_FOUND, for aliases of other servers too. */
export async function findAlias({ actors, config }: Services, alias: RoomAlias) {
  // @TODO(#4) Aliases of other servers are asked for over federation.
  if (serverNameOf(alias) !== config.serverName) throw errors.notFound("Aliases of other servers cannot be resolved");
  const { roomId, servers } = await actors.server(config.serverName).getAlias(alias);
  return { room_id: roomId, servers };
}
