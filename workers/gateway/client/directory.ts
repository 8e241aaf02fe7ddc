import * as v from "valibot";
import { endpoint } from "../../../shared/endpoint.ts";
import { errors, MatrixError } from "../../../shared/errors.ts";
import { type RoomAlias, type ServerName, serverNameOf } from "../../../shared/ids.ts";
import { objectField, stringField } from "../../../shared/json.ts";
import { roomId } from "../../../shared/validate.ts";
import { retractCanonicalAlias } from "./canonical-alias.ts";
import { findAlias } from "./room-alias.ts";

const aliasPath = "/_matrix/client/v3/directory/room/:roomAlias";
const aliasAliases = ["/_matrix/client/r0/directory/room/:roomAlias"];

/** `PUT /_matrix/client/v3/directory/room/{roomAlias}` — https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3directoryroomroomalias */
export const setRoomAlias = endpoint(
  {
    operationId: "setRoomAlias",
    method: "PUT",
    path: aliasPath,
    aliases: aliasAliases,
    auth: "accessToken",
    body: v.object({ room_id: roomId }),
  },
  async ({ params, auth, body, actors, config }) => {
    assertIsOurs(params.roomAlias, config.serverName);
    // Aliases are given by members: anybody else could take a room's good name for it.
    const { event } = await actors.room(body.room_id).getStateEvent(auth.userId, "m.room.member", auth.userId);
    if (stringField(objectField(event, "content") ?? {}, "membership") !== "join") {
      throw errors.forbidden("You are not in the room");
    }
    const alias = { alias: params.roomAlias, roomId: body.room_id, creator: auth.userId };
    await actors.server(config.serverName).createAlias(alias).catch(conflictWhereTaken);
    return {};
  },
);

/** "409: A room alias with that name already exists." createRoom says M_ROOM_IN_USE of the same. */
function conflictWhereTaken(thrown: unknown): never {
  if (thrown instanceof MatrixError && thrown.errcode === "M_ROOM_IN_USE") throw errors.conflict(thrown.message);
  throw thrown;
}

/** `GET /_matrix/client/v3/directory/room/{roomAlias}` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3directoryroomroomalias */
export const getRoomIdByAlias = endpoint(
  { operationId: "getRoomIdByAlias", method: "GET", path: aliasPath, aliases: aliasAliases, auth: "none" },
  (context) => findAlias(context, context.params.roomAlias),
);

/** `DELETE /_matrix/client/v3/directory/room/{roomAlias}` — https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3directoryroomroomalias */
export const deleteRoomAlias = endpoint(
  { operationId: "deleteRoomAlias", method: "DELETE", path: aliasPath, aliases: aliasAliases, auth: "accessToken" },
  async (context) => {
    const { params, auth, actors, config } = context;
    assertIsOurs(params.roomAlias, config.serverName);
    const server = actors.server(config.serverName);
    const { roomId } = await server.getAlias(params.roomAlias);
    const mayManage = auth.isAdmin || (await actors.room(roomId).mayManageAliases(auth.userId));
    await server.deleteAlias({ alias: params.roomAlias, requester: auth.userId, mayManage });
    await retractCanonicalAlias(context, auth, { alias: params.roomAlias, roomId });
    return {};
  },
);

function assertIsOurs(alias: RoomAlias, serverName: ServerName): void {
  if (serverNameOf(alias) !== serverName) throw errors.invalidParam("roomAlias: not an alias of this server");
}

/** `GET /_matrix/client/v3/rooms/{roomId}/aliases` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidaliases */
export const getLocalAliases = endpoint(
  {
    operationId: "getLocalAliases",
    method: "GET",
    path: "/_matrix/client/v3/rooms/:roomId/aliases",
    aliases: ["/_matrix/client/r0/rooms/:roomId/aliases"],
    auth: "accessToken",
  },
  async ({ params, auth, actors, config }) => {
    await actors.room(params.roomId).assertMayReadAliases(auth.userId);
    return { aliases: await actors.server(config.serverName).getAliasesOf(params.roomId) };
  },
);
