import * as v from "valibot";
import { endpoint, type Services } from "../../../shared/endpoint.ts";
import { errors } from "../../../shared/errors.ts";
import {
  fetchPublicRooms,
  publicRoomsBody,
  type RemotePublicRooms,
} from "../../../shared/federation-api/public-rooms.ts";
import { parseServerName } from "../../../shared/ids.ts";
import type { JsonObject } from "../../../shared/json.ts";
import { queryInteger } from "../../../shared/validate.ts";
import { assertMayAsk, unwrapAsked } from "./asking.ts";

const visibilityPath = "/_matrix/client/v3/directory/list/room/:roomId";
const visibilityAliases = ["/_matrix/client/r0/directory/list/room/:roomId"];
const listPath = "/_matrix/client/v3/publicRooms";
const listAliases = ["/_matrix/client/r0/publicRooms"];

const defaultLimit = 100;
const maxLimit = 500;

/** `GET /_matrix/client/v3/directory/list/room/{roomId}` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3directorylistroomroomid */
export const getRoomVisibilityOnDirectory = endpoint(
  {
    operationId: "getRoomVisibilityOnDirectory",
    method: "GET",
    path: visibilityPath,
    aliases: visibilityAliases,
    auth: "none",
  },
  async ({ params, actors }) => ({ visibility: await actors.room(params.roomId).getDirectoryVisibility() }),
);

/** `PUT /_matrix/client/v3/directory/list/room/{roomId}` — https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3directorylistroomroomid */
export const setRoomVisibilityOnDirectory = endpoint(
  {
    operationId: "setRoomVisibilityOnDirectory",
    method: "PUT",
    path: visibilityPath,
    aliases: visibilityAliases,
    auth: "accessToken",
    body: v.object({ visibility: v.optional(v.picklist(["public", "private"]), "public") }),
  },
  async ({ params, auth, body, actors }) => {
    await actors.room(params.roomId).setDirectoryVisibility(auth.userId, body.visibility);
    return {};
  },
);

/** `GET /_matrix/client/v3/publicRooms` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3publicrooms */
export const getPublicRooms = endpoint(
  {
    operationId: "getPublicRooms",
    method: "GET",
    path: listPath,
    aliases: listAliases,
    auth: "optional",
    query: v.object({
      limit: v.optional(queryInteger(maxLimit)),
      since: v.optional(v.string()),
      server: v.optional(v.string()),
    }),
  },
  (context) => {
    const { query } = context;
    const input = { limit: query.limit ?? defaultLimit, since: query.since ?? null, searchTerm: null, roomTypes: null };
    return listRooms(context, query.server, input);
  },
);

/** `POST /_matrix/client/v3/publicRooms` — https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3publicrooms */
export const queryPublicRooms = endpoint(
  {
    operationId: "queryPublicRooms",
    method: "POST",
    path: listPath,
    aliases: listAliases,
    auth: "accessToken",
    query: v.object({ server: v.optional(v.string()) }),
    body: publicRoomsBody,
  },
  async (context) => {
    const { query, body } = context;
    // No application service has brought a network of its own yet, so none has rooms.
    if (typeof body.third_party_instance_id === "string") return { chunk: [], total_room_count_estimate: 0 };
    return await listRooms(context, query.server, {
      limit: Math.min(body.limit ?? defaultLimit, maxLimit),
      since: body.since ?? null,
      searchTerm: body.filter?.generic_search_term ?? null,
      roomTypes: body.filter?.room_types ?? null,
    });
  },
);

/**
 * The rooms that a server lists.
 * @param server null or undefined: this one.
 * @throws MatrixError M_INVALID_PARAM; M_NOT_FOUND where that server may not be asked, M_UNKNOWN (502) where it cannot be
 */
async function listRooms(
  services: Services,
  server: string | undefined,
  input: RemotePublicRooms,
): Promise<JsonObject> {
  const { actors, egress, config } = services;
  if (server === undefined || server === config.serverName) {
    return await actors.server(config.serverName).searchPublicRooms({ ...input, isForServer: false });
  }
  const destination = parseServerName(server);
  if (destination === null) throw errors.invalidParam("server: not a server name");
  await assertMayAsk(services, destination);
  return unwrapAsked(await fetchPublicRooms(egress, destination, input), destination);
}
