import type { Services } from "../../../shared/endpoint.ts";
import { errors } from "../../../shared/errors.ts";
import { mayTalkTo } from "../../../shared/federation-api/peers.ts";
import { queryDirectory } from "../../../shared/federation-api/query.ts";
import {
  parseRoomAlias,
  parseRoomId,
  type RoomAlias,
  type RoomId,
  type ServerName,
  serverNameOf,
} from "../../../shared/ids.ts";

/** A room, and servers that may be in it. */
export interface ResolvedRoom {
  readonly roomId: RoomId;
  readonly servers: readonly ServerName[];
}

/**
 * The room that a `{roomIdOrAlias}` names.
 *
 * @param via servers that the client names beside it.
 * @throws MatrixError M_INVALID_PARAM when it is neither; M_NOT_FOUND for an alias that leads nowhere; M_UNKNOWN (502) when
 *   the server of the alias cannot be had
 */
export async function resolveRoom(
  services: Services,
  roomIdOrAlias: string,
  via: readonly ServerName[],
): Promise<ResolvedRoom> {
  const roomId = parseRoomId(roomIdOrAlias);
  if (roomId !== null) return { roomId, servers: via };
  const alias = parseRoomAlias(roomIdOrAlias);
  if (alias === null) throw errors.invalidParam("roomIdOrAlias: neither a room id nor a room alias");
  const found = await findAlias(services, alias);
  return { roomId: found.room_id, servers: [...via, ...found.servers] };
}

/**
 * Where an alias leads, in the wire's form.
 * @throws MatrixError M_NOT_FOUND; M_UNKNOWN (502) when the server of the alias cannot be had
 */
export async function findAlias({ actors, egress, config }: Services, alias: RoomAlias) {
  const server = serverNameOf(alias);
  if (server === config.serverName) {
    const { roomId } = await actors.server(server).getAlias(alias);
    return { room_id: roomId, servers: await actors.room(roomId).getServers() };
  }
  if (!mayTalkTo(config, server)) throw errors.notFound(`This server does not federate with ${server}`);
  const asked = await queryDirectory(egress, alias);
  if (asked.ok) return { room_id: asked.value.roomId, servers: asked.value.servers };
  // A server that refuses to say does not have the alias for us.
  if (asked.status !== null && asked.status < 500) throw errors.notFound("There is no such alias");
  throw errors.badGateway(`${server} could not be asked for the alias`);
}
